//! What carries the bytes. Everything above speaks to [`Transport`] alone, in reads and writes; a new kind of stream
//! implements [`Kind`], in a file of its own here.
//!
//! # The contract
//!
//! A transport is a pipe of bytes in each direction, with an end. It keeps to itself how it learns of readiness, what a
//! short read means, and which descriptors it has, if any.
//!
//! * `poll_recv_ready` is ready when `poll_recv` is worth calling. It exists because a stream has no buffer of its own: an
//!   idle one, which is what most streams are at most times, is found idle before the thread's chunk is taken. A transport
//!   that cannot tell is always ready.
//! * `poll_recv` receives at least one byte; 0 is the end of input. It may be called without `poll_recv_ready` before it.
//! * `try_send` and `try_send_vectored` send what can leave at once. `WouldBlock` when nothing can: the stream then
//!   queues the bytes and gives them to `poll_send`. A write is no future at this point, so there is no task to wake.
//! * `poll_send` and `poll_send_vectored` send at least one byte.
//! * `try_send_file` and `poll_send_file` are for kinds to which the kernel sends files by itself. The others refuse, and
//!   are given the bytes.
//! * What was offered and not taken is offered again, first and unchanged, unless the transport is closed: up to
//!   [`MOST_BEGUN`] of it may be on its way already, encrypted.
//! * `poll_peer_closed` waits until the peer has ended its input or is gone, `poll_broken` until nothing can be sent any
//!   more. Both leave what has come where it is. `is_readable`, `is_peer_closed` and `is_broken` are what is known without
//!   asking the system.
//! * `poll_shutdown` ends our side (FIN) behind everything that was sent. Ready at once for what has a kernel to do so.
//! * `close` closes the transport and wakes every task that waits in it.
//!
//! A `poll_` function that is pending has kept the task's waker, and any number of tasks may wait at once, each for
//! something else: one reads, one sends, one looks out for the peer's end. `Interrupted` never comes up; the call is
//! made again below this line. Waking and cloning wakers happens outside of every borrow that belongs to the transport.
//!
//! # How TLS fits
//!
//! A TLS session receives in order to send (handshake, key update) and sends in order to receive (handshake, alerts). That
//! stays below this line: `poll_recv` sends what the session wants to send first, by the carrier's `poll_send` with the
//! same `cx`, and is pending on whichever of the two directions stopped it, so the reading task is woken by either.
//! `poll_send` does the same the other way round. `try_send` encrypts and sends as far as the carrier takes it at once, and
//! is `WouldBlock` during the handshake, which moves the bytes to the queue, whose task then drives the handshake by
//! `poll_send`. `poll_recv_ready` is ready when decrypted bytes wait or the carrier is ready. `poll_shutdown`
//! sends close_notify. `is_broken` and `poll_peer_closed` are the carrier's, or a close_notify that was received.

mod custom;
mod kind;
mod memory;
#[cfg(feature = "pipe")]
mod pipe;
mod socket;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod unix;
mod waiting;

use std::{
    fmt,
    io::{self, IoSlice},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
    task::{Context, Poll},
};

use ioloop::IOLoop;

#[cfg(feature = "pipe")]
pub(crate) use self::pipe::{Access, Pipe};
#[cfg(feature = "tls")]
pub(crate) use self::tls::Tls;
pub(crate) use self::{custom::Custom, kind::Kind, memory::Memory, tcp::Tcp, unix::Unix};
use crate::file_part::FilePart;

/// How much a transport may have begun on beyond what it says it has sent, in bytes.
pub(crate) const MOST_BEGUN: usize = 64 * 1024;

/// A kind of stream. See the module for what each of them has to do.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(Tcp),
    Unix(Unix),
    /// A kind that few programs have. Boxed also because the largest kind is what every idle stream has room for.
    Other(Box<dyn Kind>),
    /// What is left when the transport has been closed.
    Closed,
}

