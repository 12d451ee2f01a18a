use std::{
    fmt,
    fs::File,
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd},
    task::{Context, Poll},
};

use ioloop::{IOLoop, Source};
use nix::errno::Errno;

use super::{
    Kind,
    socket::{Socket, StreamSocket},
};
use crate::error::kind;

/// An end of a pipe or FIFO, or a terminal.
#[derive(Debug)]
pub(crate) struct Pipe {
    file: Socket<File>,
    access: Access,
}

/// In which direction bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The reading end.
    Read,
    /// The writing end.
    Write,
    /// A terminal, or a FIFO opened for both.
    Both,
}

impl Pipe {
    #[inline]
    pub(crate) fn new(source: Source<File>, access: Access) -> Pipe {
        Pipe { file: Socket::new(source), access }
    }
}

impl Kind for Pipe {
    #[inline]
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        // To be told at once that it cannot be read.
        if self.access == Access::Write { Poll::Ready(()) } else { self.file.poll_recv_ready(cx) }
    }

    #[inline]
    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.access == Access::Write {
            // Whoever looks for the end of a pipe whose reader has gone must find it.
            let error = if self.is_broken() {
                Errno::EPIPE.into()
            } else {
                unsupported("the writing end of a pipe cannot be read")
            };
            return Poll::Ready(Err(error));
        }
        self.file.poll_recv(cx, buf).map(|result| match result {
            // How a terminal says that the other side is gone (pty(7), and tty_ioctl(4) for a hang-up).
            Err(error) if is_hangup(&error) => Ok(0),
            result => result,
        })
    }

    #[inline]
    fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        self.check_writable()?;
        self.file.try_send(data).map_err(broken)
    }

    #[inline]
    fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.check_writable()?;
        self.file.try_send_vectored(pieces).map_err(broken)
    }

    #[inline]
    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.file.poll_send(cx, data).map_err(broken)
    }

    #[inline]
    fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.file.poll_send_vectored(cx, pieces).map_err(broken)
    }

    #[inline]
    fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.file.poll_peer_closed(cx)
    }

    #[inline]
    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.file.poll_broken(cx)
    }

    #[inline]
    fn is_readable(&self) -> bool {
        self.file.is_readable()
    }

    #[inline]
    fn is_peer_closed(&self) -> bool {
        self.file.is_peer_closed()
    }

    #[inline]
    fn is_broken(&self) -> bool {
        self.file.is_broken()
    }

    /// For a writing end there is nothing to do but to close it.
    #[inline]
    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.access {
            Access::Read => Err(unsupported("the reading end of a pipe has no output to end")),
            Access::Write => Ok(()),
            Access::Both => self.file.shutdown(),
        })
    }

    #[inline]
    fn close(self: Box<Self>, sole: bool) {
        self.file.close(sole);
    }

    #[inline]
    fn ioloop(&self) -> &IOLoop {
        self.file.ioloop()
    }

    #[inline]
    fn fmt_peer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pipe or terminal")
    }

    #[inline]
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.get_ref().as_fd())
    }

    #[inline]
    fn is_one_way(&self) -> bool {
        self.access != Access::Both
    }

    #[inline]
    fn refuses(&self, error: &io::Error) -> bool {
        kind(error) == io::ErrorKind::Unsupported
    }

    #[inline]
    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::Read => Err(unsupported("the reading end of a pipe cannot be written")),
            Access::Write | Access::Both => Ok(()),
        }
    }
}

impl StreamSocket for File {
    #[inline]
    fn shutdown(&self) -> io::Result<()> {
        Err(unsupported("a terminal or FIFO open for both cannot end one direction alone"))
    }

    /// Says nothing: a read of a terminal stops at each line, and a read of a pipe in packet mode at each packet
    /// (pipe(2)), with more behind it. Only `EAGAIN` says that there is no more.
    #[inline]
    fn note_short_read(_source: &Source<File>) {}
}

/// The other side of a terminal has gone: for a writer the same as a pipe without a reader.
#[inline]
fn broken(error: io::Error) -> io::Error {
    if is_hangup(&error) { Errno::EPIPE.into() } else { error }
}

#[inline]
fn is_hangup(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EIO as i32)
}

#[inline]
fn unsupported(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}
