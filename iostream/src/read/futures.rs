use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use memchr::{memchr, memmem};

use super::{Parse, Parsed, run_parser};
use crate::{Error, IOStream, Result};

impl IOStream {
    /// Reads up to and including `delimiter`.
    ///
    /// The search resumes where it stopped when more comes, so its cost is linear in the data. An empty delimiter is found
    /// at once. A server should set a limit by [`max_bytes`](ReadUntilFuture::max_bytes).
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the input ends before the delimiter (what came stays buffered), [`Error::Unsatisfiable`]
    /// and [`Error::BufferFull`] at the limits, [`Error::AlreadyReading`].
    ///
    /// # Cancel safety
    ///
    /// A dropped read leaves the bytes in the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// # use iostream::IOStream;
    /// async fn answer_one(stream: &IOStream) -> iostream::Result<()> {
    ///     let line = stream.read_until(b"\r\n").max_bytes(4096).await?;
    ///     stream.write(line).await
    /// }
    /// ```
    pub fn read_until<'a>(&'a self, delimiter: &'a [u8]) -> ReadUntilFuture<'a> {
        ReadUntilFuture { reading: Reading::new(self), delimiter, max_bytes: usize::MAX, scanned: 0 }
    }

    /// Reads exactly `n` bytes; with `n` = 0, none, at once.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the input ends before (what came stays buffered), [`Error::BufferFull`] when `n` exceeds
    /// `max_buffer_size`, [`Error::AlreadyReading`].
    ///
    /// # Cancel safety
    ///
    /// A dropped read leaves the bytes in the stream.
    pub fn read_bytes(&self, n: usize) -> ReadBytesFuture<'_> {
        ReadBytesFuture { reading: Reading::new(self), n }
    }

    /// Reads what there is: at least one byte, at most `max`; with `max` = 0, none, at once.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] at the end of input, [`Error::AlreadyReading`].
    ///
    /// # Cancel safety
    ///
    /// A dropped read leaves the bytes in the stream.
    pub fn read_some(&self, max: usize) -> ReadSomeFuture<'_> {
        ReadSomeFuture { reading: Reading::new(self), max }
    }

    /// Fills `buf` and returns its length. See [`ReadIntoFuture::partial`] for less. The result may be larger than
    /// `max_buffer_size`, as it does not go through the buffer.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the input ends before (what came stays buffered), [`Error::AlreadyReading`].
    ///
    /// # Cancel safety
    ///
    /// A dropped read puts the bytes back into the stream.
    pub fn read_into<'a>(&'a self, buf: &'a mut [u8]) -> ReadIntoFuture<'a> {
        ReadIntoFuture { reading: Reading::new(self), buf, filled: 0, partial: false }
    }

    /// Reads everything up to the end of input. On a stream that is closed already it returns what was
    /// buffered.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the connection breaks instead of ending (what came stays buffered),
    /// [`Error::Unsatisfiable`] and [`Error::BufferFull`] at the limits, [`Error::AlreadyReading`].
    ///
    /// # Cancel safety
    ///
    /// A dropped read leaves the bytes in the stream.
    pub fn read_until_close(&self) -> ReadUntilCloseFuture<'_> {
        ReadUntilCloseFuture { reading: Reading::new(self), max_bytes: usize::MAX }
    }

    /// Reads whatever `parse` makes of the bytes: the primitive below all other reads.
    ///
    /// `parse` is shown all bytes that have come and were not consumed, straight from the thread's read chunk when the
    /// stream held none, and returns how many it consumed. It is called again, with more, while it returns
    /// [`Parsed::Incomplete`], and never with an empty slice. It may use other streams, and write to or close this one,
    /// but not read from it.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the input ends before `parse` is done, [`Error::BufferFull`],
    /// [`Error::AlreadyReading`].
    ///
    /// # Panics
    ///
    /// When the parser claims to have consumed more than it was shown. Then, and when it panics itself, nothing is
    /// consumed.
    ///
    /// # Cancel safety
    ///
    /// A dropped read leaves the bytes in the stream.
    ///
    /// # Examples
    ///
    /// A message behind its length in one byte, read without a copy:
    ///
    /// ```
    /// # use iostream::{IOStream, Parsed};
    /// async fn sum_of_message(stream: &IOStream) -> iostream::Result<u32> {
    ///     stream
    ///         .read_with(|bytes| {
    ///             let end = 1 + bytes[0] as usize;
    ///             match bytes.get(1..end) {
    ///                 Some(message) => Parsed::Done { consumed: end, value: message.iter().map(|&b| u32::from(b)).sum() },
    ///                 None => Parsed::Incomplete,
    ///             }
    ///         })
    ///         .await
    /// }
    /// ```
    pub fn read_with<T, P: FnMut(&[u8]) -> Parsed<T>>(&self, parse: P) -> ReadWithFuture<'_, P> {
        ReadWithFuture { reading: Reading::new(self), parse }
    }
}

