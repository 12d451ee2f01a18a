use std::{
    fmt,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    task::{Context, Poll},
};

use ioloop::IOLoop;

#[cfg(feature = "tls")]
use super::Tls;

/// A kind of stream beside the sockets. The methods are those of [`Transport`](super::Transport), with its contract.
///
/// Behind `dyn`, so that a program is built with the kinds that it makes and without the others. Their methods are
/// `#[inline]` for the same reason.
pub(crate) trait Kind: fmt::Debug {
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<()>;
    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    fn try_send(&self, data: &[u8]) -> io::Result<usize>;
    fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
    fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()>;
    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()>;
    fn is_readable(&self) -> bool;
    fn is_peer_closed(&self) -> bool;
    fn is_broken(&self) -> bool;

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn close(self: Box<Self>, sole: bool);

    fn ioloop(&self) -> &IOLoop;
    fn fmt_peer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    #[cfg(feature = "tls")]
    fn as_tls(&self) -> Option<&Tls> {
        None
    }

    fn is_one_way(&self) -> bool {
        false
    }

    fn begins_ahead(&self) -> bool {
        false
    }

    fn refuses(&self, _error: &io::Error) -> bool {
        false
    }

    fn check_writable(&self) -> io::Result<()> {
        Ok(())
    }

    fn say_goodbye(&self) -> bool {
        true
    }

    fn poll_goodbye(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
