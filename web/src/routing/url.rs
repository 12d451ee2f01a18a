//! Paths made of patterns and values.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::pattern::{Part, parts, unescaped};

/// What a segment of a path has as it is (RFC 3986 3.3); all else is encoded, slashes and backslashes included, so that a
/// value never becomes more than one segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The value of `{*rest}` is several segments.
const SEGMENTS: &AsciiSet = &SEGMENT.remove(b'/');

/// The path that `pattern` matches with these values for its parameters, in order.
///
/// # Errors
///
/// A text that says what is wrong with the values.
#[inline]
pub(crate) fn build_path(pattern: &str, values: &[String]) -> Result<String, &'static str> {
    let mut values = values.iter();
    let mut path = String::with_capacity(pattern.len());
    for part in parts(pattern) {
        match part {
            // Braces are doubled in patterns only.
            Part::Literal(text) => path.push_str(&unescaped(text)),
            Part::Parameter(text) => {
                let value = values.next().ok_or("the route has more parameters than there are values")?;
                add_value(&mut path, value, text.starts_with("{*"))?;
            }
        }
    }
    if values.next().is_some() {
        return Err("the route has fewer parameters than there are values");
    }
    // Clients resolve such segments before they ask (RFC 3986 5.2.4), encoded ones too: it would be another path.
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("clients take the segments `.` and `..` out of a path");
    }
    Ok(path)
}

#[inline]
fn add_value(path: &mut String, value: &str, is_rest: bool) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("a parameter matches at least one character");
    }
    // The layer below refuses it, encoded or not: to a program in C it would be the end of the path.
    if value.contains('\0') {
        return Err("no path has a NUL");
    }
    let mut value = value;
    // `//host` in a link is another host.
    if let Some(rest) = value.strip_prefix('/')
        && is_rest
        && path == "/"
    {
        path.push_str("%2F");
        value = rest;
    }
    path.extend(utf8_percent_encode(value, if is_rest { SEGMENTS } else { SEGMENT }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(pattern: &str, values: &[&str]) -> Result<String, &'static str> {
        build_path(pattern, &values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_encoded_so_that_they_stay_what_they_are() {
        for (pattern, values, path) in [
            ("/", &[][..], "/"),
            ("/user/{name}", &["Ada L"], "/user/Ada%20L"),
            ("/user/{name}", &["a/b\\c?d#e%41"], "/user/a%2Fb%5Cc%3Fd%23e%2541"),
            ("/user/{name}", &["caf\u{e9}\r\n"], "/user/caf%C3%A9%0D%0A"),
            ("/a+b/{x}", &["-._~!$&'()*+,;=:@"], "/a+b/-._~!$&'()*+,;=:@"),
            ("/{{x}}/{y}.png", &["7"], "/{x}/7.png"),
            ("/files/{*path}", &["a b/c"], "/files/a%20b/c"),
            ("/files/{*path}", &["/a"], "/files//a"),
        ] {
            assert_eq!(build(pattern, values).as_deref(), Ok(path), "{pattern} {values:?}");
        }
    }

    #[test]
    fn no_value_makes_a_path_that_is_another_host() {
        assert_eq!(build("/{*path}", &["/evil.example"]).unwrap(), "/%2Fevil.example");
        assert_eq!(build("/{*path}", &["\\evil.example"]).unwrap(), "/%5Cevil.example");
        assert_eq!(build("/{x}", &["/evil.example"]).unwrap(), "/%2Fevil.example");
        assert_eq!(build("/{x}/", &["//evil.example"]).unwrap(), "/%2F%2Fevil.example/");
    }

    #[test]
    fn values_that_no_request_could_have_are_refused() {
        for (pattern, values, reason) in [
            ("/user/{id}", &[][..], "more parameters than"),
            ("/user/{id}", &["1", "2"], "fewer parameters than"),
            ("/user/{id}", &[""], "at least one character"),
            ("/user/{id}", &[".."], "`.` and `..`"),
            ("/user/{id}/x", &["."], "`.` and `..`"),
            ("/files/{*path}", &["a/../b"], "`.` and `..`"),
            ("/user/{id}", &["a\0b"], "NUL"),
            ("/files/{*path}", &["a/\0"], "NUL"),
        ] {
            let refusal = build(pattern, values).unwrap_err();
            assert!(refusal.contains(reason), "{pattern} {values:?}: {refusal}");
        }
        assert_eq!(build("/user/{id}", &["..."]).unwrap(), "/user/...");
    }
}
