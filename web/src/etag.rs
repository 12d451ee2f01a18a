//! Entity tags and the lists of them that clients send.

/// An entity tag, taken apart (RFC 9110, section 8.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag<'a> {
    is_weak: bool,
    /// What stands between the quotes.
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// The tag that is all of `text`; `None` if `text` is something else.
    pub(crate) fn parse(text: &'a [u8]) -> Option<EntityTag<'a>> {
        let (tag, rest) = EntityTag::take(text)?;
        rest.is_empty().then_some(tag)
    }

    /// Whether both stand for the same bytes. A weak tag never promises that.
    pub(crate) fn is_same_strongly(self, other: EntityTag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    #[cfg(feature = "compression")]
    #[inline]
    pub(crate) fn is_weak(self) -> bool {
        self.is_weak
    }

    /// Whether one may stand in for the other.
    pub(crate) fn is_same_weakly(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag at the beginning of `text`, and what follows it.
    fn take(text: &'a [u8]) -> Option<(EntityTag<'a>, &'a [u8])> {
        // The `W` is case-sensitive (section 8.8.3).
        let (is_weak, quoted) = match text.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let length = inner.iter().position(|&byte| !is_tag_byte(byte))?;
        let rest = inner[length..].strip_prefix(b"\"")?;
        Some((EntityTag { is_weak, opaque: &inner[..length] }, rest))
    }
}

/// The tags in one line of `If-Match` or `If-None-Match`. A member that is no tag is left out.
pub(crate) fn tags(line: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    Tags { rest: line }
}

/// Whether the lines of a field hold `*` and nothing else.
pub(crate) fn is_any<'a>(lines: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut members = lines.flat_map(|line| line.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let mut members = members.by_ref().filter(|member| !member.is_empty());
    members.next() == Some(b"*") && members.next().is_none()
}

struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = EntityTag<'a>;

    fn next(&mut self) -> Option<EntityTag<'a>> {
        loop {
            let member = trim_start(self.rest, |byte| is_space(byte) || byte == b',');
            if member.is_empty() {
                return None;
            }
            // A tag may hold commas, so the list cannot be split before its tags are known.
            let (tag, behind) = match EntityTag::take(member) {
                Some((tag, behind)) => (Some(tag), trim_start(behind, is_space)),
                None => (None, member),
            };
            let end = behind.iter().position(|&byte| byte == b',').unwrap_or(behind.len());
            self.rest = &behind[end..];
            // Text between a tag and the next comma spoils the member: it is not the tag that the client meant.
            if end == 0 && tag.is_some() {
                return tag;
            }
        }
    }
}

fn trim_start(text: &[u8], skipped: impl Fn(u8) -> bool) -> &[u8] {
    let start = text.iter().position(|&byte| !skipped(byte)).unwrap_or(text.len());
    &text[start..]
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// An `etagc`: visible ASCII without the quote, and bytes above 127.
fn is_tag_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(line: &[u8]) -> Vec<(bool, Vec<u8>)> {
        tags(line).map(|tag| (tag.is_weak, tag.opaque.to_vec())).collect()
    }

    fn strong(text: &str) -> (bool, Vec<u8>) {
        (false, text.into())
    }

    fn weak(text: &str) -> (bool, Vec<u8>) {
        (true, text.into())
    }

    #[test]
    fn lists_are_split_outside_of_tags_alone() {
        assert_eq!(texts(b"\"a\""), [strong("a")]);
        assert_eq!(texts(b" \"x,y\",W/\"a\" ,, \"\"\t"), [strong("x,y"), weak("a"), strong("")]);
        assert_eq!(texts(b"\"\xff\""), [(false, vec![0xff])]);
    }

    #[test]
    fn members_that_are_no_tags_are_left_out_alone() {
        for junk in ["a", "w/\"a\"", "W/", "\"a b\"", "\"a\"b", "*", "W /\"a\"", "\"open"] {
            assert_eq!(texts(format!("{junk}, \"good\"").as_bytes()), [strong("good")], "{junk}");
            assert_eq!(texts(format!("\"good\" , {junk}").as_bytes()), [strong("good")], "{junk}");
        }
        assert_eq!(texts(b""), []);
    }

    #[test]
    fn strong_comparison_refuses_weak_tags() {
        let parse = |text: &'static str| EntityTag::parse(text.as_bytes()).expect("a tag");
        assert!(parse("\"a\"").is_same_strongly(parse("\"a\"")));
        assert!(!parse("W/\"a\"").is_same_strongly(parse("W/\"a\"")));
        assert!(!parse("W/\"a\"").is_same_strongly(parse("\"a\"")));
        assert!(parse("W/\"a\"").is_same_weakly(parse("\"a\"")));
        assert!(!parse("\"A\"").is_same_weakly(parse("\"a\"")));
        assert_eq!(EntityTag::parse(b"\"a\" "), None);
        assert_eq!(EntityTag::parse(b"a"), None);
    }

    #[test]
    fn a_star_counts_alone() {
        for (lines, any) in [
            (&["*"][..], true),
            (&[" , *\t,"], true),
            (&["*", "\"a\""], false),
            (&["*", "*"], false),
            (&["\"*\""], false),
            (&[""], false),
        ] {
            assert_eq!(is_any(lines.iter().map(|line| line.as_bytes())), any, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_walked_to_its_end(line in "[\"W/, *a\u{e9}]*") {
            let found = tags(line.as_bytes()).count();
            prop_assert!(found <= line.len());
        }
    }
}
