use std::time::Duration;

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime},
};

/// Where a loop reads the time.
///
/// The default is [`MonotonicClock`]. Wall-clock time is never used: it may jump. [`Builder`](crate::Builder) shows one of
/// one's own; for a clock that a test moves, take [`VirtualClock`](crate::VirtualClock), which also ends the waiting.
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
        monotonic().into()
    }
}

fn monotonic() -> TimeSpec {
    clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock")
}

/// The clock of a loop. The usual one is read twice in most turns, so it is told apart: a call that can be inlined, and no
/// `Duration` in between.
pub(crate) enum LoopClock {
    Monotonic,
    Custom(Box<dyn Clock>),
}

impl LoopClock {
    /// Nanoseconds since the clock's origin.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        match self {
            LoopClock::Monotonic => {
                let now = monotonic();
                // Never negative, and good for 584 years of uptime.
                now.tv_sec() as u64 * SECOND + now.tv_nsec() as u64
            }
            LoopClock::Custom(clock) => nanos(clock.now()),
        }
    }
}

/// A duration as the timers count it; one beyond 584 years is for ever.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    // One comparison ahead is cheaper than two saturating operations, and `as_nanos` counts in 128 bits.
    if duration.as_secs() >= u64::MAX / SECOND {
        return u64::MAX;
    }
    duration.as_secs() * SECOND + u64::from(duration.subsec_nanos())
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_too_long_to_count_are_for_ever() {
        assert_eq!(nanos(Duration::new(3, 7)), 3_000_000_007);
        let last = Duration::new(u64::MAX / SECOND - 1, 999_999_999);
        assert_eq!(u128::from(nanos(last)), last.as_nanos());
        assert_eq!(nanos(Duration::from_secs(u64::MAX / SECOND)), u64::MAX);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }
}
