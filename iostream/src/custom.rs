use std::{
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    task::{Context, Poll},
};

use crate::{
    IOStream,
    transport::{Custom, Transport},
};

/// What carries the bytes of a stream, made by you: a rate limit, a compression, a tunnel, a simulated network.
///
/// [`IOStream::from_custom`] makes a stream of it, with all reads, limits, time-outs and ends of a stream over TCP. A
/// transport has no buffer for reading and no queue for writing: the stream above has them. Three methods are required.
/// The others have defaults that are right but know less, as each of them says.
///
/// # The contract
///
/// * [`poll_recv`](CustomTransport::poll_recv) receives at least one byte; 0 is the end of input, and stays.
///   [`poll_send`](CustomTransport::poll_send) sends at least one byte. An error from either breaks the connection: the
///   stream closes with it as its cause.
/// * A method that is pending keeps the waker it was given and wakes it when it is worth being called again. One place
///   for a waker is enough, the latest is the one to keep: the stream's tasks share a single waker, and a method that is
///   called while nothing waits, as for a write that tries to leave at once, is given that waker too. Waking it once too
///   often does no harm.
/// * Nothing sent is kept back. Bytes that `poll_send` has accepted must reach the peer without another call.
/// * Methods take `&self`, because one task may receive while another one sends. They are never called from two threads,
///   so `Cell` and `RefCell` do. End every borrow before you wake a waker or clone one: both may call the transport again.
/// * A transport is closed by being dropped. The tasks that wait in it are woken by the stream.
///
/// More bytes claimed than were asked for, and 0 bytes sent of some, are mistakes that break the connection. A panic goes to
/// the read or the write that has called the method. While the stream sends by itself what is queued, it closes the stream.
///
/// # Cost
///
/// One box and one shared waker for each stream, and a virtual call for each receive and send. Each wake-up wakes all
/// tasks that wait in the transport.
///
/// # Examples
///
/// A stream that sends at most so many bytes a second over another stream:
///
/// ```
/// use std::{io, task::{Context, Poll, ready}, time::Duration};
/// use iostream::{CustomTransport, IOLoop, IOStream, memory, spawn};
/// use iostream::ioloop::{Deadline, VirtualClock};
///
/// struct RateLimited {
///     stream: IOStream,
///     bytes_per_second: usize,
///     /// When the next piece may leave. Not set while one may leave at once.
///     pause: Deadline,
/// }
///
/// impl RateLimited {
///     fn limit(stream: IOStream, bytes_per_second: usize) -> IOStream {
///         // The stream above decides what follows the end of input.
///         stream.set_half_open(true);
///         let pause = Deadline::new();
///         pause.set_after(Duration::ZERO);
///         IOStream::from_custom(RateLimited { stream, bytes_per_second, pause })
///     }
/// }
///
/// impl CustomTransport for RateLimited {
///     fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
///         self.stream.poll_read_some(cx, buf).map_err(io::Error::from)
///     }
///
///     fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
///         ready!(self.pause.poll_expired(cx));
///         // Back-pressure: what was sent before has left the stream below.
///         ready!(self.stream.poll_flush(cx))?;
///         let piece = data.len().min(self.bytes_per_second.div_ceil(10));
///         let count = ready!(self.stream.poll_write(cx, &data[..piece]))?;
///         self.pause.set_after(Duration::from_secs(count as u64) / self.bytes_per_second as u32);
///         Poll::Ready(Ok(count))
///     }
///
///     fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
///         self.stream.poll_shutdown(cx).map_err(io::Error::from)
///     }
///
///     // Not required. With it the end of the peer is noticed although nobody reads.
///     fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
///         self.stream.poll_peer_closed(cx)
///     }
/// }
///
/// let clock = VirtualClock::auto_advancing();
/// let ioloop = IOLoop::builder().virtual_clock(&clock).build()?;
/// ioloop.run_sync(async {
///     let (ours, theirs) = memory::pair(64 * 1024);
///     let slow = RateLimited::limit(ours, 1000);
///     spawn(async move { slow.write(vec![b'x'; 5000]).await });
///     assert_eq!(theirs.read_until_close().await?.len(), 5000);
///     Ok::<_, iostream::Error>(())
/// })?;
/// assert!(clock.elapsed() >= Duration::from_millis(4900), "{:?}", clock.elapsed());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub trait CustomTransport: 'static {
    /// Receives between 1 and `buf.len()` bytes into the beginning of `buf`. 0 is the end of input. `buf` is not empty.
    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Sends between 1 and `data.len()` bytes from the beginning of `data`, and returns how many. `data` is not empty.
    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;

    /// Tells the peer that nothing more will be sent. Receiving goes on. Everything written has been sent before. May be
    /// called again when it is done.
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// [`poll_send`](CustomTransport::poll_send) of several pieces, as if they were one. At least one byte is there.
    ///
    /// The default sends of the first piece that has bytes.
    fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, pieces.iter().find(|piece| !piece.is_empty()).map_or(&[], |piece| piece))
    }

    /// Ready when [`poll_recv`](CustomTransport::poll_recv) is worth calling. Saves an idle stream the thread's read
    /// chunk while it finds out that it is idle.
    ///
    /// The default is always ready.
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Ready when the peer has ended its input or is gone, although bytes may still wait to be received. Receives nothing.
    ///
    /// The default is pending for ever: the end is then noticed by reading alone, and
    /// [`closed`](IOStream::closed), [`peer_closed`](IOStream::peer_closed) and the close callback of an idle stream
    /// wait for a read to meet it.
    fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Pending
    }

    /// Ready when nothing can be sent any more, because the connection is dead in both directions.
    ///
    /// The default is pending for ever: a half-open stream then finds that out by sending.
    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Pending
    }

    /// Whether it is known, without asking, that [`poll_recv`](CustomTransport::poll_recv) would be ready.
    ///
    /// The default knows nothing: false.
    fn is_readable(&self) -> bool {
        false
    }

    /// Whether it is known, without asking, that [`poll_peer_closed`](CustomTransport::poll_peer_closed) would be ready.
    ///
    /// The default knows nothing: false.
    fn is_peer_closed(&self) -> bool {
        false
    }

    /// Whether it is known, without asking, that [`poll_broken`](CustomTransport::poll_broken) would be ready.
    ///
    /// The default knows nothing: false.
    fn is_broken(&self) -> bool {
        false
    }

    /// The descriptor that carries the bytes, if there is one, for those who want to look at it or set its options.
    ///
    /// The default has none.
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl IOStream {
    /// A stream over a transport of your own, on the current loop. See [`CustomTransport`] for the contract and an example.
    pub fn from_custom(transport: impl CustomTransport) -> IOStream {
        IOStream::from_transport(Transport::Other(Box::new(Custom::new(transport))), true)
    }
}
