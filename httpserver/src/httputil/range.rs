use std::ops::Range;

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

/// Which bytes of a representation a request asks for, where an answer may have several parts; the result of
/// [`parse_ranges`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteRanges {
    /// All of them, with 200.
    Whole,
    /// These, with 206: one as the body itself, several as `multipart/byteranges`. There is at least one, none is empty, no
    /// two of them overlap, and together they are less than all.
    Parts(Vec<Range<u64>>),
    /// None of those asked for exist: 416.
    Unsatisfiable,
}

/// Returns what `header`, the value of `Range`, asks for in a representation of `size` bytes.
///
/// One range of bytes is honoured; [`parse_ranges`] takes several. Several ranges, other units and text that cannot be parsed
/// count as no range, which RFC 9110 14.2 allows: a client has to be prepared for the whole. Signs and separators are not
/// digits, as they are in Tornado.
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
    match range_set(header).and_then(bounds) {
        Some((first, last)) => resolve(first, last, size),
        None => ByteRange::Whole,
    }
}

/// The most ranges in one request. More are ignored: the answer is the whole.
const MAX_RANGES: usize = 32;

/// Ranges with a gap of fewer bytes between them become one: a part of its own would cost more than the gap (RFC 9110
/// 15.3.7.2).
const LEAST_GAP: u64 = 80;

/// Returns what `header`, the value of `Range`, asks for in a representation of `size` bytes, several ranges included.
///
/// Ranges that overlap, or that have fewer than 80 bytes between them, become one, at the place of the first of them. So an
/// answer never has more bytes of the representation than there are, whatever a client asks for. More than 32 ranges, other
/// units and text that cannot be parsed count as no range, as for [`parse_range`]. Those beyond the end are left out.
///
/// # Examples
///
/// ```
/// use httpserver::httputil::{ByteRanges, parse_ranges};
///
/// assert_eq!(parse_ranges(b"bytes=0-9, 500-599, -1", 1000), ByteRanges::Parts(vec![0..10, 500..600, 999..1000]));
/// assert_eq!(parse_ranges(b"bytes=100-199, 0-150", 1000), ByteRanges::Parts(vec![0..200]));
/// assert_eq!(parse_ranges(b"bytes=0-599, 400-", 1000), ByteRanges::Whole);
/// assert_eq!(parse_ranges(b"bytes=1000-, 5000-", 1000), ByteRanges::Unsatisfiable);
/// ```
#[inline]
pub fn parse_ranges(header: &[u8], size: u64) -> ByteRanges {
    let Some(set) = range_set(header) else {
        return ByteRanges::Whole;
    };
    let members = set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    let (mut parts, mut count, mut is_whole) = (Vec::new(), 0, false);
    for member in members {
        count += 1;
        let Some((first, last)) = bounds(member).filter(|_| count <= MAX_RANGES) else {
            return ByteRanges::Whole;
        };
        match resolve(first, last, size) {
            ByteRange::Whole => is_whole = true,
            ByteRange::Part { start, end } => coalesce(&mut parts, start..end),
            ByteRange::Unsatisfiable => {}
        }
    }
    match &parts[..] {
        _ if is_whole || count == 0 => ByteRanges::Whole,
        [] => ByteRanges::Unsatisfiable,
        [all] if *all == (0..size) => ByteRanges::Whole,
        _ => ByteRanges::Parts(parts),
    }
}

/// Adds a range to those before it, from which it and all that are near each other are kept apart.
#[inline]
fn coalesce(parts: &mut Vec<Range<u64>>, mut new: Range<u64>) {
    let is_near = |one: &Range<u64>, other: &Range<u64>| {
        one.start < other.end.saturating_add(LEAST_GAP) && other.start < one.end.saturating_add(LEAST_GAP)
    };
    let mut place = parts.len();
    // What it has grown to may be near to one that was not near before.
    while let Some(at) = parts.iter().position(|part| is_near(part, &new)) {
        let part = parts.remove(at);
        new = part.start.min(new.start)..part.end.max(new.end);
        place = place.min(at);
    }
    parts.insert(place, new);
}

