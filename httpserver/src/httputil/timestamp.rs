use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// Returns `time` in the form of `Last-Modified`, `Expires` and `Date`: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 5.6.7).
///
/// Fractions of a second are dropped. The form has no years before 1970 or after 9999, so earlier and later times become
/// the first and the last second of it.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use httpserver::httputil::format_timestamp;
///
/// let time = UNIX_EPOCH + Duration::from_secs_f64(1_359_312_200.503_611);
/// assert_eq!(format_timestamp(time), "Sun, 27 Jan 2013 18:43:20 GMT");
/// ```
#[inline]
pub fn format_timestamp(time: SystemTime) -> String {
    // HttpDate panics on what it cannot show. Files may have any time at all.
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    HttpDate::from(UNIX_EPOCH + since_epoch.min(LATEST)).to_string()
}

/// Returns the time that `text` is, in any of the three forms which RFC 9110 5.6.7 has recipients accept; `None` if it is
/// none of them.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use httpserver::httputil::parse_timestamp;
///
/// let time = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
/// assert_eq!(parse_timestamp(b"Sun, 06 Nov 1994 08:49:37 GMT"), time);
/// assert_eq!(parse_timestamp(b"Sunday, 06-Nov-94 08:49:37 GMT"), time);
/// assert_eq!(parse_timestamp(b"Sun Nov  6 08:49:37 1994"), time);
/// assert_eq!(parse_timestamp(b"yesterday"), None);
/// ```
#[inline]
pub fn parse_timestamp(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
}

/// The last second of the year 9999.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_that_the_form_cannot_show_are_clamped() {
        assert_eq!(format_timestamp(UNIX_EPOCH - Duration::from_secs(5)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format_timestamp(UNIX_EPOCH + Duration::from_secs(1 << 40)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    proptest! {
        #[test]
        fn what_was_formatted_is_parsed(seconds in 0..LATEST.as_secs(), nanos in 0u32..1_000_000_000) {
            let text = format_timestamp(UNIX_EPOCH + Duration::new(seconds, nanos));
            prop_assert_eq!(parse_timestamp(text.as_bytes()), Some(UNIX_EPOCH + Duration::from_secs(seconds)));
        }

        #[test]
        fn any_text_is_a_time_or_none(text: Vec<u8>, date in "[A-Za-z]{3,9},? ?[0-9 -]{1,12}[0-9:]{0,8} [A-Z]{0,3}") {
            let _ = (parse_timestamp(&text), parse_timestamp(date.as_bytes()));
        }
    }
}
