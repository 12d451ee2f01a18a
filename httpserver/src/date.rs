//! The `Date` line of answers, formatted once a second, and the `Server` line behind it, if there is to be one.

use std::{
    cell::RefCell,
    fmt,
    io::Write as _,
    ops::Range,
    time::{Duration, Instant, SystemTime},
};

use httpdate::HttpDate;

use crate::response::ContentType;

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
    /// When the next second of the wall clock begins, as a time of the loop's clock; `None` before the first use. Always
    /// `None` if there is a Server line: then every answer takes the way of the first one in a second, which knows of it,
    /// and without such a line nothing is asked for its sake.
    valid_until: Option<Instant>,
    start: [u8; START_LEN],
    server: Option<ServerLine>,
    /// How usual answers begin, for each [`ContentType`] that has a known line.
    usual: [Beginning; ContentType::KNOWN],
}

/// Status line, date and type of a 200, up to the number of its `Content-Length`. Whatever its length, all of it is copied:
/// a copy of a length that the compiler knows takes the fewest instructions.
#[derive(Clone, Copy)]
struct Beginning {
    text: [u8; BEGINNING_LEN],
    len: u8,
}

/// Room for the longest, and eight times sixteen bytes.
const BEGINNING_LEN: usize = 128;

impl Beginning {
    const EMPTY: Beginning = Beginning { text: [0; BEGINNING_LEN], len: 0 };

    #[inline(never)]
    fn new(start: &[u8; START_LEN], line: &[u8]) -> Beginning {
        let mut beginning = Beginning::EMPTY;
        for part in [start, line, b"Content-Length: "] {
            let at = usize::from(beginning.len);
            beginning.text[at..][..part.len()].copy_from_slice(part);
            beginning.len += part.len() as u8;
        }
        beginning
    }
}

/// A Server line, with its CRLF.
struct ServerLine {
    line: Box<[u8]>,
    /// What `valid_until` is without one.
    date_until: Option<Instant>,
}

impl DateCache {
    /// A cache that reads the system's clock. It has less than a kilobyte and allocates nothing.
    pub const fn new() -> DateCache {
        DateCache::with_wall_clock(SystemTime::now)
    }

    /// A cache that calls `wall` for the time, once a second at most.
    pub const fn with_wall_clock(wall: fn() -> SystemTime) -> DateCache {
        DateCache { text: RefCell::new(Text::new()), wall }
    }

    /// Has a `Server` line with this value, which has been checked, follow the date from now on.
    #[inline]
    pub(crate) fn set_server(&self, value: &str) {
        let line = format!("Server: {}\r\n", value.trim_matches([' ', '\t'])).into_bytes().into_boxed_slice();
        let mut text = self.text.borrow_mut();
        text.valid_until = None;
        text.server = Some(ServerLine { line, date_until: None });
    }

    /// Appends the `Date` line. `now` is the loop's turn time.
    #[inline]
    pub fn append_line(&self, out: &mut Vec<u8>, now: Instant) {
        self.append_from(LINE, out, now, || true);
    }

    /// Appends the beginning of a 200 of this type that has no other lines, up to the number of its `Content-Length`. False,
    /// with nothing appended, once a second and where there is more to know.
    #[inline(always)]
    pub(crate) fn append_usual(&self, out: &mut Vec<u8>, now: Instant, content_type: ContentType) -> bool {
        let text = self.text.borrow();
        let Some(beginning) = text.usual.get(content_type as usize) else { return false };
        if text.valid_until.is_none_or(|end| now >= end) {
            return false;
        }
        let end = out.len() + usize::from(beginning.len);
        out.extend_from_slice(&beginning.text);
        out.truncate(end);
        true
    }

    /// Appends the status line of a 200, the `Date` line, and the `Server` line if there is one, unless the answer
    /// `has_server` itself.
    #[inline]
    pub(crate) fn append_ok_and_lines(&self, out: &mut Vec<u8>, now: Instant, has_server: impl Fn() -> bool) {
        self.append_from(0, out, now, has_server);
    }

