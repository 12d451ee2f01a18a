use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{Deadline, clock::nanos, periodic::next_slot};

/// Ticks every `period` on the current loop; the first tick comes one period from now. Costs one timer.
///
/// # Panics
///
/// When `period` is zero.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # ioloop::IOLoop::current().run_sync(async {
/// let mut ticks = ioloop::interval(Duration::from_millis(1));
/// let first = ticks.tick().await;
/// assert!(ticks.tick().await > first);
/// # });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period above zero");
    let mut interval = Interval { deadline: Deadline::new(), period: nanos(period), slot: 0 };
    interval.reset();
    interval
}

/// Regular ticks for one task, made by [`interval`].
///
/// The phase is kept: whoever comes late gets one tick at once, the slots missed meanwhile are skipped, and the next tick
/// comes at the next slot.
#[derive(Debug)]
pub struct Interval {
    deadline: Deadline,
    /// In nanoseconds.
    period: u64,
    /// When the next tick is due, in nanoseconds since the loop's beginning.
    slot: u64,
}

impl Interval {
    /// Waits for the next tick, and gives the instant at which it was due.
    ///
    /// # Cancel safety
    ///
    /// A tick is consumed only when the future completes.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Ready when a tick is due; otherwise the task is woken when it is.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        if self.deadline.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        let ioloop = self.deadline.ioloop();
        let (due, now) = (ioloop.instant(self.slot), ioloop.turn_nanos());
        self.slot = next_slot(self.slot, now, self.period);
        self.deadline.set_nanos(self.slot);
        Poll::Ready(due)
    }

    /// Begins a new phase: the next tick comes one period from now.
    pub fn reset(&mut self) {
        self.slot = self.deadline.ioloop().clock_nanos().saturating_add(self.period);
        self.deadline.set_nanos(self.slot);
    }

    /// The period.
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }
}
