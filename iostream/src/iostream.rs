use std::{
    cell::{Cell, RefCell},
    fmt, io,
    net::{SocketAddr, TcpStream},
    os::{fd::BorrowedFd, unix::net::UnixStream},
    rc::{Rc, Weak},
};

use ioloop::{IOLoop, Source};

use crate::{
    Error, Result,
    buffer::PooledBuffer,
    check,
    closing::AtClose,
    marks::{Mark, Marks},
    transport::{Tcp, Transport, Unix},
    write::{WriteQueue, WriteTimeout},
};

/// A buffered, non-blocking stream on the thread's loop: bytes in, bytes out, and the news that the peer is gone.
///
/// A handle: cloning it is cheap, and all clones are the same stream, so one task can wait for the peer's end while
/// another writes. The descriptor is closed by [`close`](IOStream::close), at the end of the peer's input (see
/// [`set_half_open`](IOStream::set_half_open)), when the connection breaks, or when the last handle is dropped and what
/// was queued has been sent or given up (see [`set_write_timeout`](IOStream::set_write_timeout)).
///
/// # Reading
///
/// [`read_until`](IOStream::read_until), [`read_bytes`](IOStream::read_bytes), [`read_some`](IOStream::read_some),
/// [`read_into`](IOStream::read_into) and [`read_until_close`](IOStream::read_until_close) stand on
/// [`read_with`](IOStream::read_with), which shows a parser what has come. Nothing is received while no read is pending,
/// so TCP itself slows down a peer that sends too much. Only one read may be pending. Dropping a read leaves its bytes in
/// the stream. Bytes that were received before the stream closed can still be read afterwards.
///
/// # Writing
///
/// [`write`](IOStream::write) sends at once what the kernel takes and queues the rest. Awaiting it is the back-pressure.
/// Without awaiting, set a limit
/// ([`set_max_write_buffer_size`](IOStream::set_max_write_buffer_size)).
///
/// # Examples
///
/// ```
/// use iostream::{IOLoop, IOStream, TcpServer};
///
/// let server = TcpServer::new(async |stream: IOStream, _peer| {
///     let name = stream.read_until(b"\n").max_bytes(100).await?;
///     stream.write([b"Hello, ", &name[..]].concat()).await
/// });
/// let addr = server.listen(("127.0.0.1", 0))?.local_addr();
/// let answer = IOLoop::current().run_sync(async {
///     let stream = IOStream::connect(addr).await?;
///     stream.write("world\n").await?;
///     stream.read_until(b"\n").await
/// })?;
/// assert_eq!(answer, "Hello, world\n");
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Clone)]
pub struct IOStream {
    pub(crate) inner: Rc<Inner>,
}

/// The state behind all handles of a stream. Small, because ten thousand of them may be idle: what only busy streams
/// need is boxed or pooled.
pub(crate) struct Inner {
    pub(crate) transport: RefCell<Transport>,
    /// Received and not consumed.
    pub(crate) held: RefCell<PooledBuffer>,
    /// Accepted from the user and not yet taken by the kernel. Absent while there is nothing.
    pub(crate) queue: RefCell<Option<Box<WriteQueue>>>,
    /// What happens at the close, and why it was closed. Absent until something is to.
    pub(crate) at_close: Cell<Option<Box<AtClose>>>,
    /// How many bytes the kernel has taken in all: a write is done when this reaches its end.
    pub(crate) sent: Cell<u64>,
    /// In 32 bits, because every idle stream has them: 4 GiB is the most, and for writing no limit.
    max_buffer_size: Cell<u32>,
    max_write_buffer_size: Cell<u32>,
    pub(crate) write_timeout: Cell<WriteTimeout>,
    pub(crate) marks: Marks,
    /// A read has been polled and is not over.
    pub(crate) claimed: Cell<bool>,
    /// A parser is running and has the stream's buffer.
    pub(crate) parsing: Cell<bool>,
    /// How many `recv` calls there were since a read had to wait.
    pub(crate) recvs: Cell<u8>,
}

