use std::{
    cell::{Cell, RefCell},
    collections::hash_map::RandomState,
    fmt,
    future::Future,
    hash::BuildHasher,
    panic::Location,
    pin::Pin,
    process,
    rc::{Rc, Weak},
    time::Duration,
};

use crate::{IOLoop, TimeoutHandle, clock::nanos, timer::Action};

/// Calls a function at regular intervals, counted from start to start.
///
/// The phase is kept: a call that takes longer than the interval makes the next ones skip the slots that were missed,
/// instead of running in a burst or drifting. A panic in the function is reported by the loop and the schedule goes on.
/// Dropping it stops it.
///
/// For a loop of your own in a task see [`interval`](crate::interval). Costs two allocations when it is made and one for
/// each call, which is a timer of the loop. Each call of an asynchronous function is a task besides.
///
/// # Examples
///
/// A cache that forgets what has been in it for too long:
///
/// ```
/// use std::{cell::RefCell, collections::HashMap, rc::Rc, time::{Duration, Instant}};
/// use ioloop::{IOLoop, PeriodicCallback, sleep};
///
/// struct Cache {
///     entries: Rc<RefCell<HashMap<String, (Instant, String)>>>,
///     // Dropped with the cache, which ends the sweeping.
///     _sweeper: PeriodicCallback,
/// }
///
/// impl Cache {
///     fn new(lifetime: Duration) -> Cache {
///         let entries: Rc<RefCell<HashMap<_, (Instant, _)>>> = Rc::default();
///         let swept = Rc::clone(&entries);
///         // A little off each time, so that many caches do not sweep together.
///         let sweeper = PeriodicCallback::new(lifetime / 2, move || {
///             let now = IOLoop::current().turn_time();
///             swept.borrow_mut().retain(|_, (since, _)| now < *since + lifetime);
///         })
///         .with_jitter(0.1);
///         sweeper.start();
///         Cache { entries, _sweeper: sweeper }
///     }
///
///     fn put(&self, key: &str, value: &str) {
///         let entry = (IOLoop::current().turn_time(), value.to_owned());
///         self.entries.borrow_mut().insert(key.to_owned(), entry);
///     }
/// }
///
/// fn main() {
///     IOLoop::current().run_sync(async {
///         let cache = Cache::new(Duration::from_millis(4));
///         cache.put("greeting", "hello");
///         assert_eq!(cache.entries.borrow().len(), 1);
///         while !cache.entries.borrow().is_empty() {
///             sleep(Duration::from_millis(1)).await;
///         }
///     });
/// }
/// ```
pub struct PeriodicCallback {
    schedule: Rc<Schedule>,
}

struct Schedule {
    ioloop: IOLoop,
    /// In nanoseconds, as the timers count.
    interval: u64,
    /// Which part of the interval each step may be off, half of it to either side.
    jitter: Cell<f64>,
    callback: RefCell<Callback>,
    /// The slot that comes next while running, in nanoseconds since the loop's beginning.
    next: Cell<Option<u64>>,
    timer: Cell<Option<TimeoutHandle>>,
    location: &'static Location<'static>,
}

enum Callback {
    Plain(Box<dyn FnMut()>),
    Async(Box<dyn FnMut() -> Call>),
}

/// One run of an asynchronous callback.
type Call = Pin<Box<dyn Future<Output = ()>>>;

impl PeriodicCallback {
    /// A schedule on the current loop; nothing happens before [`start`](PeriodicCallback::start).
    ///
    /// # Panics
    ///
    /// When `interval` is zero.
    #[track_caller]
    pub fn new(interval: Duration, callback: impl FnMut() + 'static) -> PeriodicCallback {
        PeriodicCallback::with_callback(interval, Callback::Plain(Box::new(callback)))
    }

