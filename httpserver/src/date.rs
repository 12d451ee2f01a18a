use std::cell::RefCell;
use std::io::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use httpdate::HttpDate;

/// The beginning of most answers, kept together so that it is one copy.
const START: &[u8; START_LEN] = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
const START_LEN: usize = 54;
/// Where the Date line begins in it.
const LINE: usize = 17;
/// Where the 29 bytes of the date itself lie in it.
const DATE: Range<usize> = 23..52;

/// Appends the `Date` line for the current second.
///
/// `now` is the loop's turn time. The text is made once a second per thread; in between this is a comparison
/// and a copy, without reading a clock. A step of the wall clock is seen at the next second.
#[inline]
pub(crate) fn append_date_line(out: &mut Vec<u8>, now: Instant) {
    with_start(now, |start| out.extend_from_slice(&start[LINE..]));
}

/// Appends the status line of a 200 and the `Date` line.
#[inline]
pub(crate) fn append_ok_and_date_line(out: &mut Vec<u8>, now: Instant) {
    with_start(now, |start| out.extend_from_slice(start));
}

#[inline]
fn with_start(now: Instant, append: impl FnOnce(&[u8; START_LEN])) {
    CACHE.with_borrow_mut(|cache| {
        if cache.valid_until.is_none_or(|end| now >= end) {
            cache.refresh(now);
        }
        append(&cache.start);
    });
}

struct Cache {
    /// When the next second of the wall clock begins, told on the loop's clock; `None` before the first use.
    valid_until: Option<Instant>,
    start: [u8; START_LEN],
}

thread_local! {
    static CACHE: RefCell<Cache> = const { RefCell::new(Cache { valid_until: None, start: *START }) };
}

impl Cache {
    #[cold]
    fn refresh(&mut self, now: Instant) {
        self.set(now, SystemTime::now());
    }

    fn set(&mut self, now: Instant, wall: SystemTime) {
        let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // `now` may be older than the reading of the wall clock, never newer: the text can only be renewed a moment
        // early, not late.
        let fraction = Duration::from_nanos(u64::from(since_epoch.subsec_nanos()));
        self.valid_until = Some(now + (Duration::from_secs(1) - fraction));
        // HttpDate panics on years of five digits and on dates before 1970, whatever set the clock so.
        let wall = SystemTime::UNIX_EPOCH + since_epoch.min(LATEST);
        // An IMF-fixdate fills its place exactly, so this cannot fail.
        let _ = write!(&mut self.start[DATE], "{}", HttpDate::from(wall));
    }
}

/// The last second of the year 9999.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> Cache {
        Cache { valid_until: None, start: *START }
    }

    #[test]
    fn the_line_is_an_imf_fixdate() {
        let mut cache = cache();
        cache.set(Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(&cache.start, b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    }

    #[test]
    fn a_clock_far_off_does_no_harm() {
        let mut cache = cache();
        cache.set(Instant::now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert!(cache.start.ends_with(b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n"));
        cache.set(Instant::now(), SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(&cache.start, START);
    }

    #[test]
    fn the_text_is_good_until_the_second_ends() {
        let mut cache = cache();
        let now = Instant::now();
        cache.set(now, SystemTime::UNIX_EPOCH + Duration::from_millis(1_250));
        assert_eq!(cache.valid_until, Some(now + Duration::from_millis(750)));
    }

    #[test]
    fn a_later_second_makes_a_new_text() {
        let now = Instant::now();
        let mut first = Vec::new();
        append_date_line(&mut first, now);
        assert_eq!(first.len(), START_LEN - LINE);
        assert!(first.starts_with(b"Date: ") && first.ends_with(b" GMT\r\n"));
        // Put a mark into the cached text: it shows while the second lasts and is gone afterwards.
        CACHE.with_borrow_mut(|cache| cache.start[DATE.start] = b'!');
        let mut cached = Vec::new();
        append_date_line(&mut cached, now);
        assert!(cached.starts_with(b"Date: !"));
        let mut renewed = Vec::new();
        append_date_line(&mut renewed, now + Duration::from_secs(1));
        assert!(renewed.starts_with(b"Date: ") && !renewed.starts_with(b"Date: !"));
    }
}
