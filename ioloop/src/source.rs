use std::{
    fmt,
    future::poll_fn,
    os::fd::AsFd,
    task::{Context, Poll},
};

use crate::{IOLoop, Interest, Ready, Result, Token, poller::Trigger};

/// A descriptor registered with a loop once and for all, edge-triggered, with its readiness remembered by the loop.
///
/// This is what streams are built on: the descriptor is registered for everything at once (`EPOLLIN`, `EPOLLOUT`,
/// `EPOLLRDHUP`, `EPOLLPRI`, `EPOLLET`), so waiting costs no further system call. The holder tries the operation, and
/// clears the bit with [`clear`](Source::clear) when the kernel said that it would block; the next edge sets it again.
/// For a level-triggered callback see [`IOLoop::add_handler`].
///
/// The descriptor must be non-blocking. `T` may be anything that owns one; it is deregistered, then dropped. Costs one
/// epoll_ctl(2) to make and one to drop (none by [`close`](Source::close)), and about 50 bytes in the loop's tables.
///
/// # Examples
///
/// An asynchronous UDP socket, and an echo over it:
///
/// ```
/// use std::{io::{self, ErrorKind}, net::{SocketAddr, UdpSocket}};
/// use ioloop::{IOLoop, Ready, Source, spawn};
///
/// struct Udp(Source<UdpSocket>);
///
/// impl Udp {
///     fn bind(address: &str) -> Result<Udp, Box<dyn std::error::Error>> {
///         let socket = UdpSocket::bind(address)?;
///         socket.set_nonblocking(true)?;
///         Ok(Udp(Source::new(socket)?))
///     }
///
///     /// The pattern for every operation: wait, try, and say so when there was nothing after all.
///     async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
///         loop {
///             self.0.readable().await;
///             match self.0.get_ref().recv_from(buffer) {
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => self.0.clear(Ready::READABLE),
///                 result => return result,
///             }
///         }
///     }
///
///     async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
///         loop {
///             self.0.writable().await;
///             match self.0.get_ref().send_to(datagram, to) {
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => self.0.clear(Ready::WRITABLE),
///                 result => return result,
///             }
///         }
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let (server, client) = (Udp::bind("127.0.0.1:0")?, Udp::bind("127.0.0.1:0")?);
///     let address = server.0.get_ref().local_addr()?;
///     IOLoop::current().run_sync(async {
///         spawn(async move {
///             let mut buffer = [0; 512];
///             while let Ok((length, peer)) = server.recv_from(&mut buffer).await {
///                 let _ = server.send_to(&buffer[..length], peer).await;
///             }
///         });
///         client.send_to(b"hello", address).await?;
///         let mut buffer = [0; 512];
///         let (length, from) = client.recv_from(&mut buffer).await?;
///         assert_eq!((&buffer[..length], from), (&b"hello"[..], address));
///         Ok(())
///     })
/// }
/// ```
pub struct Source<T: AsFd> {
    ioloop: IOLoop,
    token: Token,
    /// `None` only after `into_inner` or `close` have taken it out of reach of `drop`.
    io: Option<T>,
}

impl<T: AsFd> Source<T> {
    /// Registers `io` with the current loop.
    ///
    /// # Errors
    ///
    /// What epoll_ctl(2) says: `EEXIST` for a descriptor that is registered already, `EPERM` for a kind that cannot be
    /// watched (regular files), `ENOSPC` or `ENOMEM` when the system is out of watches or memory.
    pub fn new(io: T) -> Result<Source<T>> {
        Source::with_loop(&IOLoop::current(), io)
    }

    /// Registers `io` with `ioloop`.
    ///
    /// # Errors
    ///
    /// As [`Source::new`].
    pub fn with_loop(ioloop: &IOLoop, io: T) -> Result<Source<T>> {
        let token = ioloop.add_source(io.as_fd(), Interest::all(), Trigger::Edge)?;
        Ok(Source { ioloop: ioloop.clone(), token, io: Some(io) })
    }

    /// The registered object.
    pub fn get_ref(&self) -> &T {
        self.io.as_ref().expect("taken only by value")
    }

    /// The loop it is registered with.
    pub fn ioloop(&self) -> &IOLoop {
        &self.ioloop
    }

    /// What the descriptor is known to be ready for: everything reported and not cleared since.
    pub fn ready(&self) -> Ready {
        self.ioloop.source_ready(self.token)
    }

    /// Forgets bits of [`ready`](Source::ready), after an operation that would have blocked. Not before: epoll(7) does not
    /// repeat an edge, so what was still there would be waited for in vain. `READ_CLOSED`, `HANGUP` and
    /// `ERROR` are reported by the kernel once and never end; do not clear them.
    pub fn clear(&self, what: Ready) {
        self.clear_unless(what, Ready::empty());
    }

    /// [`clear`](Source::clear), unless one of `unless` is known. After a read that brought less than was asked for, a
    /// stream socket is empty, except when the end of its input has come along: then `READABLE` has to stay.
    pub fn clear_unless(&self, what: Ready, unless: Ready) {
        self.ioloop.source_clear_unless(self.token, what, unless);
    }

    /// Ready with all known bits when one of `wanted`, a hang-up or an error is among them; otherwise the task is woken
    /// when one comes. Any number of tasks may wait; the first of the loop's own costs no allocation, if it waits by itself and
    /// not through a future that has wakers of its own. After the loop has been closed it is ready with every bit. When many
    /// tasks wait, one may now and then be woken without cause, so that those which are gone are forgotten.
    pub fn poll_ready(&self, cx: &mut Context<'_>, wanted: Ready) -> Poll<Ready> {
        match self.ioloop.source_ready_or_wait(self.token, wanted, cx.waker()) {
            Some(ready) => Poll::Ready(ready),
            None => Poll::Pending,
        }
    }

    /// Waits until there is something to read, the end of input or an error, and returns all known bits. Returns at
    /// once, without a system call, until the bit is [cleared](Source::clear).
    ///
    /// # Cancel safety
    ///
    /// Nothing is consumed; dropping the future is harmless.
    pub async fn readable(&self) -> Ready {
        poll_fn(|cx| self.poll_ready(cx, Ready::READABLE)).await
    }

    /// Waits until there is room to write, or an error, and returns all known bits: at once until the bit is cleared. A
    /// new source counts as writable.
    ///
    /// # Cancel safety
    ///
    /// Nothing is consumed; dropping the future is harmless.
    pub async fn writable(&self) -> Ready {
        poll_fn(|cx| self.poll_ready(cx, Ready::WRITABLE)).await
    }

    /// Deregisters the object and returns it.
    pub fn into_inner(mut self) -> T {
        let io = self.io.take().expect("taken only by value");
        self.ioloop.remove_source(self.token, io.as_fd());
        io
    }

    /// Drops the object without telling epoll: closing a descriptor that has no duplicate deregisters it by itself, which
    /// saves a system call per connection.
    ///
    /// When a duplicate stays open, in a child process for example, the kernel goes on reporting its edges. The loop
    /// drops them, but each wakes it; and the same descriptor number cannot be registered again as long as it lasts.
    pub fn close(mut self) {
        if let Some(io) = self.io.take() {
            self.ioloop.close_source(self.token, io.as_fd());
        }
    }
}

impl<T: AsFd> Drop for Source<T> {
    fn drop(&mut self) {
        if let Some(io) = &self.io {
            self.ioloop.remove_source(self.token, io.as_fd());
        }
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Source<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("io", &self.io).field("ready", &self.ready()).finish_non_exhaustive()
    }
}
