use std::{
    future::poll_fn,
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ioloop::{Deadline, yield_now};

use crate::{IOStream, error::loop_is_closed, iostream::Inner};

impl IOStream {
    /// How long a stream whose last handle was dropped waits for a peer that takes nothing of what is queued: 30 s. See
    /// [`set_write_timeout`](IOStream::set_write_timeout).
    pub const DEFAULT_FLUSH_TIMEOUT: Duration = Duration::from_secs(30);
}

/// A stream's limit for waiting without progress, in four bytes, because every idle stream has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteTimeout(u32);

impl WriteTimeout {
    pub(crate) const UNSET: WriteTimeout = WriteTimeout(0);
    const NEVER: WriteTimeout = WriteTimeout(u32::MAX);

    pub(super) fn new(limit: Duration) -> WriteTimeout {
        // Rounded up, and never to what means something else. What is too much for the field is 49 days.
        let millis = limit.as_nanos().div_ceil(1_000_000).max(1);
        u32::try_from(millis).map_or(WriteTimeout::NEVER, WriteTimeout)
    }

    /// `None` when there is no limit. `orphaned`: the stream has no handles.
    pub(crate) fn limit(self, orphaned: bool) -> Option<Duration> {
        match self {
            WriteTimeout::UNSET => orphaned.then_some(IOStream::DEFAULT_FLUSH_TIMEOUT),
            WriteTimeout::NEVER => None,
            WriteTimeout(millis) => Some(Duration::from_millis(millis.into())),
        }
    }
}

/// The task that sends what is queued, until nothing is or the stream is closed. `holds_up`: there is only a writer to be
/// slowed down.
pub(super) async fn send_queue(stream: IOStream, holds_up: bool) {
    let mut sending = Sending { stream, is_over: false };
    // Tasks that wake each other do not make the loop look at the descriptors; one that yields does.
    if holds_up {
        yield_now().await;
    }
    let inner = &sending.stream.inner;
    let mut stall = Stall::default();
    poll_fn(|cx| {
        if inner.poll_drain(cx).is_ready() {
            return Poll::Ready(());
        }
        inner.keep_flush(cx);
        stall.poll(cx, inner)
    })
    .await;
    sending.is_over = true;
}

/// The stream of a queue's task. When the task goes before its end, because a transport of the user's has panicked or the
/// loop was closed, nobody sends the rest, and the writers are told.
struct Sending {
    stream: IOStream,
    is_over: bool,
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.is_over {
            let is_closed = self.stream.inner.ioloop().is_none_or(|ioloop| ioloop.is_closed());
            let cause = if is_closed { loop_is_closed() } else { io::Error::other("sending has panicked") };
            self.stream.inner.close(Some(Arc::new(cause)));
        }
    }
}

/// A time of waiting in which nothing left.
#[derive(Default)]
struct Stall {
    /// Made when waiting begins, which most queues never come to.
    deadline: Option<Deadline>,
    /// The count of sent bytes and the limit for which the deadline was set.
    set_for: Option<(u64, Option<Duration>)>,
    /// How many parts of the limit have passed.
    silent: u32,
}

/// In how many parts a time-out is waited for. Behind each the kernel is offered the queue again, since it may have room
/// that it does not tell of; so a limit is kept to within an eighth of itself.
const PARTS: u32 = 8;

impl Stall {
    /// Ready when the peer was given up.
    fn poll(&mut self, cx: &mut Context<'_>, inner: &Rc<Inner>) -> Poll<()> {
        // The one handle that is left then is the task's own.
        let limit = inner.write_timeout.get().limit(Rc::strong_count(inner) == 1);
        let deadline = self.deadline.get_or_insert_with(Deadline::new);
        let current = Some((inner.sent.get(), limit));
        if self.set_for != current {
            self.set_for = current;
            self.silent = 0;
            limit.map_or_else(|| deadline.clear(), |limit| deadline.set_after(limit / PARTS));
        }
        let Some(limit) = limit else { return Poll::Pending };
        if deadline.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        self.silent += 1;
        if inner.offer_queued() || self.silent < PARTS {
            // The task looks at what is left, and comes here again with the next part of the limit.
            deadline.set_after(limit / PARTS);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        inner.give_up(limit);
        Poll::Ready(())
    }
}

impl Inner {
    fn give_up(self: &Rc<Self>, limit: Duration) {
        log::debug!("closing the connection with {}, which has taken nothing for {limit:?}", self.peer());
        let cause = io::Error::new(io::ErrorKind::TimedOut, format!("the peer has taken nothing for {limit:?}"));
        self.close(Some(Arc::new(cause)));
    }

    /// Keeps the waker of the queue's task, which is to be told when the limit may have changed.
    fn keep_flush(&self, cx: &mut Context<'_>) {
        if let Some(queue) = self.queue.borrow_mut().as_mut()
            && queue.task.is_none()
        {
            // The loop's own waker: cloning it runs no foreign code.
            queue.task = Some(cx.waker().clone());
        }
    }

    /// Makes the queue's task look at its limit again.
    pub(crate) fn wake_flush(&self) {
        let task = self.queue.borrow_mut().as_mut().and_then(|queue| queue.task.take());
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_survive_their_four_bytes() {
        let limit = |set| WriteTimeout::new(set).limit(false);
        assert_eq!(limit(Duration::ZERO), Some(Duration::from_millis(1)));
        assert_eq!(limit(Duration::from_micros(1500)), Some(Duration::from_millis(2)));
        assert_eq!(limit(Duration::from_secs(3600)), Some(Duration::from_secs(3600)));
        assert_eq!(limit(Duration::MAX), None);
        assert_eq!(WriteTimeout::UNSET.limit(false), None);
        assert_eq!(WriteTimeout::UNSET.limit(true), Some(Duration::from_secs(30)));
    }
}
