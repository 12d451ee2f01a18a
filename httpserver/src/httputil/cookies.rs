use std::borrow::Cow;

use crate::Request;

impl Request {
    /// The value of the cookie `name`. If it was sent several times, the last one counts.
    ///
    /// A quoted value is unquoted. Only a value that has a backslash in it is allocated.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::Request;
    ///
    /// let request = Request::builder().header("Cookie", "session=a1b2c3; theme=dark").build()?;
    /// assert_eq!(request.cookie("theme").as_deref(), Some("dark"));
    /// assert_eq!(request.cookie("name"), None);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.cookies().filter(|(known, _)| *known == name).last().map(|(_, value)| value)
    }

    /// All cookies of the request as name and value, in the order in which they were sent; see [`parse_cookie`].
    #[inline]
    pub fn cookies(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.headers().get_all("cookie").flat_map(parse_cookie)
    }
}

/// The cookies in `line`, the value of a `Cookie` header, as name and value in their order.
///
/// The line is split at semicolons alone: a quoted value ends there too, however it goes on. A parser that lets quotes
/// span them disagrees with browsers about where one cookie ends and the next begins.
///
/// White space around names and values is dropped. A cookie without an equals sign is a value without a name, as for
/// browsers. One that is not UTF-8 is left out, and the others of its line are not affected. A value in double quotes is
/// unquoted: `\"`, `\\` and the octal `\ooo`, as Tornado and Python write them. Octals are the bytes of UTF-8, and where they
/// are not, those of Latin-1, which Python has. The time is linear in the length of the line.
///
/// # Examples
///
/// ```
/// use httpserver::httputil::parse_cookie;
///
/// let cookies: Vec<_> = parse_cookie(br#"theme=dark; said="a; b"; note="\"so\"""#).collect();
/// assert_eq!(cookies, [
///     ("theme", "dark".into()),
///     ("said", "\"a".into()),
///     ("", "b\"".into()),
///     ("note", "\"so\"".into()),
/// ]);
/// ```
#[inline]
pub fn parse_cookie(line: &[u8]) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    line.split(|&byte| byte == b';').filter_map(|pair| {
        let pair = str::from_utf8(pair).ok()?;
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (name.trim_matches(OWS), value.trim_matches(OWS));
        (!name.is_empty() || !value.is_empty()).then(|| (name, unquote(value)))
    })
}

/// Optional white space (RFC 9110 5.6.3). What else counts as a space in Unicode belongs to the value.
const OWS: [char; 2] = [' ', '\t'];

/// Undoes quoting: `\"`, `\\` and `\ooo`, one pass over the text.
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
        Err(error) => Cow::Owned(with_latin_1(error.as_bytes())),
    }
}

/// What is not UTF-8 has been quoted by Python, which writes `\351` for an `é`.
#[cold]
#[inline]
fn with_latin_1(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().copied().map(char::from));
    }
    text
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
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// As Tornado returns them: the last one of a name wins.
    fn map(line: &str) -> BTreeMap<&str, String> {
        parse_cookie(line.as_bytes()).map(|(name, value)| (name, value.into_owned())).collect()
    }

    fn check(line: &str, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        assert_eq!(map(line), expected, "{line}");
    }

    /// Those of Tornado's `ParseCookieTest`, which come from Django and Python.
    #[test]
    fn tornados_vectors() {
        check("chips=ahoy; vienna=finger", &[("chips", "ahoy"), ("vienna", "finger")]);
        check(
            r#"keebler="E=mc2; L=\"Loves\"; fudge=\012;""#,
            &[("keebler", "\"E=mc2"), ("L", r#"\"Loves\""#), ("fudge", r"\012"), ("", "\"")],
        );
        check("keebler=E=mc2", &[("keebler", "E=mc2")]);
        check("key:term=value:term", &[("key:term", "value:term")]);
        check("a=b; c=[; d=r; f=h", &[("a", "b"), ("c", "["), ("d", "r"), ("f", "h")]);
        check("a=b; Domain=example.com", &[("a", "b"), ("Domain", "example.com")]);
        check("a=b; h=i; a=c", &[("a", "c"), ("h", "i")]);
        check("abc=def; unnamed; django_language=en", &[("abc", "def"), ("", "unnamed"), ("django_language", "en")]);
        check(r#"a=b; "; c=d"#, &[("a", "b"), ("", "\""), ("c", "d")]);
        check("a b c=d e = f; gh=i", &[("a b c", "d e = f"), ("gh", "i")]);
        check(r#"a   b,c<>@:/[]?{}=d  "  =e,f g"#, &[("a   b,c<>@:/[]?{}", r#"d  "  =e,f g"#)]);
        check("saint=Andr\u{e9} Bessette", &[("saint", "Andr\u{e9} Bessette")]);
        check("  =  b  ;  ;  =  ;   c  =  ;  ", &[("", "b"), ("c", "")]);
    }

    /// Those of Tornado's `test_unquote`.
    #[test]
    fn tornados_vectors_of_quoting() {
        for (quoted, expected) in [
            (r#""b=\"""#, "b=\""),
            (r#""b=\\""#, "b=\\"),
            (r#""b=\=""#, "b=="),
            (r#""b=\n""#, "b=n"),
            (r#""b=\042""#, "b=\""),
            (r#""b=\134""#, "b=\\"),
            (r#""b=\377""#, "b=\u{ff}"),
            (r#""b=\400""#, "b=400"),
            (r#""b=\42""#, "b=42"),
            (r#""b=\\042""#, r"b=\042"),
            (r#""b=\\134""#, r"b=\134"),
            (r#""b=\\\"""#, r#"b=\""#),
            (r#""b=\\\042""#, r#"b=\""#),
            (r#""b=\134\"""#, r#"b=\""#),
            (r#""b=\134\042""#, r#"b=\""#),
        ] {
            assert_eq!(unquote(quoted), expected, "{quoted}");
        }
    }

    #[test]
    fn a_cookie_that_is_not_utf8_spoils_no_other() {
        let all: Vec<_> = parse_cookie(b"session=abc; x=\xff; \xfe=1; y=\"\xc3\xa9\"").collect();
        assert_eq!(all, [("session", Cow::from("abc")), ("y", Cow::from("\u{e9}"))]);
    }

    #[test]
    fn brackets_and_attribute_names_are_ordinary() {
        check(
            "foo=bar[x=1; _xsrf=2; Path=/; expires",
            &[("foo", "bar[x=1"), ("_xsrf", "2"), ("Path", "/"), ("", "expires")],
        );
    }

    #[test]
    fn quoted_values_are_unquoted() {
        assert_eq!(unquote(r#""a\"b\\c\073\303\251""#), "a\"b\\c;\u{e9}");
        assert_eq!(unquote(r#""na\357ve \303\251\351€""#), "na\u{ef}ve \u{e9}\u{e9}\u{20ac}");
        assert_eq!(unquote(r#""\""#), "\\");
        assert_eq!(unquote(r#"""#), "\"");
        assert_eq!(unquote(r#""\999""#), "999");
    }

    proptest! {
        #[test]
        fn names_and_values_come_back(pairs in proptest::collection::vec(("[!-:<>-~]{1,8}", "[!#-:<-~]{0,8}"), 0..10)) {
            let line = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let parsed: Vec<_> = parse_cookie(line.as_bytes()).map(|(n, v)| (n.to_owned(), v.into_owned())).collect();
            prop_assert_eq!(parsed, pairs);
        }

        #[test]
        fn any_line_is_parsed(line: Vec<u8>) {
            parse_cookie(&line).for_each(drop);
        }
    }
}
