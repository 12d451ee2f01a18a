//! Streams without a descriptor: two ends within one thread.

use crate::{
    IOStream,
    transport::{Memory, Transport},
};

/// Two connected streams on the current loop, without a socket: what is written to one is read from the other.
///
/// For tests, and for protocols inside one program. Nothing passes through the kernel, so a test on a
/// [virtual clock](ioloop::VirtualClock) is fully determined. A pair behaves as a TCP connection does:
///
/// * At most `capacity` bytes are on their way in each direction. Further bytes wait in the writer's queue, as with
///   [back-pressure](IOStream::write) over a network. Memory is allocated only for bytes that are on their way.
/// * [`shutdown_write`](IOStream::shutdown_write) is a FIN: the other end reads what was sent, then the end of input.
/// * Closing an end, or dropping its last handle, is a FIN too, and the other end's writes fail with `EPIPE` from then on.
///   A TCP peer finds that out one write later.
/// * Closing an end that was sent bytes it has not received is a reset. The other end reads what was sent to it before, then
///   `ECONNRESET`; its writes fail at once. Bytes in the closed end's own [buffer](IOStream::buffered) count as received.
///
/// Both ends belong to the thread, as all streams do. They have no addresses, and
/// [`set_nodelay`](IOStream::set_nodelay) does nothing.
///
/// # Panics
///
/// When `capacity` is 0, because nothing could ever be sent.
///
/// # Examples
///
/// A protocol tested without a network:
///
/// ```
/// use iostream::{IOLoop, IOStream, memory, spawn};
///
/// async fn greet(stream: IOStream) -> iostream::Result<()> {
///     let name = stream.read_until(b"\n").max_bytes(100).await?;
///     stream.write([b"Hello, ", &name[..]].concat()).await
/// }
///
/// let (server, client) = memory::pair(64 * 1024);
/// let answer = IOLoop::current().run_sync(async {
///     spawn(greet(server));
///     client.write("world\n").await?;
///     client.read_until_close().await
/// })?;
/// assert_eq!(answer, "Hello, world\n");
/// # Ok::<_, iostream::Error>(())
/// ```
#[inline]
pub fn pair(capacity: usize) -> (IOStream, IOStream) {
    assert!(capacity > 0, "a pair of capacity 0 could never carry a byte");
    let (one, other) = Memory::pair(capacity);
    let stream = |end| IOStream::from_transport(Transport::Other(Box::new(end)), true);
    (stream(one), stream(other))
}