    /// A schedule of an asynchronous function. Each call runs as a task of its own, and the next slot is chosen when it
    /// has completed, so that calls do not overlap. [`stop`](PeriodicCallback::stop) and dropping the schedule let a call
    /// that is under way run to its end; a [`start`](PeriodicCallback::start) meanwhile does not wait for it.
    ///
    /// # Panics
    ///
    /// When `interval` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ioloop::{IOLoop, PeriodicCallback, sleep};
    ///
    /// let ioloop = IOLoop::current();
    /// let stop = ioloop.clone();
    /// let ticks = PeriodicCallback::new_async(Duration::from_millis(1), move || {
    ///     let stop = stop.clone();
    ///     async move {
    ///         sleep(Duration::from_millis(2)).await;
    ///         stop.stop();
    ///     }
    /// });
    /// ticks.start();
    /// ioloop.start();
    /// ```
    #[track_caller]
    pub fn new_async<F>(interval: Duration, mut callback: impl FnMut() -> F + 'static) -> PeriodicCallback
    where
        F: Future<Output = ()> + 'static,
    {
        PeriodicCallback::with_callback(interval, Callback::Async(Box::new(move || Box::pin(callback()))))
    }

    #[track_caller]
    #[inline]
    fn with_callback(interval: Duration, callback: Callback) -> PeriodicCallback {
        assert!(!interval.is_zero(), "a PeriodicCallback needs an interval above zero");
        PeriodicCallback {
            schedule: Rc::new(Schedule {
                ioloop: IOLoop::current(),
                interval: nanos(interval),
                jitter: Cell::new(0.0),
                callback: RefCell::new(callback),
                next: Cell::new(None),
                timer: Cell::new(None),
                location: Location::caller(),
            }),
        }
    }

    /// Makes each step longer or shorter by a random part of the interval, up to half of `fraction` either way, so that
    /// many schedules started together do not go on together. With 0.5 a step takes between 75 % and 125 % of the
    /// interval; default 0. The phase then wanders.
    ///
    /// # Panics
    ///
    /// When `fraction` is not within 0 to 1.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn with_jitter(self, fraction: f64) -> PeriodicCallback {
        assert!((0.0..=1.0).contains(&fraction), "a jitter is a fraction from 0 to 1");
        self.schedule.jitter.set(fraction);
        self
    }

    /// The first call comes one interval from now. Starting again begins a new phase.
    #[inline]
    pub fn start(&self) {
        self.stop();
        let schedule = &self.schedule;
        schedule.arm(schedule.now().saturating_add(schedule.step()));
    }

    /// No further call. May be called from within the callback.
    #[inline]
    pub fn stop(&self) {
        self.schedule.next.set(None);
        if let Some(timer) = self.schedule.timer.take() {
            self.schedule.ioloop.remove_timeout(timer);
        }
    }

    /// Whether it is between `start` and `stop`.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.schedule.next.get().is_some()
    }
}

impl Schedule {
    #[inline]
    fn now(&self) -> u64 {
        self.ioloop.clock_nanos()
    }

    #[inline]
    fn step(&self) -> u64 {
        match self.jitter.get() {
            0.0 => self.interval,
            jitter => jittered(self.interval, jitter, random_fraction()),
        }
    }

    #[inline]
    fn arm(self: &Rc<Self>, next: u64) {
        self.next.set(Some(next));
        let schedule = Rc::downgrade(self);
        // Not `call_at`: the report of a panic shall name the line that made the schedule.
        let fire = Action::call(Box::new(move || Schedule::fire(&schedule)), self.location);
        let timer = self.ioloop.insert_timer(next, fire);
        self.timer.set(Some(TimeoutHandle(timer)));
    }

    #[inline]
    fn fire(weak: &Weak<Schedule>) {
        let Some(schedule) = weak.upgrade() else {
            return;
        };
        let Some(slot) = schedule.next.get() else {
            return;
        };
        schedule.timer.set(None);
        // Re-arms also when the callback panics, which goes on to the loop's report.
        let rearm = Rearm { schedule: Weak::clone(weak), slot };
        let Ok(mut callback) = schedule.callback.try_borrow_mut() else {
            return;
        };
        match &mut *callback {
            Callback::Plain(callback) => callback(),
            Callback::Async(callback) => {
                let call = callback();
                let and_rearm = async move {
                    let _rearm = rearm;
                    call.await;
                };
                schedule.ioloop.spawn_forgotten(and_rearm, schedule.location);
            }
        }
    }
}

