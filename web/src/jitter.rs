//! Random times, so that clients which do the same thing do it at different moments.

use std::{
    hash::{BuildHasher, RandomState},
    ops::RangeInclusive,
    time::Duration,
};

/// A random time out of `range`; its beginning when the range is empty.
#[inline]
pub(crate) fn between(range: RangeInclusive<Duration>) -> Duration {
    let spread = range.end().saturating_sub(*range.start());
    let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
    *range.start() + Duration::from_nanos(random() % nanos.max(1))
}

/// 64 random bits, not secret ones. The keys of std's hash maps come from the system, and differ from map to map.
#[inline]
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