    /// [`append_ok_and_lines`](DateCache::append_ok_and_lines) without the status line.
    #[inline]
    pub(crate) fn append_lines(&self, out: &mut Vec<u8>, now: Instant, has_server: impl Fn() -> bool) {
        self.append_from(LINE, out, now, has_server);
    }

    /// Appends the `Server` line, if there is one: for an answer that has a date, and none of these.
    #[inline]
    pub(crate) fn append_server(&self, out: &mut Vec<u8>, has_server: impl Fn() -> bool) {
        if let Some(server) = &self.text.borrow().server
            && !has_server()
        {
            out.extend_from_slice(&server.line);
        }
    }

    #[inline]
    fn append_from(&self, at: usize, out: &mut Vec<u8>, now: Instant, has_server: impl Fn() -> bool) {
        let text = self.text.borrow();
        if text.valid_until.is_none_or(|end| now >= end) {
            drop(text);
            return self.append_renewed(at, out, now, &has_server);
        }
        // All of it, or the line: copies of a length that the compiler knows.
        if at == 0 { out.extend_from_slice(&text.start) } else { out.extend_from_slice(&text.start[LINE..]) }
    }

    #[cold]
    fn append_renewed(&self, at: usize, out: &mut Vec<u8>, now: Instant, has_server: &dyn Fn() -> bool) {
        let mut text = self.text.borrow_mut();
        text.renew(now, self.wall);
        out.extend_from_slice(&text.start[at..]);
        drop(text);
        self.append_server(out, has_server);
    }
}

impl Text {
    const fn new() -> Text {
        Text { valid_until: None, start: *START, server: None, usual: [Beginning::EMPTY; ContentType::KNOWN] }
    }

    fn renew(&mut self, now: Instant, wall: fn() -> SystemTime) {
        let date_until = self.server.as_ref().and_then(|server| server.date_until);
        if date_until.is_none_or(|end| now >= end) {
            self.set(now, wall());
        }
    }

    fn set(&mut self, now: Instant, wall: SystemTime) {
        let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // `now` was read before the wall clock, so the text is renewed a moment early rather than late.
        let fraction = Duration::from_nanos(u64::from(since_epoch.subsec_nanos()));
        let until = Some(now + (Duration::from_secs(1) - fraction));
        match &mut self.server {
            None => self.valid_until = until,
            Some(server) => server.date_until = until,
        }
        // HttpDate panics on dates before 1970 and on years of five digits. A clock may be set to either.
        let wall = SystemTime::UNIX_EPOCH + since_epoch.min(LATEST);
        // An IMF-fixdate always has 29 bytes, so this cannot fail.
        let _ = write!(&mut self.start[DATE], "{}", HttpDate::from(wall));
        for (beginning, line) in self.usual.iter_mut().zip(ContentType::lines()) {
            *beginning = Beginning::new(&self.start, line);
        }
    }
}

impl Default for DateCache {
    fn default() -> DateCache {
        DateCache::new()
    }
}

impl fmt::Debug for DateCache {
    #[inline]
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
        Text::new()
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
    fn a_server_line_follows_each_date_and_the_date_is_still_made_once_a_second() {
        let (cache, now) = (DateCache::new(), Instant::now());
        cache.set_server("lines");
        let after_date = |now, has_server| {
            let mut out = Vec::new();
            cache.append_ok_and_lines(&mut out, now, || has_server);
            (out[DATE.start], String::from_utf8(out.split_off(START_LEN)).unwrap())
        };
        let is_marked = |(byte, _): &(u8, String)| *byte == b'!';
        assert_eq!(after_date(now, false).1, "Server: lines\r\n");
        cache.text.borrow_mut().start[DATE.start] = b'!';
        assert!(is_marked(&after_date(now, false)));
        assert_eq!(after_date(now, true).1, "");
        let later = after_date(now + Duration::from_secs(1), false);
        assert!(!is_marked(&later) && later.1 == "Server: lines\r\n");
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
