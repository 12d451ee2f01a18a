//! What is published, and finding it again in what is delivered.

use memchr::memmem;
use nix::time::{ClockId, clock_gettime};

/// A message with its number, the time, and as much padding as makes it `size` bytes, if it is not longer already.
pub(super) fn format(number: u64, at: u64, size: usize) -> String {
    let start = format!("{{\"n\":{number},\"at\":{at},\"pad\":\"");
    let pad = size.saturating_sub(start.len() + 2);
    format!("{start}{}\"}}", "x".repeat(pad))
}

/// Number and time of each message in `bytes`, whatever is around them.
pub(super) fn find_all(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    memmem::find_iter(bytes, b"\"n\":").filter_map(|at| {
        let (number, rest) = take_number(&bytes[at + 4..])?;
        let (time, _) = take_number(rest.strip_prefix(b",\"at\":")?)?;
        Some((number, time))
    })
}

/// The cursor that was told last.
pub(super) fn last_cursor(bytes: &[u8]) -> Option<&str> {
    let at = memmem::rfind(bytes, CURSOR)? + CURSOR.len();
    let length = memchr::memchr(b'"', &bytes[at..])?;
    str::from_utf8(&bytes[at..at + length]).ok()
}

const CURSOR: &[u8] = b"\"cursor\":\"";

fn take_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = bytes.split_at(end);
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The time in nanoseconds on a clock that all processes share.
pub(super) fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every kernel has this clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_whatever_is_around_them() {
        let (first, second) = (format(17, 123, 100), format(18, 456, 10));
        assert_eq!(first.len(), 100);
        let delivered = format!("{{\"cursor\":\"a.17\",\"data\":{first}}},{{\"cursor\":\"a.18\",\"data\":{second}}}");
        let found: Vec<_> = find_all(delivered.as_bytes()).collect();
        assert_eq!(found, [(17, 123), (18, 456)]);
        assert_eq!(last_cursor(delivered.as_bytes()), Some("a.18"));
        assert_eq!(last_cursor(first.as_bytes()), None);
    }

    #[test]
    fn the_clock_goes_on() {
        let before = now();
        assert!(now() >= before);
    }
}
