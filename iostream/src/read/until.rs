use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use memchr::{memchr, memchr_iter, memmem};

use super::reading::{Reading, opaque_debug};
use crate::{Error, IOStream, Result, buffer::Window};

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

impl<'a> ReadUntilFuture<'a> {
    /// Limits the result, delimiter included; unlimited by default, except by the stream's `max_buffer_size`. When the
    /// delimiter does not end within `limit` bytes, the stream is closed and the read fails with
    /// [`Error::Unsatisfiable`].
    #[inline]
    pub fn max_bytes(mut self, limit: usize) -> Self {
        self.max_bytes = limit;
        self
    }

    /// Appends the result to `buf` and returns how long it is, delimiter included. With a buffer that is used again for
    /// each message, reading allocates nothing.
    ///
    /// # Cancel safety
    ///
    /// A dropped read leaves the bytes in the stream and `buf` as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # use iostream::IOStream;
    /// async fn longest_line(stream: &IOStream) -> iostream::Result<usize> {
    ///     let (mut line, mut longest) = (Vec::new(), 0);
    ///     loop {
    ///         line.clear();
    ///         match stream.read_until(b"\n").max_bytes(4096).append_to(&mut line).await {
    ///             Ok(length) => longest = longest.max(length),
    ///             Err(error) if error.is_closed() => return Ok(longest),
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn append_to<'b>(self, buf: &'b mut Vec<u8>) -> ReadUntilIntoFuture<'a, 'b> {
        ReadUntilIntoFuture { until: self, buf }
    }

    /// Gives the message to `take` as soon as it is there, with the number of its bytes.
    #[inline]
    fn poll_message<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Window<'_, '_>, usize) -> T,
    ) -> Poll<Result<T>> {
        // Of a series of messages that came together, all but the first are found here.
        if let Some(message) = self.held_message(&mut take) {
            return Poll::Ready(Ok(message));
        }
        let ReadUntilFuture { reading, delimiter, max_bytes, scanned } = self;
        let mut message = None;
        ready!(reading.poll(cx, &mut |window| {
            let bytes = window.bytes();
            let allowed = &bytes[..bytes.len().min(*max_bytes)];
            // The first part of a delimiter may have come earlier. What lies before it has been searched, so the cost is
            // linear, and searching need not wait until the buffer has doubled.
            let from = scanned.saturating_sub(delimiter.len() - 1);
            *scanned = allowed.len();
            match find(&allowed[from..], delimiter) {
                Some(end) => message = Some(take(window, from + end)),
                None if allowed.len() == *max_bytes => {}
                None => return false,
            }
            true
        }))?;
        Poll::Ready(message.ok_or_else(|| reading.unsatisfiable(*max_bytes)))
    }

    /// A message that is held already when the read begins. Whatever is less simple is left to the other path.
    #[inline]
    fn held_message<T>(&self, take: impl FnOnce(&mut Window<'_, '_>, usize) -> T) -> Option<T> {
        if !self.reading.is_fresh() {
            return None;
        }
        let mut held = self.reading.stream.inner.held.borrow_mut();
        // As for every message that comes alone.
        if held.is_empty() {
            return None;
        }
        let bytes = held.as_slice();
        let end = find(&bytes[..bytes.len().min(self.max_bytes)], self.delimiter)?;
        Some(take(&mut Window::Held(&mut held), end))
    }
}

impl Future for ReadUntilFuture<'_> {
    type Output = Result<Bytes>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.delimiter.is_empty() {
            return Poll::Ready(Ok(Bytes::new()));
        }
        self.poll_message(cx, |window, length| window.take(length))
    }
}

/// The future of [`ReadUntilFuture::append_to`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadUntilIntoFuture<'a, 'b> {
    until: ReadUntilFuture<'a>,
    buf: &'b mut Vec<u8>,
}

impl Future for ReadUntilIntoFuture<'_, '_> {
    type Output = Result<usize>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadUntilIntoFuture { until, buf } = &mut *self;
        if until.delimiter.is_empty() {
            return Poll::Ready(Ok(0));
        }
        until.poll_message(cx, |window, length| {
            buf.extend_from_slice(&window.bytes()[..length]);
            window.consume(length);
            length
        })
    }
}

impl std::fmt::Debug for ReadUntilIntoFuture<'_, '_> {
    #[inline]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadUntilIntoFuture").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Up to which length a delimiter is looked for by its last byte.
const SHORT: usize = 4;

/// Where the first `needle` in `haystack` ends.
#[inline(always)]
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [byte] => Some(memchr(*byte, haystack)? + 1),
        // A searcher costs more to build than it saves in a line. Each candidate costs a comparison of four bytes at most,
        // so a peer that sends nothing but candidates does not change the order of the cost.
        [.., last] if needle.len() <= SHORT => {
            memchr_iter(*last, haystack).map(|at| at + 1).find(|&end| haystack[..end].ends_with(needle))
        }
        _ => Some(memmem::find(haystack, needle)? + needle.len()),
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

opaque_debug! {
    "ReadUntilFuture" ReadUntilFuture<'_>;
    "ReadUntilCloseFuture" ReadUntilCloseFuture<'_>;
}
