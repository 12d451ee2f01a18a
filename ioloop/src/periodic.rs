use std::{
    cell::{Cell, RefCell},
    fmt,
    panic::Location,
    rc::{Rc, Weak},
    time::Duration,
};

use crate::{IOLoop, TimeoutHandle, ioloop::nanos, timer::Action};

/// Calls a function at regular intervals, counted from start to start.
///
/// The phase is kept: a call that takes longer than the interval makes the next ones skip the slots that were missed,
/// instead of running in a burst or drifting. A panic in the function is reported by the loop and the schedule goes on.
/// Dropping it stops it.
///
/// # Examples
///
/// ```
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// use ioloop::{IOLoop, PeriodicCallback};
///
/// let ioloop = IOLoop::current();
/// let (count, stop) = (Rc::new(Cell::new(0)), ioloop.clone());
/// let counter = Rc::clone(&count);
/// let ticks = PeriodicCallback::new(Duration::from_millis(1), move || {
///     counter.set(counter.get() + 1);
///     if counter.get() == 3 {
///         stop.stop();
///     }
/// });
/// ticks.start();
/// ioloop.start();
/// assert_eq!(count.get(), 3);
/// ```
pub struct PeriodicCallback {
    schedule: Rc<Schedule>,
}

struct Schedule {
    ioloop: IOLoop,
    /// In nanoseconds, as the timers count.
    interval: u64,
    callback: RefCell<Box<dyn FnMut()>>,
    /// The slot that comes next while running, in nanoseconds since the loop's beginning.
    next: Cell<Option<u64>>,
    timer: Cell<Option<TimeoutHandle>>,
    location: &'static Location<'static>,
}

impl PeriodicCallback {
    /// A schedule on the current loop; nothing happens before [`start`](PeriodicCallback::start).
    ///
    /// # Panics
    ///
    /// When `interval` is zero.
    #[track_caller]
    pub fn new(interval: Duration, callback: impl FnMut() + 'static) -> PeriodicCallback {
        assert!(!interval.is_zero(), "a PeriodicCallback needs an interval above zero");
        PeriodicCallback {
            schedule: Rc::new(Schedule {
                ioloop: IOLoop::current(),
                interval: nanos(interval),
                callback: RefCell::new(Box::new(callback)),
                next: Cell::new(None),
                timer: Cell::new(None),
                location: Location::caller(),
            }),
        }
    }

    /// The first call comes one interval from now. Starting again begins a new phase.
    pub fn start(&self) {
        self.stop();
        let schedule = &self.schedule;
        schedule.arm(schedule.now().saturating_add(schedule.interval));
    }

    /// No further call. May be called from within the callback.
    pub fn stop(&self) {
        self.schedule.next.set(None);
        if let Some(timer) = self.schedule.timer.take() {
            self.schedule.ioloop.remove_timeout(timer);
        }
    }

    /// Whether it is between `start` and `stop`.
    pub fn is_running(&self) -> bool {
        self.schedule.next.get().is_some()
    }
}

impl Schedule {
    fn now(&self) -> u64 {
        self.ioloop.clock_nanos()
    }

    fn arm(self: &Rc<Self>, next: u64) {
        self.next.set(Some(next));
        let schedule = Rc::downgrade(self);
        // Not `call_at`: the report of a panic shall name the line that made the schedule.
        let fire = Action::Call(Box::new(move || Schedule::fire(&schedule)), self.location);
        let timer = self.ioloop.insert_timer(next, fire);
        self.timer.set(Some(TimeoutHandle(timer)));
    }

    fn fire(schedule: &Weak<Schedule>) {
        let Some(schedule) = schedule.upgrade() else {
            return;
        };
        let Some(slot) = schedule.next.get() else {
            return;
        };
        schedule.timer.set(None);
        // Re-arms also when the callback panics, which goes on to the loop's report.
        let _rearm = Rearm { schedule: Rc::clone(&schedule), slot };
        if let Ok(mut callback) = schedule.callback.try_borrow_mut() {
            callback();
        }
    }
}

struct Rearm {
    schedule: Rc<Schedule>,
    slot: u64,
}

impl Drop for Rearm {
    fn drop(&mut self) {
        // Stopped, or started anew with another phase, by the callback itself.
        if self.schedule.next.get() == Some(self.slot) {
            self.schedule.arm(next_slot(self.slot, self.schedule.now(), self.schedule.interval));
        }
    }
}

/// The first slot of the phase of `slot` that lies after `now`, and in any case after `slot`.
fn next_slot(slot: u64, now: u64, interval: u64) -> u64 {
    let missed = now.saturating_sub(slot) / interval;
    slot.saturating_add(interval.saturating_mul(missed + 1))
}

impl Drop for PeriodicCallback {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for PeriodicCallback {
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

    #[test]
    fn missed_slots_are_skipped_and_the_phase_is_kept() {
        // Tornado's test_overrun: a period of 10 s, and calls that take these many seconds.
        const SECOND: u64 = 1_000_000_000;
        let mut slot = 10 * SECOND;
        let mut seen = Vec::new();
        for took in [9, 9, 10, 11, 20, 20, 35, 35, 0, 0, 0] {
            seen.push(slot / SECOND);
            slot = next_slot(slot, slot + took * SECOND, 10 * SECOND);
        }
        assert_eq!(seen, [10, 20, 30, 50, 70, 100, 130, 170, 210, 220, 230]);
    }
}
