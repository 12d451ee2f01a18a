//! Layer: ioloop.

use std::{
    hash::{BuildHasher, RandomState},
    process,
    time::Duration,
};

/// The pauses between attempts: twice as long each time, and random, so that those who lost the same server do not come back
/// together.
#[derive(Default)]
pub struct BackOff {
    attempts: u32,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    pub fn next(&mut self) -> Duration {
        let longest = (Self::FIRST * 2u32.saturating_pow(self.attempts.min(10))).min(Self::LONGEST);
        self.attempts += 1;
        longest / 2 + Duration::from_nanos(random() % (longest / 2).as_nanos() as u64)
    }

    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// 64 random bits: the keys of std's hash maps come from the system, and differ from map to map. Not from one forked process to
/// another, so the process counts too.
pub fn random() -> u64 {
    RandomState::new().hash_one(process::id())
}
