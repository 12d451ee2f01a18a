use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use regex::bytes::Regex;

use super::reading::{Reading, opaque_debug};
use crate::{Error, IOStream, Result};

impl IOStream {
    /// Reads up to and including the first match of `regex`, as soon as what has come matches.
    ///
    /// What has come is all that the regex sees, so it should end with what ends the message. `\d+\n` reads a number;
    /// `\d+` reads the digits that happen to have come, although more may follow. In the same way `$` matches at the end of
    /// what has come.
    ///
    /// When more comes, the search begins again at the first byte, since a match may begin anywhere. While yet more waits
    /// in the kernel, it is put off until the buffer has doubled. So what comes at once costs a search that is linear in
    /// it, but a message that comes in many packets is searched once for each of them, from its beginning: a peer that
    /// sends single bytes makes that quadratic. [`max_bytes`](ReadUntilRegexFuture::max_bytes) bounds it, and a server
    /// should set that. Where a delimiter of fixed bytes will do, [`read_until`](IOStream::read_until) is always linear,
    /// and faster.
    ///
    /// The crate `regex` is built with few of its features here. A program that depends on it with the default features
    /// has its Unicode classes, and its searches for literals, here too.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the input ends without a match (what came stays buffered), [`Error::Unsatisfiable`]
    /// and [`Error::BufferFull`] at the limits, [`Error::AlreadyReading`].
    ///
    /// # Cancel safety
    ///
    /// A dropped read leaves the bytes in the stream.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOLoop, memory, regex::bytes::Regex};
    ///
    /// let blank_line = Regex::new(r"\r?\n\r?\n").expect("a valid regex");
    /// let (stream, peer) = memory::pair(100);
    /// let head = IOLoop::current().run_sync(async {
    ///     peer.write("GET /\nHost: here\n\nbody").await?;
    ///     stream.read_until_regex(&blank_line).max_bytes(1000).await
    /// })?;
    /// assert_eq!(head, "GET /\nHost: here\n\n");
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub fn read_until_regex<'a>(&'a self, regex: &'a Regex) -> ReadUntilRegexFuture<'a> {
        ReadUntilRegexFuture {
            reading: Reading::new(self),
            search: Search { regex, max_bytes: usize::MAX, searched: 0 },
        }
    }
}

/// The future of [`IOStream::read_until_regex`].
#[must_use = "futures do nothing unless awaited"]
pub struct ReadUntilRegexFuture<'a> {
    reading: Reading<'a>,
    search: Search<'a>,
}

impl ReadUntilRegexFuture<'_> {
    /// Limits the result; unlimited by default, except by the stream's `max_buffer_size`. When the first match does not
    /// end within `limit` bytes, the stream is closed and the read fails with [`Error::Unsatisfiable`].
    #[inline]
    pub fn max_bytes(mut self, limit: usize) -> Self {
        self.search.max_bytes = limit;
        self
    }
}

impl Future for ReadUntilRegexFuture<'_> {
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ReadUntilRegexFuture { reading, search } = &mut *self;
        let inner = &reading.stream.inner;
        let mut found = None;
        let result = reading.poll(cx, &mut |window| {
            let bytes = window.bytes();
            // Tornado's rule: a search for each piece of a long message would be quadratic.
            let put_off = reading.stream.is_readable()
                && bytes.len() < inner.max_buffer_size().min(search.max_bytes)
                && bytes.len() < 2 * search.searched;
            if put_off {
                return false;
            }
            found = search.end_of_match(bytes).map(|end| end.map(|end| window.take(end)));
            found.is_some()
        });
        // What was still to come turned out to be nothing, for now or for ever: a search that was put off is due.
        if matches!(result, Poll::Pending | Poll::Ready(Err(Error::Closed { .. }))) {
            let mut held = inner.held.borrow_mut();
            found = search.end_of_match(held.as_slice()).map(|end| end.map(|end| held.take(end)));
            drop(held);
        }
        match found {
            None => result.map_ok(|()| Bytes::new()),
            Some(found) => {
                reading.release();
                Poll::Ready(found.ok_or_else(|| reading.unsatisfiable(search.max_bytes)))
            }
        }
    }
}

struct Search<'a> {
    regex: &'a Regex,
    max_bytes: usize,
    /// There is no match in this many bytes.
    searched: usize,
}

impl Search<'_> {
    /// Where the result ends, within the limit or not at all. `None` when it takes more to tell.
    fn end_of_match(&mut self, bytes: &[u8]) -> Option<Option<usize>> {
        if bytes.len() == self.searched {
            return None;
        }
        self.searched = bytes.len();
        // All bytes, and not only those within the limit: a number that is longer is no number where it is cut off.
        match self.regex.find(bytes) {
            Some(found) => Some(Some(found.end()).filter(|&end| end <= self.max_bytes)),
            None => (bytes.len() >= self.max_bytes).then_some(None),
        }
    }
}

opaque_debug! {
    "ReadUntilRegexFuture" ReadUntilRegexFuture<'_>;
}