/// Chooses the next slot when a call is over. A call that goes on after its schedule was dropped has nothing to re-arm.
struct Rearm {
    schedule: Weak<Schedule>,
    slot: u64,
}

impl Drop for Rearm {
    #[inline]
    fn drop(&mut self) {
        let Some(schedule) = self.schedule.upgrade() else {
            return;
        };
        // Stopped, or started anew with another phase, by the callback itself.
        if schedule.next.get() == Some(self.slot) {
            schedule.arm(next_slot(self.slot, schedule.now(), schedule.step()));
        }
    }
}

/// The first slot of the phase of `slot` that lies after `now`, and in any case after `slot`: a clock that went back makes
/// no burst of calls.
#[inline]
pub(crate) fn next_slot(slot: u64, now: u64, interval: u64) -> u64 {
    let missed = now.saturating_sub(slot) / interval;
    slot.saturating_add(interval.saturating_mul(missed + 1))
}

/// `random` is from 0 to 1. Never zero, which would be a slot without end.
#[inline]
fn jittered(interval: u64, jitter: f64, random: f64) -> u64 {
    let factor = 1.0 + jitter * (random - 0.5);
    // Floats round above 2^53 nanoseconds, 104 days, where a jitter of one part in 2^53 does not matter.
    ((interval as f64 * factor) as u64).max(1)
}

/// From the hasher's keys, which the standard library draws from the system and changes with every use, and from the
/// process, because forked ones have the same keys. Good enough to keep schedules apart, and no dependency.
#[inline]
fn random_fraction() -> f64 {
    let bits = RandomState::new().hash_one(process::id());
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

impl Drop for PeriodicCallback {
    #[inline]
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for PeriodicCallback {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeriodicCallback")
            .field("interval", &Duration::from_nanos(self.schedule.interval))
            .field("running", &self.is_running())
            .field("location", &self.schedule.location)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Tornado's `simulate_calls`: a period of 10 s from second 1000 on, and calls that take these many seconds, or set
    /// the clock back.
    fn simulate_calls(durations: &[i64]) -> Vec<u64> {
        let mut slot = 1_000 * SECOND;
        let mut now = slot;
        let mut calls = Vec::new();
        for took in durations {
            slot = next_slot(slot, now, 10 * SECOND);
            calls.push(slot / SECOND);
            now = slot.saturating_add_signed(took * SECOND as i64);
        }
        calls
    }

    #[test]
    fn missed_slots_are_skipped_and_the_phase_is_kept() {
        let calls = simulate_calls(&[9, 9, 10, 11, 20, 20, 35, 35, 0, 0, 0]);
        assert_eq!(calls, [1010, 1020, 1030, 1050, 1070, 1100, 1130, 1170, 1210, 1220, 1230]);
    }

    #[test]
    fn clock_that_goes_back_moves_the_next_slot_by_one_period() {
        assert_eq!(simulate_calls(&[-2, -1, -3, -2, 0]), [1010, 1020, 1030, 1040, 1050]);
        assert_eq!(simulate_calls(&[-100, 0, 0]), [1010, 1020, 1030]);
    }

    #[test]
    fn jitter_lengthens_and_shortens_by_half_its_fraction() {
        let mut slot = 1_000 * SECOND;
        let mut calls = Vec::new();
        for random in [0.5, 1.0, 0.0, 0.75] {
            slot = next_slot(slot, slot, jittered(10 * SECOND, 0.5, random));
            calls.push(slot as f64 / SECOND as f64);
        }
        assert_eq!(calls, [1010.0, 1022.5, 1030.0, 1041.25]);
        assert_eq!(jittered(1, 1.0, 0.0), 1, "never zero");
    }

    #[test]
    fn random_fractions_differ_and_lie_between_zero_and_one() {
        let drawn: Vec<f64> = (0..100).map(|_| random_fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        assert!(drawn.iter().any(|fraction| *fraction < 0.5) && drawn.iter().any(|fraction| *fraction >= 0.5));
    }
}