impl IOStream {
    /// The default of [`set_max_buffer_size`](IOStream::set_max_buffer_size): 1 MiB.
    pub const DEFAULT_MAX_BUFFER_SIZE: usize = 1024 * 1024;

    /// A stream over a connected socket, on the current loop. Makes the socket non-blocking.
    ///
    /// `TCP_NODELAY` is left as it is; see [`set_nodelay`](IOStream::set_nodelay).
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`] when it is none: a pipe, a Unix or datagram socket, a socket that listens or is not connected
    /// (a connection attempt that is under way is not; see [`connect`](IOStream::connect)). [`Error::Io`] when the
    /// connection has broken before. [`Error::Loop`] when the loop cannot watch the socket, which means that the system is
    /// out of epoll watches.
    #[inline]
    pub fn from_tcp(stream: TcpStream) -> Result<IOStream> {
        check::tcp(&stream)?;
        stream.set_nonblocking(true)?;
        Ok(IOStream::from_transport(Transport::Tcp(Tcp::new(Source::new(stream)?)), false))
    }

    /// As [`from_tcp`](IOStream::from_tcp), for a socket that has just been accepted: it has no duplicate (no
    /// `try_clone`, no `dup`, no copy in a forked child), so that closing it needs no word to epoll, which saves a
    /// system call. Nor is it asked what it is.
    ///
    /// # Errors
    ///
    /// [`Error::Loop`] as in [`from_tcp`](IOStream::from_tcp).
    #[inline]
    pub fn from_accepted(stream: TcpStream) -> Result<IOStream> {
        stream.set_nonblocking(true)?;
        IOStream::from_nonblocking(stream)
    }

    /// As [`from_accepted`](IOStream::from_accepted), for a socket that does not block already, as those from
    /// [`add_accept_handler`](crate::netutil::add_accept_handler): that saves one more system call. A socket that blocks
    /// would hold up the whole loop.
    ///
    /// # Errors
    ///
    /// [`Error::Loop`] as in [`from_tcp`](IOStream::from_tcp).
    pub fn from_nonblocking(stream: TcpStream) -> Result<IOStream> {
        Ok(IOStream::from_transport(Transport::Tcp(Tcp::new(Source::new(stream)?)), true))
    }

    /// A stream over a connected Unix stream socket, on the current loop. Makes the socket non-blocking.
    ///
    /// # Errors
    ///
    /// As [`from_tcp`](IOStream::from_tcp), for what is not a connected Unix stream socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOLoop, IOStream};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (ours, theirs) = UnixStream::pair()?;
    /// let (ours, theirs) = (IOStream::from_unix(ours)?, IOStream::from_unix(theirs)?);
    /// let line = IOLoop::current().run_sync(async {
    ///     ours.write("across\n").await?;
    ///     theirs.read_until(b"\n").await
    /// })?;
    /// assert_eq!(line, "across\n");
    /// # Ok::<_, iostream::Error>(())
    /// ```
    #[inline]
    pub fn from_unix(stream: UnixStream) -> Result<IOStream> {
        check::unix(&stream)?;
        stream.set_nonblocking(true)?;
        Ok(IOStream::from_transport(Transport::Unix(Unix::new(Source::new(stream)?)), false))
    }

    /// As [`from_unix`](IOStream::from_unix), for a socket that has just been accepted, as
    /// [`from_accepted`](IOStream::from_accepted) is for TCP.
    ///
    /// # Errors
    ///
    /// [`Error::Loop`] as in [`from_tcp`](IOStream::from_tcp).
    pub fn from_accepted_unix(stream: UnixStream) -> Result<IOStream> {
        stream.set_nonblocking(true)?;
        Ok(IOStream::from_transport(Transport::Unix(Unix::new(Source::new(stream)?)), true))
    }

