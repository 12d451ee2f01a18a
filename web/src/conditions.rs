//! Conditional requests: whether what a client knows lets its request go on (RFC 9110, section 13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpserver::{Method, httputil::parse_timestamp};

use crate::etag::{self, EntityTag};

/// What becomes of a request with conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The request is performed as if it had no conditions.
    Proceed,
    /// 304: the client's copy is current.
    NotModified,
    /// 412: the resource is not in the state that the client expects.
    PreconditionFailed,
}

/// What the current representation is known by. With neither validator there is no representation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validators<'a> {
    /// The value of `ETag`. One that is no entity tag matches nothing.
    pub(crate) etag: Option<&'a [u8]>,
    /// The time in `Last-Modified`, in whole seconds.
    pub(crate) modified: Option<SystemTime>,
}

/// The lines of the fields that this file knows, in wire order.
#[derive(Debug, Default)]
struct Conditions<'h> {
    if_match: Vec<&'h [u8]>,
    if_none_match: Vec<&'h [u8]>,
    if_modified_since: Vec<&'h [u8]>,
    if_unmodified_since: Vec<&'h [u8]>,
}

/// Evaluates the conditions among `headers` in the order of RFC 9110, section 13.2.2. `If-Range`, its fifth step, is
/// [`range_applies`].
pub(crate) fn evaluate<'h>(
    method: &Method,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    validators: Validators<'_>,
) -> Outcome {
    // Section 13.2.1: conditions mean nothing to methods that select no representation.
    if matches!(*method, Method::CONNECT | Method::OPTIONS | Method::TRACE) {
        return Outcome::Proceed;
    }
    let conditions = Conditions::collect(headers);
    // Steps 1 and 2: a date counts only where there are no tags.
    let is_expected = match conditions.if_match.is_empty() {
        false => conditions.matches(&validators),
        true => conditions.is_unmodified(&validators),
    };
    if !is_expected {
        return Outcome::PreconditionFailed;
    }
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    // Steps 3 and 4, in the same way.
    let is_known = match conditions.if_none_match.is_empty() {
        false => conditions.names_current(&validators),
        true => is_read && conditions.is_not_modified(&validators),
    };
    match is_known {
        false => Outcome::Proceed,
        true if is_read => Outcome::NotModified,
        true => Outcome::PreconditionFailed,
    }
}

/// Whether a range of what the client has goes with a range of the current representation (RFC 9110, section 13.1.5).
/// True without an `If-Range`.
///
/// `now` is the time at which the answer originates.
#[cfg(feature = "static")]
pub(crate) fn range_applies<'h>(
    mut if_range: impl Iterator<Item = &'h [u8]>,
    validators: Validators<'_>,
    now: SystemTime,
) -> bool {
    let Some(line) = if_range.next() else { return true };
    if if_range.next().is_some() {
        return false;
    }
    if let Some(tag) = EntityTag::parse(line) {
        return validators.tag().is_some_and(|current| tag.is_same_strongly(current));
    }
    match (parse_timestamp(line), validators.modified) {
        (Some(date), Some(modified)) => date == modified && is_strong(modified, now),
        _ => false,
    }
}

/// Whether a date tells versions apart: within its own second there may be several (RFC 9110, section 8.8.2.2).
#[cfg(feature = "static")]
fn is_strong(modified: SystemTime, now: SystemTime) -> bool {
    now.duration_since(modified).is_ok_and(|age| age.as_secs() >= 1)
}

impl<'h> Conditions<'h> {
    fn collect(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Conditions<'h> {
        let mut found = Conditions::default();
        for (name, value) in headers {
            // Most names are told apart by their length.
            match name.len() {
                8 if name.eq_ignore_ascii_case("if-match") => found.if_match.push(value),
                13 if name.eq_ignore_ascii_case("if-none-match") => found.if_none_match.push(value),
                17 if name.eq_ignore_ascii_case("if-modified-since") => found.if_modified_since.push(value),
                19 if name.eq_ignore_ascii_case("if-unmodified-since") => found.if_unmodified_since.push(value),
                _ => {}
            }
        }
        found
    }

    /// Section 13.1.1. With strong comparison: the client is about to change the bytes that it knows.
    fn matches(&self, validators: &Validators<'_>) -> bool {
        if etag::is_any(self.if_match.iter().copied()) {
            return validators.has_representation();
        }
        let Some(current) = validators.tag() else { return false };
        self.if_match.iter().flat_map(|line| etag::tags(line)).any(|tag| tag.is_same_strongly(current))
    }

    /// Section 13.1.2, the other way round. With weak comparison: an equivalent copy is as good.
    fn names_current(&self, validators: &Validators<'_>) -> bool {
        if etag::is_any(self.if_none_match.iter().copied()) {
            return validators.has_representation();
        }
        let Some(current) = validators.tag() else { return false };
        self.if_none_match.iter().flat_map(|line| etag::tags(line)).any(|tag| tag.is_same_weakly(current))
    }

