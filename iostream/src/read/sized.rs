//! Reads of a size that the caller says.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::reading::{Reading, opaque_debug};
use crate::{
    Error, IOStream, Result,
    buffer::{CHUNK_SIZE, PooledBuffer},
};

/// How much memory a large result begins with, in bytes.
const FIRST_ROOM: usize = 256 * 1024;

/// How much room is made for one `recv` into a large result, in bytes. It is zeroed, and should still be in the cache when
/// the kernel copies to it.
const ROOM_STEP: usize = 128 * 1024;

impl IOStream {
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
        ReadBytesFuture { reading: Reading::new(self), n, large: None }
    }

    /// Reads what there is: at least one byte, at most `max`; with `max` = 0, none, at once.
    ///
    /// Costs one `recv` at most, of up to 64 KiB. From 32 KiB on, the result is the memory that was received into, and not
    /// a copy of it. When it has been dropped by the next read, that uses the same memory again.
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
}

/// The future of [`IOStream::read_bytes`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadBytesFuture<'a> {
    reading: Reading<'a>,
    n: usize,
    /// A result that is larger than a chunk, on its way. Boxed, because most are not.
    large: Option<Box<Large>>,
}

impl Future for ReadBytesFuture<'_> {
    type Output = Result<Bytes>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadBytesFuture { reading, n, large } = &mut *self;
        if *n > CHUNK_SIZE && (large.is_some() || *n > reading.stream.buffered()) {
            return self.poll_large(cx);
        }
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

impl ReadBytesFuture<'_> {
    /// Receives into the result itself.
    #[inline]
    fn poll_large(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let ReadBytesFuture { reading, n, large } = self;
        if reading.is_second() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let inner = &reading.stream.inner;
        if *n > inner.max_buffer_size() {
            return Poll::Ready(Err(inner.buffer_full()));
        }
        // What an earlier read has put back is not copied, or a read in a loop of time-outs would copy it each time.
        let result = large.get_or_insert_with(|| Box::new(Large::from(inner.held.borrow_mut().take_large())));
        while result.filled < *n {
            match ready!(reading.poll_into(cx, result.room(*n))) {
                Ok(count) => result.filled += count,
                Err(error) => {
                    self.put_back();
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(large.take().map_or_else(Bytes::new, |result| Bytes::from(result.data))))
    }

    #[inline]
    fn put_back(&mut self) {
        if let Some(result) = self.large.take() {
            self.reading.stream.inner.put_back(result.into_buffer());
        }
    }
}

impl Drop for ReadBytesFuture<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.large.is_some() {
            self.put_back();
        }
    }
}

/// A result that is received into directly.
struct Large {
    /// Received bytes, and room for more that is zeroed already.
    data: Vec<u8>,
    filled: usize,
}

impl Large {
    /// Where the next bytes of a result of `n` go.
    fn room(&mut self, n: usize) -> &mut [u8] {
        if self.filled == self.data.len() {
            // Grows with what comes: a peer that announces much and sends little costs little.
            let len = self.data.len();
            if len == self.data.capacity() {
                self.data.reserve_exact(n.min((2 * len).max(FIRST_ROOM)) - len);
            }
            self.data.resize(n.min(len + ROOM_STEP).min(self.data.capacity()), 0);
        }
        &mut self.data[self.filled..]
    }

    #[inline]
    fn into_buffer(mut self) -> PooledBuffer {
        self.data.truncate(self.filled);
        PooledBuffer::from(self.data)
    }
}

impl From<Vec<u8>> for Large {
    /// Begins with what has come.
    fn from(data: Vec<u8>) -> Large {
        Large { filled: data.len(), data }
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
        if *max == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        reading.poll_take(cx, *max)
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
        while *filled < buf.len() {
            match ready!(reading.poll_into(cx, &mut buf[*filled..])) {
                Ok(count) => *filled += count,
                Err(error) => {
                    self.put_back();
                    return Poll::Ready(Err(error));
                }
            }
            if *partial {
                break;
            }
        }
        Poll::Ready(Ok(mem::take(filled)))
    }
}

impl ReadIntoFuture<'_> {
    /// Gives the stream what the caller will not be told of.
    #[inline]
    fn put_back(&mut self) {
        self.reading.stream.inner.held.borrow_mut().prepend(&self.buf[..mem::take(&mut self.filled)]);
    }
}

impl Drop for ReadIntoFuture<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.filled > 0 {
            self.put_back();
        }
    }
}

opaque_debug! {
    "ReadBytesFuture" ReadBytesFuture<'_>;
    "ReadSomeFuture" ReadSomeFuture<'_>;
    "ReadIntoFuture" ReadIntoFuture<'_>;
}
