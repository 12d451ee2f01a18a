use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{Deadline, clock::nanos, periodic::next_slot};

/// Ticks every `period` on the current loop; the first tick comes one period from now. Costs one timer for all its ticks,
/// and no allocation.
///
/// # Panics
///
/// When `period` is zero.
///
/// # Examples
///
/// The memory of this process, sampled a few times:
///
/// ```
/// use std::{fs, io, time::Duration};
/// use ioloop::{IOLoop, interval};
///
/// /// Resident, in pages: the second number in there.
/// fn resident() -> io::Result<u64> {
///     let numbers = fs::read_to_string("/proc/self/statm")?;
///     let second = numbers.split_whitespace().nth(1).unwrap_or_default();
///     second.parse().map_err(io::Error::other)
/// }
///
/// fn main() -> io::Result<()> {
///     IOLoop::current().run_sync(async {
///         let start = IOLoop::current().time();
///         let mut ticks = interval(Duration::from_millis(2));
///         for _sample in 0..3 {
///             // The instant at which the tick was due: however late this one comes, the next is not.
///             let due = ticks.tick().await;
///             println!("after {:?}: {} pages", due - start, resident()?);
///         }
///         Ok(())
///     })
/// }
/// ```
#[track_caller]
#[inline]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period above zero");
    let mut interval = Interval { deadline: Deadline::new(), period: nanos(period), slot: 0 };
    interval.reset();
    interval
}

/// Regular ticks for one task, made by [`interval`].
///
/// The phase is kept: a late task gets one tick at once, missed slots are skipped, and the next tick comes at the next
/// slot.
#[derive(Debug)]
pub struct Interval {
    deadline: Deadline,
    /// In nanoseconds.
    period: u64,
    /// When the next tick is due, in nanoseconds since the loop's beginning.
    slot: u64,
}

impl Interval {
    /// Waits for the next tick, and returns the instant at which it was due.
    ///
    /// # Cancel safety
    ///
    /// A tick is consumed only when the future completes.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Ready when a tick is due; otherwise the task is woken when it is.
    #[inline]
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
    #[inline]
    pub fn reset(&mut self) {
        self.slot = self.deadline.ioloop().clock_nanos().saturating_add(self.period);
        self.deadline.set_nanos(self.slot);
    }

    /// The period.
    #[inline]
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }
}
