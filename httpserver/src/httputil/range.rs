/// Which bytes of a representation a request asks for; the result of [`parse_range`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// All of them, with 200.
    Whole,
    /// Those from `start` up to, not including, `end`, with 206. Never none, and never all.
    Part {
        /// The position of the first byte.
        start: u64,
        /// The position behind the last byte.
        end: u64,
    },
    /// None of those asked for exist: 416.
    Unsatisfiable,
}

impl ByteRange {
    /// Returns the value of `Content-Range` that goes with the answer, for a representation of `size` bytes; `None` for the
    /// whole, whose answer has no such line.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::httputil::parse_range;
    ///
    /// assert_eq!(parse_range(b"bytes=2-5", 26).content_range(26).as_deref(), Some("bytes 2-5/26"));
    /// assert_eq!(parse_range(b"bytes=26-", 26).content_range(26).as_deref(), Some("bytes */26"));
    /// assert_eq!(parse_range(b"bytes=0-", 26).content_range(26), None);
    /// ```
    #[inline]
    pub fn content_range(self, size: u64) -> Option<String> {
        match self {
            ByteRange::Whole => None,
            ByteRange::Part { start, end } => Some(format!("bytes {start}-{}/{size}", end.saturating_sub(1))),
            ByteRange::Unsatisfiable => Some(format!("bytes */{size}")),
        }
    }
}

/// Returns what `header`, the value of `Range`, asks for in a representation of `size` bytes.
///
/// One range of bytes is honoured. Several ranges, other units and text that cannot be parsed count as no range, which
/// RFC 9110 14.2 allows: a client has to be prepared for the whole. Signs and separators are not digits, as they are in
/// Tornado.
///
/// Only a GET has ranges, and a precondition comes first: look at `If-Range` and the others before.
///
/// # Examples
///
/// ```
/// use httpserver::httputil::{ByteRange, parse_range};
///
/// assert_eq!(parse_range(b"bytes=2-5", 26), ByteRange::Part { start: 2, end: 6 });
/// assert_eq!(parse_range(b"bytes=-4", 26), ByteRange::Part { start: 22, end: 26 });
/// assert_eq!(parse_range(b"bytes=30-", 26), ByteRange::Unsatisfiable);
/// assert_eq!(parse_range(b"lines=1-2", 26), ByteRange::Whole);
/// ```
#[inline]
pub fn parse_range(header: &[u8], size: u64) -> ByteRange {
    let Some((first, last)) = bounds(header) else {
        return ByteRange::Whole;
    };
    let (start, end) = match (first, last) {
        (Some(first), Some(last)) if first > last => return ByteRange::Unsatisfiable,
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(size)),
        (Some(first), None) => (first, size),
        (None, Some(0)) => return ByteRange::Unsatisfiable,
        (None, Some(suffix)) => (size.saturating_sub(suffix), size),
        (None, None) => return ByteRange::Whole,
    };
    match (start, end) {
        (0, end) if end == size && (size > 0 || first.is_none()) => ByteRange::Whole,
        (start, end) if start < end => ByteRange::Part { start, end },
        _ => ByteRange::Unsatisfiable,
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
        let part = |start, end| ByteRange::Part { start, end };
        assert_eq!(parse_range(b"bytes=2-5", 26), part(2, 6));
        assert_eq!(parse_range(b"bytes=20-", 26), part(20, 26));
        assert_eq!(parse_range(b"bytes=-4", 26), part(22, 26));
        assert_eq!(parse_range(b"bytes=20-100", 26), part(20, 26));
        assert_eq!(parse_range(b"Bytes = 0-0", 26), part(0, 1));
    }

    #[test]
    fn the_whole_file_is_no_range() {
        for header in ["bytes=0-", "bytes=0-25", "bytes=-26", "bytes=-99", "bytes=0-99"] {
            assert_eq!(parse_range(header.as_bytes(), 26), ByteRange::Whole, "{header}");
        }
        assert_eq!(parse_range(b"bytes=-5", 0), ByteRange::Whole);
    }

    #[test]
    fn what_does_not_exist_is_unsatisfiable() {
        for header in ["bytes=26-", "bytes=5-2", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(parse_range(header.as_bytes(), 26), ByteRange::Unsatisfiable, "{header}");
        }
        assert_eq!(parse_range(b"bytes=0-", 0), ByteRange::Unsatisfiable);
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
            assert_eq!(parse_range(header.as_bytes(), 26), ByteRange::Whole, "{header}");
        }
    }

    /// A second way to the same end: the positions asked for, one by one.
    fn reference(first: Option<u64>, last: Option<u64>, size: u64) -> ByteRange {
        let wanted: Vec<u64> = match (first, last) {
            (None, None) => return ByteRange::Whole,
            (None, Some(suffix)) => {
                (0..size).rev().take(suffix as usize).collect::<Vec<_>>().into_iter().rev().collect()
            }
            (Some(first), last) => (0..size).filter(|at| *at >= first && last.is_none_or(|last| *at <= last)).collect(),
        };
        match wanted[..] {
            // The last bytes of nothing are all that there is.
            [] if size == 0 && first.is_none() && last != Some(0) => ByteRange::Whole,
            [] => ByteRange::Unsatisfiable,
            [..] if wanted.len() as u64 == size => ByteRange::Whole,
            [start, ..] => ByteRange::Part { start, end: start + wanted.len() as u64 },
        }
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_asked_for(
            first in proptest::option::of(0u64..30),
            last in proptest::option::of(0u64..30),
            size in 0u64..25,
        ) {
            let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
            let header = format!("bytes={}-{}", number(first), number(last));
            prop_assert_eq!(parse_range(header.as_bytes(), size), reference(first, last, size), "{}", header);
        }

        #[test]
        fn a_part_is_never_empty_whole_or_outside(
            header in proptest::string::bytes_regex("bytes=[0-9]{0,3}-[0-9]{0,3}|[ -~\\xff]*").expect("a pattern"),
            size in 0u64..500,
        ) {
            if let ByteRange::Part { start, end } = parse_range(&header, size) {
                prop_assert!(start < end && end <= size && end - start < size);
            }
        }
    }
}
