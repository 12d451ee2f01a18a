use std::task::{Context, Poll};

use bytes::Bytes;

use super::Parse;
use crate::{Error, IOStream, Result};

/// A read's hold on its stream: from its first poll until it is over or dropped, no other read may begin.
pub(super) struct Reading<'a> {
    pub(super) stream: &'a IOStream,
    claimed: bool,
    /// How many of the held bytes the read has seen.
    shown: usize,
}

impl<'a> Reading<'a> {
    #[inline]
    pub(super) fn new(stream: &'a IOStream) -> Self {
        Reading { stream, claimed: false, shown: 0 }
    }

    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, parse: &mut Parse<'_>) -> Poll<Result<()>> {
        if self.is_second() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let result = self.stream.inner.poll_read(cx, &mut self.shown, parse);
        self.claim(result.is_pending());
        result
    }

    /// Whether the read begins now, and what is held may be taken without asking further.
    #[inline]
    pub(super) fn is_fresh(&self) -> bool {
        let inner = &self.stream.inner;
        !self.claimed && !inner.claimed.get() && !inner.parsing.get()
    }

    /// Moves what has come to `buf`, which is not empty, past the stream's buffer where that saves a copy.
    #[inline]
    pub(super) fn poll_into(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        if self.is_second() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let result = self.stream.inner.poll_receive_into(cx, buf);
        self.claim(result.is_pending());
        result
    }

    /// Takes what has come, at most `max` bytes, with the memory that it was received in if it is much.
    #[inline]
    pub(super) fn poll_take(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes>> {
        if self.is_second() {
            return Poll::Ready(Err(Error::AlreadyReading));
        }
        let result = self.stream.inner.poll_take(cx, max);
        self.claim(result.is_pending());
        result
    }

    /// Whether another read is under way.
    #[inline]
    pub(super) fn is_second(&self) -> bool {
        !self.claimed && self.stream.inner.claimed.get()
    }

    #[inline]
    fn claim(&mut self, pending: bool) {
        self.claimed = pending;
        self.stream.inner.claimed.set(pending);
    }

    /// The read is over although its last poll found nothing.
    #[cfg(feature = "regex")]
    pub(super) fn release(&mut self) {
        if self.claimed {
            self.claim(false);
        }
    }

    /// The read can never succeed, and where the next message would start is unknown.
    #[inline]
    pub(super) fn unsatisfiable(&self, limit: usize) -> Error {
        log::debug!("closing the connection with {}: no end within {limit} bytes", self.stream.inner.peer());
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

/// `Debug` for futures of reads, which says no more than whose they are.
macro_rules! opaque_debug {
    ($($name:literal $future:ty $(, $param:ident)?;)*) => {$(
        impl$(<$param>)? std::fmt::Debug for $future {
            #[inline]
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct($name).field("stream", self.reading.stream).finish_non_exhaustive()
            }
        }
    )*};
}

pub(super) use opaque_debug;
