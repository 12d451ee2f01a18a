use std::{
    io::{self, IoSlice, Read, Write},
    num::NonZeroUsize,
    os::fd::AsFd,
    task::{Context, Poll},
};

use ioloop::{IOLoop, Ready, Source};
use nix::errno::Errno;
use socket2::SockRef;

use super::total;
use crate::{
    error::{kind, loop_is_closed},
    file_part::FilePart,
};

/// The bits that say that the peer ended something: its writing half, or everything.
pub(super) const PEER_CLOSED: Ready = Ready::READ_CLOSED.union(Ready::HANGUP).union(Ready::ERROR);

/// The bits that say that nothing can be sent any more.
const BROKEN: Ready = Ready::HANGUP.union(Ready::ERROR);

/// Flags of send(2), the same on every architecture of Linux.
const MSG_NOSIGNAL: i32 = 0x4000;
const MSG_MORE: i32 = 0x8000;

/// A connected stream socket: tries, and waits for the next edge when the kernel would block.
#[derive(Debug)]
pub(crate) struct Socket<S: StreamSocket>(Source<S>);

/// In what the families of stream sockets differ.
pub(crate) trait StreamSocket: AsFd + Sized {
    /// Ends our side: FIN.
    fn shutdown(&self) -> io::Result<()>;

    /// Notes that `recv` brought less than it could have.
    fn note_short_read(source: &Source<Self>);
}

impl<S: StreamSocket> Socket<S>
where
    for<'s> &'s S: Read + Write,
{
    pub(crate) fn new(source: Source<S>) -> Socket<S> {
        Socket(source)
    }

    #[inline]
    pub(super) fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(cx, Ready::READABLE).map(drop)
    }

    #[inline]
    pub(super) fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let result = uninterrupted(|| self.0.get_ref().read(buf));
        match &result {
            Ok(count) if *count < buf.len() => S::note_short_read(&self.0),
            Err(error) if kind(error) == io::ErrorKind::WouldBlock => {
                // An error that `recv` does not report has been reported elsewhere. It must not make us try again and
                // again.
                self.0.clear(Ready::READABLE | Ready::PRIORITY | Ready::ERROR);
                return self.wait(cx, Ready::READABLE);
            }
            _ => {}
        }
        Poll::Ready(result)
    }

    #[inline]
    pub(super) fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        self.attempt(data.len(), || self.0.get_ref().write(data))
    }

    #[inline]
    pub(super) fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.attempt(total(pieces), || self.0.get_ref().write_vectored(pieces))
    }

    /// [`try_send`](Socket::try_send), with more to follow at once: the kernel keeps a packet that is not full for it.
    pub(super) fn try_send_more(&self, data: &[u8]) -> io::Result<usize> {
        // As everywhere else, a peer that has gone is an error and no signal.
        const FLAGS: i32 = MSG_MORE | MSG_NOSIGNAL;
        let socket = SockRef::from(self.0.get_ref());
        self.attempt(data.len(), || socket.send_with_flags(data, FLAGS))
    }

    /// sendfile(2).
    pub(super) fn try_send_file(&self, part: &FilePart, count: usize) -> io::Result<usize> {
        // Too large on a 32-bit system: then it is read.
        let offset = usize::try_from(part.start()).map_err(|_| io::ErrorKind::Unsupported)?;
        let socket = SockRef::from(self.0.get_ref());
        let result = uninterrupted(|| socket.sendfile(part.file(), offset, NonZeroUsize::new(count)));
        // Less than asked for may be the file's end or a page that is not there yet, as well as a full socket. Only
        // `EAGAIN` says that, so that the next edge is not waited for in vain.
        if result.as_ref().is_err_and(|error| kind(error) == io::ErrorKind::WouldBlock) {
            self.0.clear(Ready::WRITABLE | Ready::ERROR);
        }
        result
    }

    pub(super) fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_attempt(cx, &mut || self.try_send(data))
    }

    pub(super) fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_attempt(cx, &mut || self.try_send_vectored(pieces))
    }

    pub(super) fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        part: &FilePart,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        self.poll_attempt(cx, &mut || self.try_send_file(part, count))
    }

    #[inline]
    pub(super) fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(cx, PEER_CLOSED).map(drop)
    }

    pub(super) fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(cx, BROKEN).map(drop)
    }

    #[inline]
    pub(super) fn is_readable(&self) -> bool {
        self.0.ready().contains(Ready::READABLE)
    }

    #[inline]
    pub(super) fn is_peer_closed(&self) -> bool {
        self.0.ready().intersects(PEER_CLOSED)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.0.ready().intersects(BROKEN)
    }

    pub(super) fn shutdown(&self) -> io::Result<()> {
        // It was connected. Only a reset ends that, and has been told to nobody yet.
        self.0.get_ref().shutdown().map_err(|error| match error.kind() {
            io::ErrorKind::NotConnected => Errno::ECONNRESET.into(),
            _ => error,
        })
    }

    pub(super) fn ioloop(&self) -> &IOLoop {
        self.0.ioloop()
    }

    pub(crate) fn get_ref(&self) -> &S {
        self.0.get_ref()
    }

    pub(super) fn close(self, sole: bool) {
        // Closing a descriptor without a duplicate deregisters it, which saves an epoll_ctl(2).
        if sole {
            self.0.close();
        }
    }

    /// One attempt to send `total` bytes.
    // Every answer passes here, and a call of its own costs as much as the rest of it.
    #[inline(always)]
    fn attempt(&self, total: usize, send: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        let result = uninterrupted(send);
        match &result {
            Ok(sent) if *sent == total => {}
            // A short write means that the kernel's buffer is full. The next edge tells of room.
            Ok(_) => self.0.clear(Ready::WRITABLE),
            Err(error) if kind(error) == io::ErrorKind::WouldBlock => self.0.clear(Ready::WRITABLE | Ready::ERROR),
            Err(_) => {}
        }
        result
    }

    #[inline(never)]
    fn poll_attempt(
        &self,
        cx: &mut Context<'_>,
        send: &mut dyn FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        // There is a queue because the kernel took no more; asking first saves the call that would say so again.
        if self.0.poll_ready(cx, Ready::WRITABLE).is_pending() {
            return Poll::Pending;
        }
        match send() {
            Err(error) if kind(&error) == io::ErrorKind::WouldBlock => self.wait(cx, Ready::WRITABLE),
            result => Poll::Ready(result),
        }
    }

    /// Pending, to be polled again when one of `wanted` comes.
    #[cold]
    fn wait(&self, cx: &mut Context<'_>, wanted: Ready) -> Poll<io::Result<usize>> {
        match self.0.poll_ready(cx, wanted) {
            Poll::Pending => Poll::Pending,
            // A source whose loop has been closed is ready for ever with every bit, those among them that were cleared just
            // now, and blocks all the same.
            Poll::Ready(ready) if ready.is_all() => Poll::Ready(Err(loop_is_closed())),
            Poll::Ready(_) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Makes a system call until it was not interrupted.
#[inline]
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if kind(&error) == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_a_signal_interrupts_is_made_again() {
        let mut interruptions = 3;
        let result = uninterrupted(|| {
            if interruptions == 0 {
                return Ok(7);
            }
            interruptions -= 1;
            Err(io::ErrorKind::Interrupted.into())
        });
        assert_eq!((result.unwrap(), interruptions), (7, 0));
    }
}
