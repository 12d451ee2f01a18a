//! The cookies that a client sends.

use std::borrow::Cow;

use crate::exchange::Exchange;

impl Exchange {
    /// Returns the value of the request's cookie `name`. If it was sent several times, the last one counts.
    ///
    /// A quoted value is unquoted, so this returns what [`set_cookie`](Exchange::set_cookie) was called with.
    #[inline]
    pub fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.cookies().filter(|(known, _)| *known == name).last().map(|(_, value)| value)
    }

    /// Returns all cookies of the request as name and value, in the order in which they were sent. A cookie that is not
    /// UTF-8 is left out, and the others of its line are not affected.
    #[inline]
    pub fn cookies(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.headers().get_all("cookie").flat_map(pairs)
    }
}

/// Split at semicolons alone: a quoted value ends there too, however it goes on. A parser that lets quotes span them
/// disagrees with browsers about where one cookie ends and the next begins.
#[inline]
fn pairs(line: &[u8]) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    line.split(|&byte| byte == b';').filter_map(|pair| {
        let (name, value) = str::from_utf8(pair).ok()?.split_once('=')?;
        Some((name.trim_matches(OWS), unquote(value.trim_matches(OWS))))
    })
}

/// Optional white space (RFC 9110, section 5.6.3). What else counts as a space in Unicode belongs to the value.
const OWS: [char; 2] = [' ', '\t'];

/// Undoes the quoting of [`quote`](crate::set_cookie::quote): `\"`, `\\` and `\ooo`, one pass over the text. Bytes that
/// do not make UTF-8 together are replaced.
#[inline]
fn unquote(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let Some(inner) = inner else {
        return Cow::Borrowed(value);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, behind) = match first {
            b'\\' => unescape(tail),
            plain => (plain, tail),
        };
        bytes.push(byte);
        rest = behind;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// The byte that the text behind a backslash stands for, and what follows it.
#[inline]
fn unescape(tail: &[u8]) -> (u8, &[u8]) {
    match tail {
        [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
            ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), rest)
        }
        [byte, rest @ ..] => (*byte, rest),
        [] => (b'\\', &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::set_cookie::quote;

    fn parsed(line: &str) -> Vec<(String, String)> {
        pairs(line.as_bytes()).map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn pairs_are_trimmed_and_junk_is_skipped() {
        assert_eq!(parsed("a=1; b = 2 ;junk; =x;c="), owned(&[("a", "1"), ("b", "2"), ("", "x"), ("c", "")]));
    }

    #[test]
    fn a_cookie_that_is_not_utf8_spoils_no_other() {
        let all: Vec<_> = pairs(b"session=abc; x=\xff; \xfe=1; y=\"\xc3\xa9\"").collect();
        assert_eq!(all, [("session", Cow::from("abc")), ("y", Cow::from("\u{e9}"))]);
    }

    #[test]
    fn quotes_do_not_span_semicolons() {
        assert_eq!(parsed(r#"a="x; b=y"; c=z"#), owned(&[("a", "\"x"), ("b", "y\""), ("c", "z")]));
    }

    #[test]
    fn brackets_and_attribute_names_are_ordinary() {
        assert_eq!(
            parsed("foo=bar[x=1; _xsrf=2; Path=/; expires"),
            owned(&[("foo", "bar[x=1"), ("_xsrf", "2"), ("Path", "/")])
        );
    }

    #[test]
    fn quoted_values_are_unquoted() {
        assert_eq!(unquote(r#""a\"b\\c\073\303\251""#), "a\"b\\c;é");
        assert_eq!(unquote(r#""\""#), "\\");
        assert_eq!(unquote(r#"""#), "\"");
        assert_eq!(unquote(r#""\999""#), "999");
        assert_eq!(unquote(r#""\377""#), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn what_was_quoted_is_unquoted(value: String) {
            let quoted = quote(&value);
            prop_assert!(quoted.bytes().all(|byte| byte != b';' && (byte == b' ' || byte.is_ascii_graphic())));
            let unquoted = unquote(&quoted);
            prop_assert_eq!(&*unquoted, &*value);
        }

        #[test]
        fn any_line_is_parsed(line: Vec<u8>) {
            pairs(&line).for_each(drop);
        }
    }
}
