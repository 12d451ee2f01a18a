use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use memchr::{memchr, memmem};

use super::reading::{Reading, opaque_debug};
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
