//! The part of a file that a `Range` header asks for.

/// Which bytes of a file to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    /// All of them, with 200.
    Whole,
    /// `start..end`, with 206. Never empty, never the whole.
    Part { start: u64, end: u64 },
    /// None of them exist: 416.
    Unsatisfiable,
}

impl Range {
    /// Returns what `header` asks for in a file of `size` bytes.
    ///
    /// One range of bytes is honoured. Several ranges, other units and text that cannot be parsed count as no range, which
    /// RFC 9110, section 14.2, allows: a client has to be prepared for the whole file.
    #[inline]
    pub(crate) fn parse(header: &[u8], size: u64) -> Range {
        let Some((first, last)) = bounds(header) else {
            return Range::Whole;
        };
        let (start, end) = match (first, last) {
            (Some(first), Some(last)) if first > last => return Range::Unsatisfiable,
            (Some(first), Some(last)) => (first, last.saturating_add(1).min(size)),
            (Some(first), None) => (first, size),
            (None, Some(0)) => return Range::Unsatisfiable,
            (None, Some(suffix)) => (size.saturating_sub(suffix), size),
            (None, None) => return Range::Whole,
        };
        match (start, end) {
            (0, end) if end == size && (size > 0 || first.is_none()) => Range::Whole,
            (start, end) if start < end => Range::Part { start, end },
            _ => Range::Unsatisfiable,
        }
    }
}

/// The numbers of `bytes=first-last`.
#[inline]
fn bounds(header: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, ranges) = split_once(header, b'=')?;
    if !unit.trim_ascii().eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let (first, last) = split_once(ranges.trim_ascii(), b'-')?;
    Some((number(first)?, number(last)?))
}

/// `Some(None)` for no number, `None` for something else. Signs and separators are not digits.
#[inline]
fn number(text: &[u8]) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // More than fits is beyond the end of every file.
    let digits = text.iter().map(|digit| u64::from(digit - b'0'));
    Some(Some(digits.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(digit))))
}

#[inline]
fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_is_honoured() {
        let part = |start, end| Range::Part { start, end };
        assert_eq!(Range::parse(b"bytes=2-5", 26), part(2, 6));
        assert_eq!(Range::parse(b"bytes=20-", 26), part(20, 26));
        assert_eq!(Range::parse(b"bytes=-4", 26), part(22, 26));
        assert_eq!(Range::parse(b"bytes=20-100", 26), part(20, 26));
        assert_eq!(Range::parse(b"Bytes = 0-0", 26), part(0, 1));
    }

    #[test]
    fn the_whole_file_is_no_range() {
        for header in ["bytes=0-", "bytes=0-25", "bytes=-26", "bytes=-99", "bytes=0-99"] {
            assert_eq!(Range::parse(header.as_bytes(), 26), Range::Whole, "{header}");
        }
        assert_eq!(Range::parse(b"bytes=-5", 0), Range::Whole);
    }

    #[test]
    fn what_does_not_exist_is_unsatisfiable() {
        for header in ["bytes=26-", "bytes=5-2", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(Range::parse(header.as_bytes(), 26), Range::Unsatisfiable, "{header}");
        }
        assert_eq!(Range::parse(b"bytes=0-", 0), Range::Unsatisfiable);
    }

    #[test]
    fn several_ranges_and_nonsense_are_ignored() {
        for header in [
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes",
            "",
            "bytes=--5",
            "bytes=+1-2",
            "bytes=1_0-2",
            "bytes=1 - 2",
        ] {
            assert_eq!(Range::parse(header.as_bytes(), 26), Range::Whole, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_whole_or_outside(
            header in proptest::string::bytes_regex("bytes=[0-9]{0,3}-[0-9]{0,3}|[ -~\\xff]*").expect("a pattern"),
            size in 0u64..500,
        ) {
            if let Range::Part { start, end } = Range::parse(&header, size) {
                prop_assert!(start < end && end <= size && end - start < size);
            }
        }
    }
}