    /// Section 13.1.4. Without a valid date, and without a time to compare it with, there is no condition.
    fn is_unmodified(&self, validators: &Validators<'_>) -> bool {
        match (single_date(&self.if_unmodified_since), validators.modified) {
            (Some(date), Some(modified)) => modified <= date,
            _ => true,
        }
    }

    /// Section 13.1.3, the other way round.
    fn is_not_modified(&self, validators: &Validators<'_>) -> bool {
        match (single_date(&self.if_modified_since), validators.modified) {
            (Some(date), Some(modified)) => modified <= date,
            _ => false,
        }
    }
}

impl Validators<'_> {
    fn has_representation(&self) -> bool {
        self.etag.is_some() || self.modified.is_some()
    }

    fn tag(&self) -> Option<EntityTag<'_>> {
        EntityTag::parse(self.etag?)
    }
}

/// The date of a field that must not be a list.
fn single_date(lines: &[&[u8]]) -> Option<SystemTime> {
    match lines {
        [line] => parse_timestamp(line),
        _ => None,
    }
}

/// `time` as an HTTP date shows it, within the years that such a date can show.
pub(crate) fn whole_seconds(time: SystemTime) -> SystemTime {
    const END_OF_9999: u64 = 253_402_300_799;
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs().min(END_OF_9999))
}

