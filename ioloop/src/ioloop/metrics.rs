//! What a loop has done so far: counted where it happens, shown by [`IOLoop::metrics`].

use std::{cell::Cell, time::Duration};

use super::IOLoop;

/// What a loop has done since it was made, and what it holds now: a copy, taken by [`IOLoop::metrics`].
///
/// The counts only grow; rates are the difference of two copies. Counting costs a few instructions for each callback or
/// poll; the times come from readings of the clock that the loop makes in any case, but for one when it goes to sleep
/// without any timer set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Turns of the loop. `turns - waits` is the number of turns that ran without polling: see
    /// [`waits`](Metrics::waits).
    pub turns: u64,
    /// How often the loop polled or waited for events: calls of its poller, with epoll a system call each.
    pub waits: u64,
    /// Events that these have reported, wake-ups from other threads included.
    pub events: u64,
    /// Callbacks that were called.
    pub callbacks: u64,
    /// Polls of tasks, those of the future given to [`run_sync`](IOLoop::run_sync) included.
    pub polls: u64,
    /// Timers that have fired, those of [`sleep`](crate::sleep), [`timeout`](fn@crate::timeout) and the like included.
    pub timers: u64,
    /// The longest time from one poll to the next, without sleeping: how long an event may have gone unnoticed because
    /// something computed or blocked. Since the loop was made or [`IOLoop::reset_peaks`].
    pub longest_turn: Duration,
    /// How late the loop was for a timer when it last fired one. Up to a millisecond is as precise as waiting is; more
    /// says that the loop has too much to do.
    pub lag: Duration,
    /// The longest such delay since the loop was made or [`IOLoop::reset_peaks`].
    pub longest_lag: Duration,
    /// Tasks that are alive, as [`IOLoop::task_count`] says: one that is done is none, though it keeps its memory until
    /// its handle has taken the result.
    pub live_tasks: usize,
    /// Timers that are kept: set, or ready to be set as those of [`Deadline`](crate::Deadline) are.
    pub live_timers: usize,
    /// Descriptors that are watched, the loop's own eventfd included.
    pub descriptors: usize,
    /// Callbacks and tasks that are ready to run.
    pub queued: usize,
}

/// Where a loop counts. Times in nanoseconds.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) turns: Counter,
    pub(super) waits: Counter,
    pub(super) events: Counter,
    pub(super) callbacks: Counter,
    pub(super) polls: Counter,
    pub(super) timers: Counter,
    longest_turn: Cell<u64>,
    lag: Cell<u64>,
    longest_lag: Cell<u64>,
}

#[derive(Default)]
pub(super) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(super) fn add(&self, count: u64) {
        self.0.set(self.0.get().wrapping_add(count));
    }

    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Counters {
    /// The loop waits again after so long.
    #[inline]
    pub(super) fn turn_took(&self, nanos: u64) {
        if nanos > self.longest_turn.get() {
            self.longest_turn.set(nanos);
        }
    }

    /// The loop comes so late to the timers that are due.
    #[inline]
    pub(super) fn lagged(&self, nanos: u64) {
        self.lag.set(nanos);
        if nanos > self.longest_lag.get() {
            self.longest_lag.set(nanos);
        }
    }
}

impl IOLoop {
    /// What the loop has done so far and what it holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ioloop::{IOLoop, sleep};
    ///
    /// let ioloop = IOLoop::current();
    /// let before = ioloop.metrics();
    /// ioloop.run_sync(sleep(Duration::from_millis(1)));
    /// let after = ioloop.metrics();
    /// assert_eq!(after.timers - before.timers, 1);
    /// assert!(after.waits > before.waits);
    /// ```
    pub fn metrics(&self) -> Metrics {
        let (inner, counters) = (&self.inner, &self.inner.counters);
        let scheduler = inner.scheduler.borrow();
        Metrics {
            turns: counters.turns.get(),
            waits: counters.waits.get(),
            events: counters.events.get(),
            callbacks: counters.callbacks.get(),
            polls: counters.polls.get(),
            timers: counters.timers.get(),
            longest_turn: Duration::from_nanos(counters.longest_turn.get()),
            lag: Duration::from_nanos(counters.lag.get()),
            longest_lag: Duration::from_nanos(counters.longest_lag.get()),
            live_tasks: scheduler.task_count(),
            live_timers: inner.timers.borrow().len(),
            descriptors: inner.registry.borrow().len(),
            queued: scheduler.ready(),
        }
    }

    /// [`Metrics::waits`] alone, which costs nothing to read: tells code that is called by the loop whether the loop has polled
    /// since the call before.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ioloop::{IOLoop, sleep};
    ///
    /// let ioloop = IOLoop::current();
    /// let before = ioloop.waits();
    /// ioloop.run_sync(sleep(Duration::from_millis(1)));
    /// assert!(ioloop.waits() > before);
    /// assert_eq!(ioloop.waits(), ioloop.metrics().waits);
    /// ```
    #[inline]
    pub fn waits(&self) -> u64 {
        self.inner.counters.waits.get()
    }

    /// Begins [`longest_turn`](Metrics::longest_turn) and [`longest_lag`](Metrics::longest_lag) anew, for a report once
    /// a minute of the longest in that minute.
    pub fn reset_peaks(&self) {
        self.inner.counters.longest_turn.set(0);
        self.inner.counters.longest_lag.set(0);
    }
}
