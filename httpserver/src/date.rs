//! The `Date` line of answers, formatted once a second.

use std::{
    cell::RefCell,
    fmt,
    io::Write as _,
    ops::Range,
    time::{Duration, Instant, SystemTime},
};

use httpdate::HttpDate;

/// The beginning of most answers, in one piece so that appending it is one copy.
const START: &[u8; START_LEN] = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
const START_LEN: usize = 54;
/// Where the Date line begins in [`START`].
const LINE: usize = 17;
/// Where the 29 bytes of the date itself lie in [`START`].
const DATE: Range<usize> = 23..52;

/// Caches the `Date` line of the current second.
///
/// The line is formatted once a second. In between, appending it is a comparison and a copy, and no clock is read.
///
/// The cache measures the second on the loop's clock, so use one cache for each loop and pass that loop's
/// [turn time](crate::IOLoop::turn_time). If two loops shared a cache, the one whose clock is behind would send an old date.
/// When the wall clock is set, the line follows within a second.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use httpserver::codec::DateCache;
///
/// let cache = DateCache::new();
/// let mut out = Vec::new();
/// cache.append_line(&mut out, Instant::now());
/// assert!(out.starts_with(b"Date: ") && out.ends_with(b" GMT\r\n"));
/// ```
pub struct DateCache {
    text: RefCell<Text>,
    /// Returns the time of day. Tests set another clock.
    wall: fn() -> SystemTime,
}

struct Text {
    /// When the next second of the wall clock begins, as a time of the loop's clock; `None` before the first use.
    valid_until: Option<Instant>,
    start: [u8; START_LEN],
}

impl DateCache {
    /// A cache that reads the system's clock. It has 80 bytes and allocates nothing.
    pub const fn new() -> DateCache {
        DateCache::with_wall_clock(SystemTime::now)
    }

    /// A cache that calls `wall` for the time, once a second at most.
    pub const fn with_wall_clock(wall: fn() -> SystemTime) -> DateCache {
        DateCache { text: RefCell::new(Text { valid_until: None, start: *START }), wall }
    }

    /// Appends the `Date` line. `now` is the loop's turn time.
    #[inline]
    pub fn append_line(&self, out: &mut Vec<u8>, now: Instant) {
        self.with_start(now, |start| out.extend_from_slice(&start[LINE..]));
    }

    /// Appends the status line of a 200 and the `Date` line.
    #[inline]
    pub(crate) fn append_ok_and_line(&self, out: &mut Vec<u8>, now: Instant) {
        self.with_start(now, |start| out.extend_from_slice(start));
    }

    #[inline]
    fn with_start(&self, now: Instant, append: impl FnOnce(&[u8; START_LEN])) {
        let mut text = self.text.borrow_mut();
        if text.valid_until.is_none_or(|end| now >= end) {
            text.renew(now, self.wall);
        }
        append(&text.start);
    }
}

impl Text {
    #[cold]
    fn renew(&mut self, now: Instant, wall: fn() -> SystemTime) {
        self.set(now, wall());
    }

    fn set(&mut self, now: Instant, wall: SystemTime) {
        let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // `now` was read before the wall clock, so the text is renewed a moment early rather than late.
        let fraction = Duration::from_nanos(u64::from(since_epoch.subsec_nanos()));
        self.valid_until = Some(now + (Duration::from_secs(1) - fraction));
        // HttpDate panics on dates before 1970 and on years of five digits. A clock may be set to either.
        let wall = SystemTime::UNIX_EPOCH + since_epoch.min(LATEST);
        // An IMF-fixdate always has 29 bytes, so this cannot fail.
        let _ = write!(&mut self.start[DATE], "{}", HttpDate::from(wall));
    }
}

impl Default for DateCache {
    fn default() -> DateCache {
        DateCache::new()
    }
}

impl fmt::Debug for DateCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DateCache").finish_non_exhaustive()
    }
}

/// The last second of the year 9999.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Text {
        Text { valid_until: None, start: *START }
    }

    #[test]
    fn the_line_is_an_imf_fixdate() {
        let mut text = text();
        text.set(Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(&text.start, b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    }

    #[test]
    fn a_clock_far_off_does_no_harm() {
        let mut text = text();
        text.set(Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert!(text.start.ends_with(b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n"));
        text.set(Instant::now(), SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(&text.start, START);
    }

    #[test]
    fn the_text_is_good_until_the_second_ends() {
        let mut text = text();
        let now = Instant::now();
        text.set(now, SystemTime::UNIX_EPOCH + Duration::from_millis(1_250));
        assert_eq!(text.valid_until, Some(now + Duration::from_millis(750)));
    }

    #[test]
    fn a_later_second_makes_a_new_text() {
        let (cache, now) = (DateCache::new(), Instant::now());
        let line_at = |now| {
            let mut line = Vec::new();
            cache.append_line(&mut line, now);
            line
        };
        let first = line_at(now);
        assert_eq!(first.len(), START_LEN - LINE);
        assert!(first.starts_with(b"Date: ") && first.ends_with(b" GMT\r\n"));
        // Put a mark into the cached text: it shows while the second lasts and is gone afterwards.
        cache.text.borrow_mut().start[DATE.start] = b'!';
        assert!(line_at(now).starts_with(b"Date: !"));
        let renewed = line_at(now + Duration::from_secs(1));
        assert!(renewed.starts_with(b"Date: ") && !renewed.starts_with(b"Date: !"));
    }
}
