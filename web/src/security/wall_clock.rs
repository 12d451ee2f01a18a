//! The time of day, as the loop has it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use httpserver::IOLoop;

/// The time of day, ahead by as much as the loop's clock is ahead of the real one. With the usual clock that is nothing; with
/// a virtual one a test of a cookie that is good for a month takes no time.
#[inline]
pub(crate) fn now() -> SystemTime {
    let (wall, real, of_loop) = (SystemTime::now(), Instant::now(), IOLoop::current().time());
    match of_loop.checked_duration_since(real) {
        Some(ahead) => wall + ahead,
        None => wall.checked_sub(real.saturating_duration_since(of_loop)).unwrap_or(wall),
    }
}

/// Whole seconds since 1970, none for a time before.
#[inline]
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