/// A read's hold on its stream: from its first poll until it is over or dropped, no other read may begin.
struct Reading<'a> {
    stream: &'a IOStream,
    claimed: bool,
    /// How many of the held bytes the read has seen.
    shown: usize,
}

impl<'a> Reading<'a> {
    #[inline]
    fn new(stream: &'a IOStream) -> Self {
        Reading { stream, claimed: false, shown: 0 }
    }

    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>, parse: &mut Parse<'_>) -> Poll<Result<()>> {
        let inner = &self.stream.inner;
        if !self.claimed && inner.claimed.get() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let result = inner.poll_read(cx, &mut self.shown, parse);
        self.claimed = result.is_pending();
        inner.claimed.set(self.claimed);
        result
    }

    /// The read can never succeed, and where the next message would start is unknown.
    #[inline]
    fn unsatisfiable(&self, limit: usize) -> Error {
        self.stream.close();
        Error::Unsatisfiable { limit }
    }
}

impl Drop for Reading<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.claimed {
            self.stream.inner.claimed.set(false);
        }
    }
}

/// The future of [`IOStream::read_until`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadUntilFuture<'a> {
    reading: Reading<'a>,
    delimiter: &'a [u8],
    max_bytes: usize,
    /// The delimiter does not begin and end within this many bytes.
    scanned: usize,
}

impl ReadUntilFuture<'_> {
    /// Limits the result, delimiter included; unlimited by default, except by the stream's `max_buffer_size`. When the
    /// delimiter does not end within `limit` bytes, the stream is closed and the read fails with
    /// [`Error::Unsatisfiable`].
    #[inline]
    pub fn max_bytes(mut self, limit: usize) -> Self {
        self.max_bytes = limit;
        self
    }
}

impl Future for ReadUntilFuture<'_> {
    type Output = Result<Bytes>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadUntilFuture { reading, delimiter, max_bytes, scanned } = &mut *self;
        if delimiter.is_empty() {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let mut line = None;
        ready!(reading.poll(cx, &mut |window| {
            let bytes = window.bytes();
            let allowed = &bytes[..bytes.len().min(*max_bytes)];
            // The first part of a delimiter may have come earlier.
            let from = scanned.saturating_sub(delimiter.len() - 1);
            *scanned = allowed.len();
            match find(&allowed[from..], delimiter) {
                Some(start) => line = Some(window.take(from + start + delimiter.len())),
                None if allowed.len() == *max_bytes => {}
                None => return false,
            }
            true
        }))?;
        Poll::Ready(line.ok_or_else(|| reading.unsatisfiable(*max_bytes)))
    }
}

#[inline]
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        // Most delimiters are a newline, not worth building a searcher for.
        [byte] => memchr(*byte, haystack),
        _ => memmem::find(haystack, needle),
    }
}

/// The future of [`IOStream::read_bytes`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadBytesFuture<'a> {
    reading: Reading<'a>,
    n: usize,
}

impl Future for ReadBytesFuture<'_> {
    type Output = Result<Bytes>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadBytesFuture { reading, n } = &mut *self;
        if *n == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let inner = &reading.stream.inner;
        if *n > inner.max_buffer_size() && *n > reading.stream.buffered() && !inner.claimed.get() {
            return Poll::Ready(Err(inner.buffer_full()));
        }
        let mut taken = Bytes::new();
        ready!(reading.poll(cx, &mut |window| {
            let enough = window.bytes().len() >= *n;
            if enough {
                taken = window.take(*n);
            }
            enough
        }))?;
        Poll::Ready(Ok(taken))
    }
}

