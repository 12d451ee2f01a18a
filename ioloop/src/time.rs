use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;

use crate::{
    Error, IOLoop, Result,
    arena::Key,
    clock::nanos,
    timer::{Action, NEVER},
};

/// Waits for `duration`, counted from this call, on the current loop. Costs one timer; precise to the poller's
/// millisecond, never early.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # ioloop::IOLoop::current().run_sync(async {
/// ioloop::sleep(Duration::from_millis(2)).await;
/// # });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    let ioloop = IOLoop::current();
    let due = ioloop.clock_nanos().saturating_add(nanos(duration));
    Sleep { deadline: Deadline::due_at(ioloop, due) }
}

/// Waits until `when`, on the current loop.
pub fn sleep_until(when: Instant) -> Sleep {
    let ioloop = IOLoop::current();
    let due = ioloop.nanos(when);
    Sleep { deadline: Deadline::due_at(ioloop, due) }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Cancel safety
///
/// Dropping it cancels the timer.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Deadline,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline.poll_expired(cx)
    }
}

/// Gives `future` at most `limit`, counted from this call.
///
/// # Errors
///
/// [`Error::TimedOut`] when the time is over first; the future is dropped with the `Timeout`.
///
/// # Examples
///
/// ```
/// # use std::{future::pending, time::Duration};
/// # ioloop::IOLoop::current().run_sync(async {
/// let result = ioloop::timeout(Duration::from_millis(2), pending::<()>()).await;
/// assert!(result.unwrap_err().is_timed_out());
/// # });
/// ```
pub fn timeout<F: Future>(limit: Duration, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep(limit) }
}

pin_project! {
    /// The future of [`timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.deadline.poll_expired(cx).map(|()| Err(Error::TimedOut))
    }
}

/// A point in time that moves, for the time-outs of a connection: one timer, kept as long as the holder lives. Moving it
/// to later, which happens with every request, is a store; the timer that fires too early re-arms itself.
///
/// Belongs to the loop that was current when it was made. One task may wait for it.
///
/// # Examples
///
/// ```
/// # use std::{future::poll_fn, time::Duration};
/// # ioloop::IOLoop::current().run_sync(async {
/// let deadline = ioloop::Deadline::new();
/// deadline.set_after(Duration::from_secs(3600));
/// deadline.set_after(Duration::from_millis(2));
/// poll_fn(|cx| deadline.poll_expired(cx)).await;
/// assert!(deadline.is_expired());
/// # });
/// ```
pub struct Deadline {
    ioloop: IOLoop,
    timer: Key,
}

impl Deadline {
    /// A deadline of the current loop that is not set yet.
    pub fn new() -> Deadline {
        Deadline::due_at(IOLoop::current(), NEVER)
    }

    fn due_at(ioloop: IOLoop, due: u64) -> Deadline {
        let timer = ioloop.insert_timer(due, Action::Wake(None));
        Deadline { ioloop, timer }
    }

    /// The loop it belongs to.
    pub fn ioloop(&self) -> &IOLoop {
        &self.ioloop
    }

    /// Moves it to `when`.
    pub fn set(&self, when: Instant) {
        self.set_nanos(self.ioloop.nanos(when));
    }

    /// Moves it to `duration` after the beginning of this turn of the loop, which costs no look at the clock. The rest of
    /// the turn counts as waiting: meant for time-outs that are long against a turn.
    pub fn set_after(&self, duration: Duration) {
        self.set_nanos(self.ioloop.turn_nanos().saturating_add(nanos(duration)));
    }

    /// [`set_after`](Deadline::set_after) at the beginning of a wait: the task is woken when it expires. Does in one step
    /// what `set_after` and [`poll_expired`](Deadline::poll_expired) do in two, once per request of a keep-alive connection.
    pub fn start(&self, duration: Duration, cx: &mut Context<'_>) {
        let due = self.ioloop.turn_nanos().saturating_add(nanos(duration));
        self.ioloop.set_timer(self.timer, due, cx.waker());
    }

    /// Unsets it: it does not expire.
    pub fn clear(&self) {
        self.set_nanos(NEVER);
    }

    /// Whether it is set and lies at or before the beginning of this turn of the loop.
    pub fn is_expired(&self) -> bool {
        self.ioloop.timer_due(self.timer) <= self.ioloop.turn_nanos()
    }

    /// Ready when it [is expired](Deadline::is_expired); otherwise the task is woken when it is, replacing whoever waited
    /// before.
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_expired() {
            return Poll::Ready(());
        }
        self.ioloop.set_timer_waker(self.timer, cx.waker());
        Poll::Pending
    }

    pub(crate) fn set_nanos(&self, due: u64) {
        self.ioloop.set_timer_due(self.timer, due);
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Deadline::new()
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        drop(self.ioloop.remove_timer(self.timer));
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("expired", &self.is_expired()).finish_non_exhaustive()
    }
}
