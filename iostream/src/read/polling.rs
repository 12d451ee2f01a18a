//! Reading for hand-written futures and for the traits of other libraries: bytes into a buffer, and a look at what is
//! there.

use std::{
    fmt, mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use crate::{Error, IOStream, Result, buffer::PooledBuffer, iostream::Inner, marks::Mark};

impl IOStream {
    /// Reads what there is into `buf`: at least one byte, and 0 only at the end of input or when `buf` is empty. The
    /// polling form of [`read_into`](IOStream::read_into) with `partial`, with the end as `AsyncRead` reports it.
    ///
    /// Costs one `recv` at most. A buffer of 16 KiB or more is received into directly; for a smaller one as much is
    /// received as the thread's read chunk takes, and the rest is kept for the next read.
    ///
    /// The stream closes itself at the end of input unless it is [half open](IOStream::set_half_open), which is what
    /// users of `AsyncRead` expect.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the connection has broken or the stream was closed here, and what had come before was read;
    /// [`Error::AlreadyReading`] while the future of another read is pending. Two tasks that poll one stream by this
    /// function go unnoticed, and each gets some of the bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use iostream::{IOLoop, memory};
    ///
    /// let (stream, peer) = memory::pair(100);
    /// let mut buf = [0; 10];
    /// IOLoop::current().run_sync(async {
    ///     peer.write("four").await?;
    ///     peer.close();
    ///     assert_eq!(poll_fn(|cx| stream.poll_read_some(cx, &mut buf)).await?, 4);
    ///     assert_eq!(poll_fn(|cx| stream.poll_read_some(cx, &mut buf)).await?, 0);
    ///     Ok::<_, iostream::Error>(())
    /// })?;
    /// assert_eq!(&buf[..4], b"four");
    /// # Ok::<_, iostream::Error>(())
    /// ```
    #[inline]
    pub fn poll_read_some(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.inner.claimed.get() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let result = ready!(self.inner.poll_receive_into(cx, buf));
        Poll::Ready(self.inner.or_end(result))
    }

    /// The polling form of [`read_some`](IOStream::read_some): what there is, as bytes of their own, and not copied when
    /// they are many.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] at the end of input; [`Error::AlreadyReading`] while the future of another read is pending. Two
    /// tasks that poll one stream by this function go unnoticed, and each gets some of the bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use iostream::{IOLoop, memory};
    ///
    /// let (stream, peer) = memory::pair(100);
    /// IOLoop::current().run_sync(async {
    ///     peer.write("four").await?;
    ///     assert_eq!(poll_fn(|cx| stream.poll_read_chunk(cx, 3)).await?, "fou");
    ///     assert_eq!(poll_fn(|cx| stream.poll_read_chunk(cx, 3)).await?, "r");
    ///     peer.close();
    ///     assert!(poll_fn(|cx| stream.poll_read_chunk(cx, 3)).await.unwrap_err().is_closed());
    ///     Ok::<_, iostream::Error>(())
    /// })?;
    /// # Ok::<_, iostream::Error>(())
    /// ```
    #[inline]
    pub fn poll_read_chunk(&self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes>> {
        if max == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        if self.inner.claimed.get() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        self.inner.poll_take(cx, max)
    }
}

/// A stream with its read buffer lent out: what has come can be looked at as a slice, as [`std::io::BufRead`] and
/// `AsyncBufRead` have it.
///
/// The reader holds the stream's buffer from a [`poll_fill_buf`](BufReader::poll_fill_buf) that finds bytes until all of
/// them are consumed. Meanwhile every other read of the stream fails with [`Error::AlreadyReading`], and
/// [`IOStream::buffered`] does not count them. Dropping the reader puts them back into the stream.
///
/// For parsing, [`read_with`](IOStream::read_with) needs no reader and no copy.
///
/// # Examples
///
/// ```
/// use std::future::poll_fn;
/// use iostream::{BufReader, IOLoop, memory};
///
/// let (stream, peer) = memory::pair(100);
/// IOLoop::current().run_sync(async {
///     peer.write("key=value").await?;
///     let mut reader = BufReader::new(stream.clone());
///     let key = poll_fn(|cx| {
///         reader.poll_fill_buf(cx).map_ok(|bytes| bytes.iter().take_while(|&&byte| byte != b'=').count())
///     });
///     let length = key.await?;
///     reader.consume(length);
///     drop(reader);
///     assert_eq!(stream.read_bytes(6).await?, "=value");
///     Ok::<_, iostream::Error>(())
/// })?;
/// # Ok::<_, iostream::Error>(())
/// ```
pub struct BufReader {
    stream: IOStream,
    /// The stream's own while it is not empty, and then the stream is claimed.
    buffer: PooledBuffer,
}

impl BufReader {
    /// A reader of `stream`. Costs nothing yet.
    pub fn new(stream: IOStream) -> BufReader {
        BufReader { stream, buffer: PooledBuffer::default() }
    }

    /// The stream that is read from.
    pub fn get_ref(&self) -> &IOStream {
        &self.stream
    }

    /// The bytes that are there, without waiting and without a system call.
    #[inline]
    pub fn buffer(&self) -> &[u8] {
        self.buffer.as_slice()
    }

    /// The bytes that have come and were not consumed: at least one, and none only at the end of input. Receives only when
    /// nothing is there.
    ///
    /// # Errors
    ///
    /// As [`IOStream::poll_read_some`].
    #[inline]
    pub fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        if self.buffer.is_empty() {
            let inner = &self.stream.inner;
            if inner.claimed.get() {
                return Poll::Ready(Err(Error::AlreadyReading));
            }
            let result = ready!(inner.poll_lend(cx));
            self.buffer = inner.or_end(result)?;
            inner.claimed.set(!self.buffer.is_empty());
        }
        Poll::Ready(Ok(self.buffer.as_slice()))
    }

    /// Removes the first `n` bytes of what [`poll_fill_buf`](BufReader::poll_fill_buf) has returned.
    ///
    /// # Panics
    ///
    /// When there are fewer.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        let there = self.buffer.len();
        assert!(n <= there, "consumed {n} of {there} bytes");
        if n > 0 {
            self.buffer.consume(n);
            self.stream.inner.claimed.set(!self.buffer.is_empty());
        }
    }

    /// Reads what there is into `buf`, as [`IOStream::poll_read_some`].
    ///
    /// # Errors
    ///
    /// As [`IOStream::poll_read_some`].
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        if self.buffer.is_empty() {
            return self.stream.poll_read_some(cx, buf);
        }
        let count = self.buffer.move_to(buf);
        self.stream.inner.claimed.set(!self.buffer.is_empty());
        Poll::Ready(Ok(count))
    }
}