    /// `sole`: see [`Transport::close`].
    pub(crate) fn from_transport(transport: Transport, sole: bool) -> IOStream {
        let inner = Inner {
            transport: RefCell::new(transport),
            held: RefCell::default(),
            queue: RefCell::new(None),
            at_close: Cell::new(None),
            sent: Cell::new(0),
            max_buffer_size: Cell::new(Self::DEFAULT_MAX_BUFFER_SIZE as u32),
            max_write_buffer_size: Cell::new(u32::MAX),
            write_timeout: Cell::new(WriteTimeout::UNSET),
            marks: Marks::default(),
            claimed: Cell::new(false),
            parsing: Cell::new(false),
            recvs: Cell::new(0),
        };
        inner.marks.set(Mark::SOLE, sole);
        IOStream { inner: Rc::new(inner) }
    }

    /// How many received bytes wait to be consumed. Bytes that are still in the kernel do not count.
    pub fn buffered(&self) -> usize {
        self.inner.held.borrow().len()
    }

    /// How many bytes the stream may hold unread; 1 MiB by default, 4 GiB at most. A read that needs more fails with
    /// [`Error::BufferFull`].
    ///
    /// Memory is used only for what has come and was not consumed; the stream never asks the kernel for more than
    /// there is room for.
    pub fn set_max_buffer_size(&self, bytes: usize) {
        self.inner.max_buffer_size.set(clamp(bytes));
    }

    /// How many bytes may wait to be sent; unlimited by default, and from 4 GiB on. A write that would pass the limit fails
    /// with [`Error::WriteBufferFull`] before any of it is sent.
    pub fn set_max_write_buffer_size(&self, bytes: usize) {
        self.inner.max_write_buffer_size.set(clamp(bytes));
    }

    /// What happens when the peer ends its input (FIN).
    ///
    /// `false`, the default: reading meets the end, what is queued is still sent, then the stream closes itself.
    /// `true`: writing goes on until [`close`](IOStream::close), until [`shutdown_write`](IOStream::shutdown_write) has ended
    /// our side too, or until the connection breaks. For protocols where a request ends with the client's FIN, and whenever
    /// the answer is written after the end of input.
    pub fn set_half_open(&self, half_open: bool) {
        if self.inner.marks.replace(Mark::HALF_OPEN, half_open) != half_open {
            self.inner.close_after_eof();
            self.inner.look_for_end_again();
        }
    }

    /// Turns Nagle's algorithm off (`true`) or on (`false`, the system's default). Off, small messages leave at once;
    /// on, they may wait for the acknowledgement of earlier ones, 40 ms and more. Does nothing to a stream that is not TCP,
    /// because only TCP holds small messages back.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed.
    #[inline]
    pub fn set_nodelay(&self, nodelay: bool) -> Result<()> {
        match self.inner.with_tcp(|socket| socket.set_nodelay(nodelay)) {
            None => Ok(()),
            Some(result) => result,
        }
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed, [`Error::Io`] (`Unsupported`) when it is not TCP.
    #[inline]
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.inner.ip_addr(TcpStream::local_addr)
    }

