//! Random times, so that clients which do the same thing do it at different moments.

use std::{
    hash::{BuildHasher, RandomState},
    ops::RangeInclusive,
    process,
    time::Duration,
};

/// A random time out of `range`; its beginning when the range is empty.
#[inline]
pub(crate) fn between(range: RangeInclusive<Duration>) -> Duration {
    let spread = range.end().saturating_sub(*range.start());
    let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
    // The times of different processes may be the same, for the clients are not. It spares each poll a system call.
    *range.start() + Duration::from_nanos(RandomState::new().hash_one(0) % nanos.max(1))
}

/// 64 random bits, not secret ones. The keys of std's hash maps come from the system, and differ from map to map. Processes
/// that were forked have the same in the same order, so the process counts too.
#[inline]
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(process::id())
}