impl Drop for BufReader {
    #[inline]
    fn drop(&mut self) {
        if !self.buffer.is_empty() {
            self.stream.inner.put_back(mem::take(&mut self.buffer));
            self.stream.inner.claimed.set(false);
        }
    }
}

impl fmt::Debug for BufReader {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader").field("stream", &self.stream).field("buffer", &self.buffer.len()).finish()
    }
}

impl Inner {
    /// The stream's buffer, with at least one byte in it.
    #[inline]
    fn poll_lend(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<PooledBuffer>> {
        if self.parsing.get() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        if self.held.borrow().is_empty() {
            let (mut chunk, count) = ready!(self.poll_chunk_apart(cx))?;
            self.held.borrow_mut().hold(&mut chunk, 0..count);
        }
        Poll::Ready(Ok(self.held.take()))
    }

    /// Puts bytes back in front of what has come meanwhile.
    #[inline]
    pub(super) fn put_back(&self, mut bytes: PooledBuffer) {
        let mut held = self.held.borrow_mut();
        bytes.append(held.as_slice());
        *held = bytes;
    }

    /// An orderly end of input as nothing, for callers that know it by that.
    fn or_end<T: Default>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(Error::Closed { .. }) if self.marks.has(Mark::EOF) => Ok(T::default()),
            result => result,
        }
    }
}