    /// The address of the peer. A system call; servers are given it with the connection.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed, [`Error::Io`] when the peer has reset the connection
    /// (`ENOTCONN`) or the stream is not TCP (`Unsupported`).
    #[inline]
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        self.inner.ip_addr(TcpStream::peer_addr)
    }

    /// Shows the stream's descriptor to `look`: for socket options, for ioctl(2), for a duplicate of it. A stream cannot
    /// be `AsFd`, because any handle may close it while the borrow lasts.
    ///
    /// For options, not for bytes: what is read or written besides the stream is missing or comes between. Nor should it be
    /// made blocking, or be watched by another handler of the same loop.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed, [`Error::Io`] (`Unsupported`) when it has no descriptor, such as a
    /// [`memory::pair`](crate::memory::pair).
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::IOStream;
    /// use std::os::{fd::AsFd, unix::net::UnixStream};
    ///
    /// let stream = IOStream::from_unix(UnixStream::pair()?.0)?;
    /// let duplicate = stream.with_fd(|fd| fd.try_clone_to_owned())??;
    /// # let _ = duplicate;
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub fn with_fd<T>(&self, look: impl FnOnce(BorrowedFd<'_>) -> T) -> Result<T> {
        let inner = &self.inner;
        if inner.is_closed() {
            return Err(inner.closed_error());
        }
        let transport = inner.transport.borrow();
        let Some(fd) = transport.as_fd() else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the stream has no descriptor").into());
        };
        // It may be duplicated now, and closing it does not deregister it then.
        inner.marks.set(Mark::SOLE, false);
        Ok(look(fd))
    }

    /// Closes the stream now. Does nothing when it is closed already.
    ///
    /// Pending reads that the buffer cannot satisfy, and pending writes, fail with [`Error::Closed`]; queued bytes are
    /// dropped (await the writes first to have them sent). Received bytes stay readable. When the kernel
    /// holds bytes that were not received, the peer sees a reset, as always in TCP.
    pub fn close(&self) {
        self.inner.close(None);
    }

    /// Whether the stream is closed.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Whether something is known to wait that has not been received: bytes, or the end of input. Costs no system call.
    /// After a read on a Unix socket, a pipe or a terminal it may be true without cause, until the next read finds nothing.
    pub fn is_readable(&self) -> bool {
        !self.inner.marks.has(Mark::EOF) && self.inner.transport.borrow().is_readable()
    }

    /// Whether the peer is known to have ended its input or to be gone (FIN, RST or HUP), read or not, or the stream is
    /// closed. Costs no system call.
    pub fn is_peer_closed(&self) -> bool {
        let inner = &self.inner;
        inner.is_closed() || inner.marks.has(Mark::EOF) || inner.transport.borrow().is_peer_closed()
    }

    /// Whether the connection is known to be dead in both directions: reset, timed out, or FIN in both. Nothing can be
    /// sent any more.
    pub fn is_reset(&self) -> bool {
        self.inner.is_broken() || self.inner.transport.borrow().is_broken()
    }

    #[inline]
    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        Rc::downgrade(&self.inner)
    }
}

/// A size in 32 bits.
fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl Inner {
    pub(crate) fn max_buffer_size(&self) -> usize {
        self.max_buffer_size.get() as usize
    }

    pub(crate) fn max_write_buffer_size(&self) -> usize {
        match self.max_write_buffer_size.get() {
            u32::MAX => usize::MAX,
            bytes => bytes as usize,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.marks.has(Mark::CLOSED)
    }

    pub(crate) fn is_half_open(&self) -> bool {
        self.marks.has(Mark::HALF_OPEN)
    }

    pub(crate) fn ioloop(&self) -> Option<IOLoop> {
        self.transport.borrow().ioloop().cloned()
    }

    /// The error of an operation on a closed stream.
    pub(crate) fn closed_error(&self) -> Error {
        Error::Closed { cause: self.cause() }
    }

    /// Asks the TCP socket; `None` when the stream is of another kind.
    fn with_tcp<T>(&self, ask: impl FnOnce(&TcpStream) -> io::Result<T>) -> Option<Result<T>> {
        if self.is_closed() {
            return Some(Err(self.closed_error()));
        }
        self.transport.borrow().tcp().map(|socket| Ok(ask(socket)?))
    }

    #[inline]
    fn ip_addr(&self, ask: fn(&TcpStream) -> io::Result<SocketAddr>) -> Result<SocketAddr> {
        self.with_tcp(ask).unwrap_or_else(|| {
            Err(io::Error::new(io::ErrorKind::Unsupported, "only a TCP stream has an IP address").into())
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without handles there is no queue and no task that waits: only the transport and what is attached.
        if !self.marks.replace(Mark::CLOSED, true) {
            self.finish_close();
        }
    }
}

impl Drop for IOStream {
    fn drop(&mut self) {
        // The other handle may be the queue's task's: then the stream has none now, and a limit for flushing.
        if Rc::strong_count(&self.inner) == 2 {
            self.inner.wake_flush();
        }
    }
}

impl fmt::Debug for IOStream {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IOStream")
            .field("transport", &self.inner.transport.borrow())
            .field("closed", &self.inner.is_closed())
            .field("buffered", &self.inner.held.borrow().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_stream_is_small() {
        // The two counters of the Rc come on top.
        let size = size_of::<Inner>() + 16;
        println!("an idle stream takes {size} bytes beside its place in the loop's registry");
        assert!(size <= 120, "{size} bytes");
    }
}
