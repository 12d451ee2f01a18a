//! What goes out: gathered, sent, and waited for.
//!
//! Bytes pass through two places. The output is a pooled buffer to which heads and small bodies are appended; it exists
//! only while something is in it. A flush hands it to the stream, which offers it to the kernel at once. What the
//! kernel does not take is queued in the stream and leaves by itself; [`poll_flush`](Conn::poll_flush) is the wait for
//! that, and the back-pressure.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use iostream::{FilePart, WriteFuture, ioloop::Deadline};

use super::Conn;
use crate::{Error, Limits, Result, pool};

/// How much is gathered before it is sent, in bytes. With the last piece on top, also the most that a body is ahead of
/// its receiver.
pub(crate) const GATHER: usize = 64 * 1024;

/// Pieces from this size on are sent from where they are; smaller ones are copied together.
pub(crate) const SEND_WHOLE_FROM: usize = 8 * 1024;

/// After how many bytes, or pieces, that had not to wait the rest of the loop has its turn.
pub(crate) const YIELD_AFTER_BYTES: usize = 1024 * 1024;
pub(crate) const YIELD_AFTER_PIECES: usize = 1024;

/// A wait for a peer to take what is queued, from when it began until the queue is empty. The stream watches over its
/// own silence ([`IOStream::set_write_timeout`](iostream::IOStream::set_write_timeout)); this is about a peer that takes
/// something, and too little.
///
/// Boxed and held only while it lasts: most peers take everything at once, and an idle connection has none.
pub(super) struct Stall {
    /// When the bytes taken so far no longer suffice.
    deadline: Deadline,
    began: Instant,
    /// Bytes that the kernel had taken when it began.
    sent_before: u64,
}

impl Conn {
    /// Adds to what leaves next. The bytes stay here until the connection has to wait, or ends: so all answers to
    /// requests that came together leave in one send.
    pub(crate) fn with_output<T>(&self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        // Out of its place while it is appended to, so there is no borrow to end. A buffer of the pool: a request in
        // the steady state allocates none.
        let mut output = self.output.take().unwrap_or_else(pool::take);
        let result = append(&mut output);
        self.output.set(Some(output));
        result
    }

    /// Hands what is ready to the stream, which sends it at once as far as the kernel takes it.
    pub(crate) fn start_flush(&self) {
        let Some(output) = self.output.take() else { return };
        // As a slice: the kernel nearly always takes all of it, and the buffer goes back to the pool. What it leaves is
        // copied. A failure shows at the next read or flush.
        if self.stream.write_unawaited(&output) {
            self.queued.set(true);
        }
        pool::give_back(output);
    }

    /// Hands what is ready and `data` behind it to the stream, in one send as far as the kernel takes it.
    pub(crate) fn start_flush_with(&self, data: Bytes) {
        // Between the large pieces of a counted body there is none.
        let Some(output) = self.output.take() else {
            return self.note_queue(&self.stream.write_parts(&[], data));
        };
        self.note_queue(&self.stream.write_parts(&output, data));
        pool::give_back(output);
    }

    /// Hands what is ready and a part of a file behind it to the stream. Large files leave as the peer reads them, and
    /// [`poll_flush`](Conn::poll_flush) waits for that.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the connection has ended. Otherwise nothing was sent, because the stream has refused it. A file
    /// that has become shorter than the part closes the stream, when its end is met.
    #[inline]
    pub(crate) fn start_file(&self, cx: &mut Context<'_>, part: FilePart) -> Result<()> {
        let output = self.output.take().unwrap_or_else(pool::take);
        let mut write = self.stream.send_file_behind(&output, part);
        match Pin::new(&mut write).poll(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Pending => self.queued.set(true),
            Poll::Ready(Err(error)) => {
                // Nothing of it was sent, and it may hold earlier answers.
                self.output.set(Some(output));
                return Err(if error.is_closed() { Error::Closed } else { Error::other(error) });
            }
        }
        pool::give_back(output);
        Ok(())
    }

    /// Notes whether the stream has queued something. A failure shows at the next read or flush; the bytes leave by
    /// themselves, so the future is not awaited.
    fn note_queue(&self, write: &WriteFuture) {
        if !write.is_done() {
            self.queued.set(true);
        }
    }

    /// Whether there is anything that the stream was not given yet.
    pub(crate) fn has_output(&self) -> bool {
        // A cell of something that is not `Copy` can only be looked at by taking it out.
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
    /// [`Error::WriteTimeout`] when the peer takes nothing for too long, [`Error::WriteTooSlow`] when it takes too
    /// little; the stream is closed then. [`Error::Closed`] when the connection has ended.
    // Inlined into the wait for a request, where nearly always nothing is queued: then it is a send and two flags.
    #[inline(always)]
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<()>> {
        self.start_flush();
        if self.queued.get() {
            ready!(self.poll_queue(cx, limits))?;
        }
        // What was written to a broken connection is not queued, and so not missed by the stream.
        Poll::Ready(if self.stream.is_closed() { Err(Error::Closed) } else { Ok(()) })
    }

    /// Waits until the stream's queue is empty.
    #[inline(never)]
    fn poll_queue(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<()>> {
        let flushed = self.stream.poll_flush(cx).map_err(|error| match error.is_timed_out() {
            true => Error::WriteTimeout(limits.write_timeout),
            false if error.is_closed() => Error::Closed,
            false => Error::connection(error),
        });
        if flushed?.is_pending() {
            return self.poll_stall(cx, limits);
        }
        self.queued.set(false);
        // A later wait is measured afresh: time in which nothing was queued is not the peer's.
        self.take_stall();
        Poll::Ready(Ok(()))
    }

    /// Ready with an error when the peer has taken too little for the time that it was waited for.
    ///
    /// The first check comes after `rate_grace`, and each later one when the bytes taken by then no longer suffice. So
    /// a peer that reads costs a check now and then, not one for each packet.
    fn poll_stall(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<()>> {
        if limits.min_write_rate == 0 {
            return Poll::Pending;
        }
        let stall = self.take_stall().unwrap_or_else(|| {
            let stall = Stall { deadline: Deadline::new(), began: self.now(), sent_before: self.stream.bytes_sent() };
            stall.deadline.set_after(limits.rate_grace);
            Box::new(stall)
        });
        // What the peer has taken meanwhile has bought it time, which is worked out when the time before is over.
        while stall.deadline.poll_expired(cx).is_ready() {
            // The kernel tells of room only when a third of its buffer is free. A peer that reads steadily would look
            // as if it had taken nothing, so the queue is offered once more before it is judged.
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
        self.rare().stall.set(Some(stall));
        Poll::Pending
    }
}
