//! What goes out: gathered, sent, and waited for.

use std::{
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use iostream::{Write, ioloop::Deadline};

use super::Conn;
use crate::{Error, Limits, Result, pool};

/// A wait for a peer to take what is queued, from when it began to wait until the queue is empty.
pub(super) struct Stall {
    deadline: Deadline,
    began: Instant,
    /// Bytes in the queue when it began.
    queued: usize,
    /// Bytes in the queue when it was last looked at: fewer means progress.
    seen: usize,
    /// When progress was last seen.
    progressed: Instant,
}

/// How often per [`Limits::write_timeout`] a queue is looked at. The stream tells when all has left, and not when some has:
/// progress seen late would let a peer have the time twice.
const LOOKS: u32 = 8;

impl Conn {
    /// Adds to what leaves next. The bytes stay here until the connection has to wait, or ends: so all answers to
    /// requests that came together leave in one send.
    pub(crate) fn with_output<T>(&self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        append(self.output.borrow_mut().get_or_insert_with(pool::take))
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
    fn note_queue(&self, write: &Write) {
        if !write.is_done() {
            self.queued.set(true);
        }
    }

    /// Whether there is anything that the stream was not given yet.
    pub(crate) fn has_output(&self) -> bool {
        self.output.borrow().is_some()
    }

    /// Whether the stream holds something that the kernel has not taken yet.
    pub(crate) fn has_queue(&self) -> bool {
        self.queued.get()
    }

    /// Waits until the kernel has taken everything.
    ///
    /// # Errors
    ///
    /// [`Error::WriteTimeout`] when the peer takes nothing for too long, or too little; the stream is closed then.
    /// [`Error::Closed`] when the connection has ended.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<()>> {
        self.start_flush();
        if self.queued.get() {
            ready!(self.poll_queue(cx, limits))?;
        }
        // What was written to a broken connection is not queued, and so not missed by the stream.
        Poll::Ready(if self.stream.is_closed() { Err(Error::Closed) } else { Ok(()) })
    }

    fn poll_queue(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<()>> {
        let flushed = self.stream.poll_flush(cx).map_err(|error| match error.is_closed() {
            true => Error::Closed,
            false => Error::Connection(error),
        });
        if flushed?.is_ready() {
            self.queued.set(false);
            self.stall.take();
            return Poll::Ready(Ok(()));
        }
        let pending = self.stream.pending_write();
        let mut stall = self.stall.take().unwrap_or_else(|| self.begin_stall(pending));
        let now = self.now();
        if pending != stall.seen {
            stall.seen = pending;
            stall.progressed = now;
        }
        let in_silence = limits.write_timeout.saturating_sub(now - stall.progressed);
        // What the peer has taken buys it time; more than was queued at first may have been queued since.
        let taken = stall.queued.saturating_sub(pending) as u64;
        let by_rate = limits.time_for(taken, limits.min_write_rate).saturating_sub(now - stall.began);
        let left = in_silence.min(by_rate);
        if !left.is_zero() {
            stall.deadline.set_after(left.min(limits.write_timeout / LOOKS));
            if stall.deadline.poll_expired(cx).is_ready() {
                // Shorter than the clock can tell.
                cx.waker().wake_by_ref();
            }
            self.stall.set(Some(stall));
            return Poll::Pending;
        }
        self.stream.close();
        Poll::Ready(Err(Error::WriteTimeout(limits.write_timeout)))
    }

    fn begin_stall(&self, pending: usize) -> Box<Stall> {
        let now = self.now();
        Box::new(Stall { deadline: Deadline::new(), began: now, queued: pending, seen: pending, progressed: now })
    }
}