#[cfg(test)]
mod tests {
    use httpserver::httputil::format_timestamp;
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// What a client puts into a list of tags.
    #[derive(Clone, Debug)]
    enum Member {
        Star,
        Tag { is_weak: bool, name: &'static str },
        Junk(&'static [u8]),
    }

    /// What a client puts into a field with a date.
    #[derive(Clone, Debug)]
    enum Date {
        At(u64),
        Junk(&'static [u8]),
    }

    /// A field: lines, and members on each of them. No lines at all is a field that is absent.
    type TagField = Vec<Vec<Member>>;
    type DateField = Vec<Date>;

    #[derive(Clone, Debug)]
    struct Case {
        method: Method,
        if_match: TagField,
        if_none_match: TagField,
        if_modified_since: DateField,
        if_unmodified_since: DateField,
        etag: Option<(bool, &'static str)>,
        modified: Option<u64>,
    }

    /// Section 13.2.2, step by step, over what the client meant instead of what it sent.
    fn reference(case: &Case) -> Outcome {
        if [Method::OPTIONS, Method::TRACE].contains(&case.method) {
            return Outcome::Proceed;
        }
        let exists = case.etag.is_some() || case.modified.is_some();
        let is_read = case.method == Method::GET || case.method == Method::HEAD;
        let names = |field: &TagField, strongly: bool| {
            let members: Vec<&Member> = field.iter().flatten().collect();
            if let [Member::Star] = members[..] {
                return exists;
            }
            members.iter().any(|member| match (member, case.etag) {
                (Member::Tag { is_weak, name }, Some((current_is_weak, current))) => {
                    *name == current && !(strongly && (*is_weak || current_is_weak))
                }
                _ => false,
            })
        };
        // `None` where the field is to be ignored.
        let unmodified_since = |field: &DateField| match (&field[..], case.modified) {
            ([Date::At(date)], Some(modified)) => Some(modified <= *date),
            _ => None,
        };
        // Step 1.
        if !case.if_match.is_empty() {
            if !names(&case.if_match, true) {
                return Outcome::PreconditionFailed;
            }
        // Step 2.
        } else if unmodified_since(&case.if_unmodified_since) == Some(false) {
            return Outcome::PreconditionFailed;
        }
        // Step 3.
        if !case.if_none_match.is_empty() {
            if names(&case.if_none_match, false) {
                return if is_read { Outcome::NotModified } else { Outcome::PreconditionFailed };
            }
        // Step 4.
        } else if is_read && unmodified_since(&case.if_modified_since) == Some(true) {
            return Outcome::NotModified;
        }
        // Steps 5 and 6.
        Outcome::Proceed
    }

    /// The head that says what the case means.
    fn lines(case: &Case) -> Vec<(&'static str, Vec<u8>)> {
        let mut lines = vec![("Host", b"test".to_vec())];
        for (name, field) in [("If-Match", &case.if_match), ("if-none-match", &case.if_none_match)] {
            lines.extend(field.iter().map(|members| (name, tag_line(members))));
        }
        for (name, field) in
            [("IF-MODIFIED-SINCE", &case.if_modified_since), ("If-Unmodified-Since", &case.if_unmodified_since)]
        {
            lines.extend(field.iter().map(|date| (name, date_line(date))));
        }
        lines
    }

    fn tag_line(members: &[Member]) -> Vec<u8> {
        let members: Vec<Vec<u8>> = members
            .iter()
            .map(|member| match member {
                Member::Star => b"*".to_vec(),
                Member::Tag { is_weak, name } => tag(*is_weak, name).into_bytes(),
                Member::Junk(junk) => junk.to_vec(),
            })
            .collect();
        members.join(&b", "[..])
    }

    fn date_line(date: &Date) -> Vec<u8> {
        match date {
            Date::At(seconds) => format_timestamp(time(*seconds)).into_bytes(),
            Date::Junk(junk) => junk.to_vec(),
        }
    }

    fn tag(is_weak: bool, name: &str) -> String {
        format!("{}\"{name}\"", if is_weak { "W/" } else { "" })
    }

    fn time(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
    }

    fn outcome(case: &Case) -> Outcome {
        let etag = case.etag.map(|(is_weak, name)| tag(is_weak, name));
        let validators = Validators { etag: etag.as_ref().map(String::as_bytes), modified: case.modified.map(time) };
        let lines = lines(case);
        evaluate(&case.method, lines.iter().map(|(name, value)| (*name, &value[..])), validators)
    }

    fn a_name() -> impl Strategy<Value = &'static str> {
        select(vec!["a", "b", "a,b", "\u{e9}", ""])
    }

    fn a_member() -> impl Strategy<Value = Member> {
        let junk = select(vec![&b"a"[..], b"w/\"a\"", b"\"a b\"", b"\"a\"b", b"W/", b"\xff", b"**", b"\"open"]);
        prop_oneof![
            2 => Just(Member::Star),
            6 => (any::<bool>(), a_name()).prop_map(|(is_weak, name)| Member::Tag { is_weak, name }),
            2 => junk.prop_map(Member::Junk),
        ]
    }

    fn a_tag_field() -> impl Strategy<Value = TagField> {
        prop_oneof![Just(Vec::new()), vec(vec(a_member(), 1..4), 1..3)]
    }

    fn a_date_field() -> impl Strategy<Value = DateField> {
        let junk = select(vec![&b"yesterday"[..], b"", b"\xff", b"0"]);
        let date = prop_oneof![4 => (0..4u64).prop_map(Date::At), 1 => junk.prop_map(Date::Junk)];
        prop_oneof![2 => Just(Vec::new()), 4 => vec(date.clone(), 1), 1 => vec(date, 2)]
    }

    fn a_case() -> impl Strategy<Value = Case> {
        let methods = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS];
        (
            select(methods.to_vec()),
            a_tag_field(),
            a_tag_field(),
            a_date_field(),
            a_date_field(),
            proptest::option::of((any::<bool>(), a_name())),
            proptest::option::of(0..4u64),
        )
            .prop_map(
                |(method, if_match, if_none_match, if_modified_since, if_unmodified_since, etag, modified)| Case {
                    method,
                    if_match,
                    if_none_match,
                    if_modified_since,
                    if_unmodified_since,
                    etag,
                    modified,
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_order_is_that_of_the_standard(case in a_case()) {
            prop_assert_eq!(outcome(&case), reference(&case));
        }
    }

    const TAG: Validators<'_> = Validators { etag: Some(b"\"a\""), modified: None };

    #[cfg(feature = "static")]
    #[test]
    fn a_range_needs_a_strong_validator() {
        let modified = time(10);
        let validators = Validators { modified: Some(modified), ..TAG };
        let applies = |lines: &[&[u8]], now| range_applies(lines.iter().copied(), validators, time(now));
        let date = format_timestamp(modified);
        let other = format_timestamp(time(9));

        assert!(applies(&[], 10));
        assert!(applies(&[b"\"a\""], 10));
        for refused in [&b"W/\"a\""[..], b"\"b\"", b"", b"a", b"\xff", b"\"a\", \"a\""] {
            assert!(!applies(&[refused], 20), "{refused:?}");
        }
        assert!(!applies(&[b"\"a\"", b"\"a\""], 20));
        assert!(applies(&[date.as_bytes()], 11));
        assert!(!applies(&[date.as_bytes()], 10), "within the second of the change");
        assert!(!applies(&[date.as_bytes()], 9), "a change in the future");
        assert!(!applies(&[other.as_bytes()], 20));
    }

    #[cfg(feature = "static")]
    #[test]
    fn a_weak_tag_of_our_own_allows_no_range() {
        let validators = Validators { etag: Some(b"W/\"a\""), modified: None };
        assert!(!range_applies([&b"W/\"a\""[..]].into_iter(), validators, time(20)));
        assert!(!range_applies([&b"\"a\""[..]].into_iter(), validators, time(20)));
    }

    #[test]
    fn times_that_http_cannot_show_are_clamped() {
        assert_eq!(whole_seconds(UNIX_EPOCH - Duration::from_secs(5)), UNIX_EPOCH);
        assert_eq!(whole_seconds(UNIX_EPOCH + Duration::from_millis(1_999)), UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(
            format_timestamp(whole_seconds(UNIX_EPOCH + Duration::from_secs(1 << 40))),
            "Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }

    #[test]
    fn an_etag_that_is_no_tag_matches_nothing() {
        let validators = Validators { etag: Some(b"a"), modified: None };
        let evaluate = |name, value: &'static [u8]| evaluate(&Method::GET, [(name, value)].into_iter(), validators);
        assert_eq!(evaluate("if-match", b"\"a\""), Outcome::PreconditionFailed);
        assert_eq!(evaluate("if-none-match", b"\"a\""), Outcome::Proceed);
        assert_eq!(evaluate("if-none-match", b"*"), Outcome::NotModified);
    }
}
