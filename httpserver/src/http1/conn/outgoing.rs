//! What goes out: gathered, sent, and waited for.

use std::{
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use iostream::{WriteFuture, ioloop::Deadline};

use super::Conn;
use crate::{Error, Limits, Result, pool};

/// A wait for a peer to take what is queued, from when it began until the queue is empty. The stream watches over its
/// own silence ([`IOStream::set_write_timeout`](iostream::IOStream::set_write_timeout)); this is about a peer that takes
/// something, and too little.
pub(super) struct Stall {
    deadline: Deadline,
    began: Instant,
    /// Bytes that the kernel had taken when it began.
    sent_before: u64,
}

impl Conn {
    /// Adds to what leaves next. The bytes stay here until the connection has to wait, or ends: so all answers to
    /// requests that came together leave in one send.
    pub(crate) fn with_output<T>(&self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut output = self.output.take().unwrap_or_else(pool::take);
        let result = append(&mut output);
        self.output.set(Some(output));
        result
    }

    /// Hands what is ready to the stream, which sends it at once as far as the kernel takes it.
    pub(crate) fn start_flush(&self) {
        let Some(output) = self.output.take() else { return };
        self.note_queue(&self.stream.write(&output[..]));
        pool::give_back(output);
    }

    /// Hands what is ready and `data` behind it to the stream, in one send as far as the kernel takes it.
    pub(crate) fn start_flush_with(&self, data: Bytes) {
        let output = self.output.take().unwrap_or_default();
        self.note_queue(&self.stream.write_parts(&output, data));
        pool::give_back(output);
    }

    /// A failure shows at the next read or flush; the bytes leave by themselves.
    fn note_queue(&self, write: &WriteFuture) {
        if !write.is_done() {
            self.queued.set(true);
        }
    }

    /// Whether there is anything that the stream was not given yet.
    pub(crate) fn has_output(&self) -> bool {
        let output = self.output.take();
        let has_output = output.is_some();
        self.output.set(output);
        has_output
    }

    /// Whether the stream holds something that the kernel has not taken yet.
    pub(crate) fn has_queue(&self) -> bool {
        self.queued.get()
    }

    /// Waits until the kernel has taken everything.
    ///
    /// # Errors
    ///
    /// [`Error::WriteTimeout`] when the peer takes nothing for too long, [`Error::WriteTooSlow`] when it takes too little; the
    /// stream is closed then. [`Error::Closed`] when the connection has ended.
    #[inline(always)]
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<()>> {
        self.start_flush();
        if self.queued.get() {
            ready!(self.poll_queue(cx, limits))?;
        }
        // What was written to a broken connection is not queued, and so not missed by the stream.
        Poll::Ready(if self.stream.is_closed() { Err(Error::Closed) } else { Ok(()) })
    }

    #[inline(never)]
    fn poll_queue(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<()>> {
        let flushed = self.stream.poll_flush(cx).map_err(|error| match error.is_timed_out() {
            true => Error::WriteTimeout(limits.write_timeout),
            false if error.is_closed() => Error::Closed,
            false => Error::Connection(error),
        });
        if flushed?.is_pending() {
            return self.poll_stall(cx, limits);
        }
        self.queued.set(false);
        self.stall.take();
        Poll::Ready(Ok(()))
    }

    /// Ready with an error when the peer has taken too little for the time that it was waited for.
    fn poll_stall(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<()>> {
        if limits.min_write_rate == 0 {
            return Poll::Pending;
        }
        let stall = self.stall.take().unwrap_or_else(|| {
            let stall = Stall { deadline: Deadline::new(), began: self.now(), sent_before: self.stream.bytes_sent() };
            stall.deadline.set_after(limits.rate_grace);
            Box::new(stall)
        });
        // What the peer has taken meanwhile has bought it time, which is worked out when the time before is over.
        while stall.deadline.poll_expired(cx).is_ready() {
            self.stream.offer_queued();
            let taken = self.stream.bytes_sent() - stall.sent_before;
            let allowed = limits.time_for(taken, limits.min_write_rate);
            let left = allowed.saturating_sub(self.now() - stall.began);
            if left.is_zero() {
                self.stream.close();
                return Poll::Ready(Err(Error::WriteTooSlow));
            }
            stall.deadline.set_after(left);
        }
        self.stall.set(Some(stall));
        Poll::Pending
    }
}
