//! Reads by a parser of the caller's: what all other reads amount to.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::reading::{Reading, opaque_debug};
use crate::{Error, IOStream, Result, buffer::Window};

/// What a parser made of the bytes it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<T> {
    /// More is needed. Nothing is consumed: the parser is shown the same bytes again, with more behind them.
    Incomplete,
    /// The read is over.
    Done {
        /// How many of the bytes shown are used up; the rest stays in the stream.
        consumed: usize,
        /// What the read returns.
        value: T,
    },
}

impl IOStream {
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

    /// The polling form of [`read_with`](IOStream::read_with), for hand-written futures. The parser may be shown the bytes
    /// that it has seen in an earlier poll once more, with none behind them.
    ///
    /// # Errors
    ///
    /// As [`read_with`](IOStream::read_with). Two tasks that poll one stream by this function go unnoticed, and each gets
    /// some of the bytes.
    ///
    /// # Panics
    ///
    /// When the parser claims to have consumed more than it was shown. Then, and when it panics itself, nothing is
    /// consumed.
    pub fn poll_read_with<T>(
        &self,
        cx: &mut Context<'_>,
        mut parse: impl FnMut(&[u8]) -> Parsed<T>,
    ) -> Poll<Result<T>> {
        // A pending future has bytes of its own to be shown, in its own order.
        if self.inner.claimed.get() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let inner = &self.inner;
        let mut shown = 0;
        // Nearly always nothing is held, and what one `recv` brings is all that the parser wants. The general way goes
        // over `dyn` and a window, and costs a third more.
        if inner.held.borrow().is_empty() && !inner.parsing.get() {
            let (mut chunk, count) = ready!(inner.poll_chunk(cx))?;
            if let Some(value) = inner.show_fresh(&mut chunk, count, &mut parse) {
                return Poll::Ready(Ok(value));
            }
            // What it left is held now; it has seen all of that.
            shown = count;
        }
        let mut value = None;
        ready!(inner.poll_read(cx, &mut shown, &mut |window| run_parser(&mut parse, window, &mut value)))?;
        Poll::Ready(Ok(value.expect("a successful read has set its value")))
    }

    /// Shows the parser what is buffered, without waiting and without a system call. `None` when nothing is, when the
    /// parser needs more, and while another read is under way.
    ///
    /// # Panics
    ///
    /// When the parser claims to have consumed more than it was shown. Then, and when it panics itself, nothing is
    /// consumed.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOStream, Parsed};
    ///
    /// /// The next line, if it has come along with the previous one.
    /// fn next_line(stream: &IOStream) -> Option<String> {
    ///     stream.try_read_with(|bytes| match bytes.iter().position(|&byte| byte == b'\n') {
    ///         Some(end) => Parsed::Done {
    ///             consumed: end + 1,
    ///             value: String::from_utf8_lossy(&bytes[..end]).into_owned(),
    ///         },
    ///         None => Parsed::Incomplete,
    ///     })
    /// }
    /// ```
    pub fn try_read_with<T>(&self, mut parse: impl FnMut(&[u8]) -> Parsed<T>) -> Option<T> {
        let inner = &self.inner;
        if inner.claimed.get() || inner.parsing.get() || inner.held.borrow().is_empty() {
            return None;
        }
        inner.show_all_held(&mut parse)
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

/// Runs a user's parser over a window.
fn run_parser<T>(
    parse: &mut impl FnMut(&[u8]) -> Parsed<T>,
    window: &mut Window<'_, '_>,
    value: &mut Option<T>,
) -> bool {
    let shown = window.bytes();
    match parse(shown) {
        Parsed::Incomplete => false,
        Parsed::Done { consumed, value: parsed } => {
            assert!(consumed <= shown.len(), "the parser consumed {consumed} of {} bytes", shown.len());
            window.consume(consumed);
            *value = Some(parsed);
            true
        }
    }
}

opaque_debug! {
    "ReadWithFuture" ReadWithFuture<'_, P>, P;
}
