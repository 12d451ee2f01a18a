use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Where a loop reads the time.
///
/// The default is [`MonotonicClock`]. Wall-clock time is never used: it may jump.
pub trait Clock: 'static {
    /// The time since an origin of the clock's own choosing, which stays the same. Must never go backwards.
    fn now(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for Box<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// `CLOCK_MONOTONIC`: about 25 ns a reading, and no system call.
#[derive(Debug, Clone, Copy, Default)]
pub struct MonotonicClock;

impl Clock for MonotonicClock {
    // Not through `Instant`: it does not tell its nanoseconds, and a subtraction with its checks, twice a turn, costs
    // twice as much as the rest of the reading.
    fn now(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock").into()
    }
}
