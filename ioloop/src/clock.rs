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
                now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
            }
            LoopClock::Custom(clock) => nanos(clock.now()),
        }
    }
}

/// A duration as the timers count it; one beyond 584 years is for ever.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}