/// The future of [`IOStream::read_some`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadSomeFuture<'a> {
    reading: Reading<'a>,
    max: usize,
}

impl Future for ReadSomeFuture<'_> {
    type Output = Result<Bytes>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadSomeFuture { reading, max } = &mut *self;
        let mut taken = Bytes::new();
        if *max > 0 {
            ready!(reading.poll(cx, &mut |window| {
                taken = window.take(window.bytes().len().min(*max));
                true
            }))?;
        }
        Poll::Ready(Ok(taken))
    }
}

/// The future of [`IOStream::read_into`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadIntoFuture<'a> {
    reading: Reading<'a>,
    buf: &'a mut [u8],
    /// How much of `buf` holds bytes that the read has not yet given to its caller; they go back if it never does.
    filled: usize,
    partial: bool,
}

impl ReadIntoFuture<'_> {
    /// Makes the read complete with one byte or more.
    pub fn partial(mut self) -> Self {
        self.partial = true;
        self
    }
}

impl Future for ReadIntoFuture<'_> {
    type Output = Result<usize>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadIntoFuture { reading, buf, filled, partial } = &mut *self;
        if !buf.is_empty() {
            ready!(reading.poll(cx, &mut |window| {
                let free = &mut buf[*filled..];
                let count = window.bytes().len().min(free.len());
                free[..count].copy_from_slice(&window.bytes()[..count]);
                window.consume(count);
                *filled += count;
                *filled == buf.len() || *partial
            }))?;
        }
        Poll::Ready(Ok(std::mem::take(filled)))
    }
}

impl Drop for ReadIntoFuture<'_> {
    fn drop(&mut self) {
        if self.filled > 0 {
            self.reading.stream.inner.held.borrow_mut().prepend(&self.buf[..self.filled]);
        }
    }
}

/// The future of [`IOStream::read_until_close`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadUntilCloseFuture<'a> {
    reading: Reading<'a>,
    max_bytes: usize,
}

impl ReadUntilCloseFuture<'_> {
    /// Limits the result; unlimited by default, except by the stream's `max_buffer_size`. When more comes, the stream is
    /// closed and the read fails with [`Error::Unsatisfiable`].
    #[inline]
    pub fn max_bytes(mut self, limit: usize) -> Self {
        self.max_bytes = limit;
        self
    }
}

impl Future for ReadUntilCloseFuture<'_> {
    type Output = Result<Bytes>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadUntilCloseFuture { reading, max_bytes } = &mut *self;
        match ready!(reading.poll(cx, &mut |window| window.bytes().len() > *max_bytes)) {
            Ok(()) => Poll::Ready(Err(reading.unsatisfiable(*max_bytes))),
            // The end this read has waited for.
            Err(Error::Closed { cause: None }) => {
                let mut held = reading.stream.inner.held.borrow_mut();
                let all = held.len();
                Poll::Ready(Ok(held.take(all)))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// The future of [`IOStream::read_with`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadWithFuture<'a, P> {
    reading: Reading<'a>,
    parse: P,
}

// The parser is only called, never pinned.
impl<P> Unpin for ReadWithFuture<'_, P> {}

impl<T, P: FnMut(&[u8]) -> Parsed<T>> Future for ReadWithFuture<'_, P> {
    type Output = Result<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadWithFuture { reading, parse } = &mut *self;
        let mut value = None;
        ready!(reading.poll(cx, &mut |window| run_parser(parse, window, &mut value)))?;
        Poll::Ready(Ok(value.expect("a successful read has set its value")))
    }
}

macro_rules! opaque_debug {
    ($($name:literal $future:ty $(, $param:ident)?;)*) => {$(
        impl$(<$param>)? fmt::Debug for $future {
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name).field("stream", self.reading.stream).finish_non_exhaustive()
            }
        }
    )*};
}

opaque_debug! {
    "ReadUntilFuture" ReadUntilFuture<'_>;
    "ReadBytesFuture" ReadBytesFuture<'_>;
    "ReadSomeFuture" ReadSomeFuture<'_>;
    "ReadIntoFuture" ReadIntoFuture<'_>;
    "ReadUntilCloseFuture" ReadUntilCloseFuture<'_>;
    "ReadWithFuture" ReadWithFuture<'_, P>, P;
}