/// Passes a call on to the transport there is; `closed` is the answer when there is none.
macro_rules! dispatch {
    ($self:ident, $transport:ident => $call:expr, closed => $closed:expr) => {
        match $self {
            Transport::Tcp($transport) => $call,
            Transport::Unix($transport) => $call,
            Transport::Other($transport) => $call,
            Transport::Closed => $closed,
        }
    };
}

// Every request passes `poll_recv_ready`, `poll_recv` and `try_send`. They go straight to TCP, and by another function to
// the rest: a jump over all kinds costs more than the question whether it is the one.
impl Transport {
    #[inline]
    pub(crate) fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Transport::Tcp(tcp) => tcp.poll_recv_ready(cx),
            other => other.poll_recv_ready_beside_tcp(cx),
        }
    }

    #[inline]
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(tcp) => tcp.poll_recv(cx, buf),
            other => other.poll_recv_beside_tcp(cx, buf),
        }
    }

    #[inline]
    pub(crate) fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(tcp) => tcp.try_send(data),
            other => other.try_send_beside_tcp(data),
        }
    }

    /// [`try_send`](Transport::try_send), where more follows at once that may share a packet with `data`.
    #[inline]
    pub(crate) fn try_send_more(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(tcp) => tcp.try_send_more(data),
            other => other.try_send(data),
        }
    }

    #[inline]
    pub(crate) fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        dispatch!(self, transport => transport.try_send_vectored(pieces), closed => Err(not_connected()))
    }

    pub(crate) fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        dispatch!(self, transport => transport.poll_send(cx, data), closed => Poll::Ready(Err(not_connected())))
    }

    pub(crate) fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        dispatch!(self, transport => transport.poll_send_vectored(cx, pieces), closed => Poll::Ready(Err(not_connected())))
    }

    /// Sends from a file, at most `count` bytes and at least one, without a copy through the process; 0 at the end of the
    /// file. An error where that cannot be done, and the bytes have to be read.
    #[inline]
    pub(crate) fn try_send_file(&self, part: &FilePart, count: usize) -> io::Result<usize> {
        match self {
            Transport::Tcp(tcp) => tcp.try_send_file(part, count),
            Transport::Unix(unix) => unix.try_send_file(part, count),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// As [`try_send_file`](Transport::try_send_file), and waits until something can be sent.
    pub(crate) fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        part: &FilePart,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(tcp) => tcp.poll_send_file(cx, part, count),
            Transport::Unix(unix) => unix.poll_send_file(cx, part, count),
            _ => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    #[inline]
    pub(crate) fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        dispatch!(self, transport => transport.poll_peer_closed(cx), closed => Poll::Ready(()))
    }

    #[inline]
    pub(crate) fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        dispatch!(self, transport => transport.poll_broken(cx), closed => Poll::Ready(()))
    }

    #[inline]
    pub(crate) fn is_readable(&self) -> bool {
        dispatch!(self, transport => transport.is_readable(), closed => false)
    }

    #[inline]
    pub(crate) fn is_peer_closed(&self) -> bool {
        dispatch!(self, transport => transport.is_peer_closed(), closed => false)
    }

    pub(crate) fn is_broken(&self) -> bool {
        dispatch!(self, transport => transport.is_broken(), closed => false)
    }

    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(tcp) => Poll::Ready(tcp.shutdown()),
            Transport::Unix(unix) => Poll::Ready(unix.shutdown()),
            Transport::Other(kind) => kind.poll_shutdown(cx),
            Transport::Closed => Poll::Ready(Err(not_connected())),
        }
    }

    pub(crate) fn ioloop(&self) -> Option<&IOLoop> {
        dispatch!(self, transport => Some(transport.ioloop()), closed => None)
    }

    /// The descriptor that carries the bytes, if one does.
    #[inline]
    pub(crate) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Transport::Tcp(tcp) => Some(tcp.get_ref().as_fd()),
            Transport::Unix(unix) => Some(unix.get_ref().as_fd()),
            Transport::Other(kind) => kind.as_fd(),
            Transport::Closed => None,
        }
    }

    /// The session, if there is one.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Option<&Tls> {
        match self {
            Transport::Other(kind) => kind.as_tls(),
            _ => None,
        }
    }

    /// What carries the bytes in the end: the transport itself, or the one beneath its TLS.
    pub(crate) fn carrier(&self) -> &Transport {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls() {
            return tls.carrier().carrier();
        }
        self
    }

    /// The TCP socket, for its options and addresses; `None` for every other kind.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self.carrier() {
            Transport::Tcp(tcp) => Some(tcp.get_ref()),
            _ => None,
        }
    }

    /// An end of a pipe, which carries bytes in one direction alone.
    pub(crate) fn is_one_way(&self) -> bool {
        matches!(self, Transport::Other(kind) if kind.is_one_way())
    }

    /// Whether it may have begun on what it was offered beyond what it says it has sent.
    #[inline]
    pub(crate) fn begins_ahead(&self) -> bool {
        matches!(self, Transport::Other(kind) if kind.begins_ahead())
    }

    /// Whether `error` says that this kind cannot do what was asked, which breaks nothing: the wrong end of a pipe.
    pub(crate) fn refuses(&self, error: &io::Error) -> bool {
        matches!(self, Transport::Other(kind) if kind.refuses(error))
    }

    /// Why nothing can be written, for a kind that has only one direction. The others find out by sending.
    #[inline]
    pub(crate) fn check_writable(&self) -> io::Result<()> {
        match self {
            Transport::Other(kind) => kind.check_writable(),
            _ => Ok(()),
        }
    }

    /// What the log calls the other side.
    pub(crate) fn fmt_peer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // After a reset the socket has forgotten its address.
            Transport::Tcp(tcp) => match tcp.get_ref().peer_addr() {
                Ok(addr) => write!(f, "{addr}"),
                Err(_) => f.write_str("a TCP peer that has gone"),
            },
            Transport::Unix(unix) => match unix.get_ref().peer_addr() {
                Ok(addr) if addr.as_pathname().is_some() => write!(f, "{addr:?}"),
                _ => f.write_str("a Unix socket"),
            },
            Transport::Other(kind) => kind.fmt_peer(f),
            Transport::Closed => f.write_str("a closed stream"),
        }
    }

    /// Says that the end which follows is meant, where the transport has a way to say so: before `close`, and only when
    /// everything written has left. False when there is no room for it yet.
    pub(crate) fn say_goodbye(&self) -> bool {
        match self {
            Transport::Other(kind) => kind.say_goodbye(),
            _ => true,
        }
    }

    /// Goes on with a goodbye. Ready when it has left, or never will.
    pub(crate) fn poll_goodbye(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Transport::Other(kind) => kind.poll_goodbye(cx),
            _ => Poll::Ready(()),
        }
    }

    /// Closes the transport and wakes every task that waits in it. `sole` says that its descriptor has no duplicate:
    /// then closing it deregisters it.
    pub(crate) fn close(self, sole: bool) {
        dispatch!(self, transport => transport.close(sole), closed => {})
    }

    #[inline(never)]
    fn poll_recv_ready_beside_tcp(&self, cx: &mut Context<'_>) -> Poll<()> {
        dispatch!(self, transport => transport.poll_recv_ready(cx), closed => Poll::Ready(()))
    }

    #[inline(never)]
    fn poll_recv_beside_tcp(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        dispatch!(self, transport => transport.poll_recv(cx, buf), closed => Poll::Ready(Err(not_connected())))
    }

    #[inline(never)]
    fn try_send_beside_tcp(&self, data: &[u8]) -> io::Result<usize> {
        dispatch!(self, transport => transport.try_send(data), closed => Err(not_connected()))
    }
}

fn not_connected() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn total(pieces: &[IoSlice<'_>]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}