/// The bytes of one range.
#[inline]
fn resolve(first: Option<u64>, last: Option<u64>, size: u64) -> ByteRange {
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

/// What stands behind `bytes=`.
#[inline]
fn range_set(header: &[u8]) -> Option<&[u8]> {
    let (unit, ranges) = split_once(header, b'=')?;
    unit.trim_ascii().eq_ignore_ascii_case(b"bytes").then(|| ranges.trim_ascii())
}

/// The numbers of `first-last`, of which there is one at least.
#[inline]
fn bounds(range: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = split_once(range, b'-')?;
    let bounds = (number(first)?, number(last)?);
    (bounds != (None, None)).then_some(bounds)
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
// One range is what is meant.
#[allow(clippy::single_range_in_vec_init)]
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

    #[test]
    fn several_ranges_keep_their_order_and_their_distance() {
        let parts = |header: &str| match parse_ranges(header.as_bytes(), 10_000) {
            ByteRanges::Parts(parts) => parts,
            other => panic!("{header}: {other:?}"),
        };
        assert_eq!(parts("bytes=5000-5009,0-9"), [5000..5010, 0..10]);
        assert_eq!(parts("bytes= 0-9 ,, 5000-5009\t,"), [0..10, 5000..5010]);
        // A gap of 79 bytes is not worth a part, one of 80 is.
        assert_eq!(parts("bytes=0-9,89-99"), [0..100]);
        assert_eq!(parts("bytes=0-9,90-99"), [0..10, 90..100]);
        // The third joins the first two.
        assert_eq!(parts("bytes=5000-,0-9,400-499,10-399"), [5000..10_000, 0..500]);
        assert_eq!(parts("bytes=20000-,0-0,-0"), [0..1]);
    }

    #[test]
    fn too_many_ranges_and_one_that_is_none_are_the_whole() {
        let ranges = |count: u64| (0..count).map(|n| format!("{}-{}", n * 100, n * 100)).collect::<Vec<_>>().join(",");
        let parse = |ranges: String| parse_ranges(format!("bytes={ranges}").as_bytes(), 10_000);
        assert!(matches!(parse(ranges(32)), ByteRanges::Parts(parts) if parts.len() == 32));
        assert_eq!(parse(ranges(33)), ByteRanges::Whole);
        assert_eq!(parse(",".repeat(50_000)), ByteRanges::Whole);
        for bad in ["0-1,x", "0-1,-", "0-1;3-4", "0-1,+3-4", "0-1 3-4", "0-,5"] {
            assert_eq!(parse(bad.into()), ByteRanges::Whole, "{bad}");
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
        fn several_ranges_cover_what_was_asked_for_and_little_more(
            ranges in proptest::collection::vec(
                (proptest::option::of(0u64..1200), proptest::option::of(0u64..1200))
                    .prop_filter("not both", |bounds| *bounds != (None, None)),
                1..8,
            ),
            size in 0u64..1000,
        ) {
            let number = |number: &Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
            let text: Vec<String> =
                ranges.iter().map(|(first, last)| format!("{}-{}", number(first), number(last))).collect();
            let header = format!("bytes={}", text.join(","));
            // Which positions were asked for, and in which order they were first.
            let mut wanted = vec![false; size as usize];
            let mut is_whole = false;
            for &(first, last) in &ranges {
                match reference(first, last, size) {
                    ByteRange::Whole => is_whole = true,
                    ByteRange::Part { start, end } => wanted[start as usize..end as usize].fill(true),
                    ByteRange::Unsatisfiable => {}
                }
            }
            match parse_ranges(header.as_bytes(), size) {
                ByteRanges::Unsatisfiable => prop_assert!(!is_whole && !wanted.contains(&true), "{}", header),
                ByteRanges::Whole => {
                    let longest_gap = wanted.split(|asked| *asked).map(<[bool]>::len).max();
                    prop_assert!(is_whole || longest_gap < Some(80), "{}", header);
                }
                ByteRanges::Parts(parts) => {
                    prop_assert!(!is_whole && !parts.is_empty());
                    let mut sorted = parts.clone();
                    sorted.sort_by_key(|part| part.start);
                    prop_assert!(sorted.windows(2).all(|pair| pair[0].end + 80 <= pair[1].start), "{}", header);
                    for part in &parts {
                        prop_assert!(part.start < part.end && part.end <= size);
                        let inside = &wanted[part.start as usize..part.end as usize];
                        prop_assert!(inside[0] && inside[inside.len() - 1], "{}", header);
                        prop_assert!(inside.split(|asked| *asked).all(|gap| gap.len() < 80), "{}", header);
                    }
                    let covered = |at: u64| parts.iter().any(|part| part.contains(&at));
                    prop_assert!((0..size).all(|at| !wanted[at as usize] || covered(at)), "{}", header);
                }
            }
        }

        #[test]
        fn one_range_is_the_same_alone_and_in_a_list(
            header in proptest::string::bytes_regex("bytes ?= ?[0-9]{0,3}-[0-9]{0,3}|bytes=[-0-9]*").expect("a pattern"),
            size in 0u64..500,
        ) {
            let alone = match parse_range(&header, size) {
                ByteRange::Whole => ByteRanges::Whole,
                ByteRange::Part { start, end } => ByteRanges::Parts(vec![start..end]),
                ByteRange::Unsatisfiable => ByteRanges::Unsatisfiable,
            };
            prop_assert_eq!(parse_ranges(&header, size), alone);
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
