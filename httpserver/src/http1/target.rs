//! The request target and its four forms (RFC 9112 3.2).
//!
//! A target is taken apart once, into positions; nothing is decoded or normalised, because only the service knows what a
//! path means. Characters that no client sends unencoded are refused: a control character, a space or a fragment in a
//! target is a fault of framing or an attack.
//!
//! Nearly every request has the origin form, and its target is found and checked in one walk by [`parse_origin`]. The
//! other forms, and whatever the fast path of the head has left, go to [`parse`] with the ends known already.

use http::Method;

use super::{
    authority::{is_authority, is_host_and_port},
    refusal::bad,
    scan::{Class, Cursor, class_len},
};
use crate::{Error, headers::is_same_name, span::Span};

/// Which of the four forms of RFC 9112 3.2 a target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`, what a client sends to a server.
    Origin,
    /// `http://authority/path?query`, what it sends to a proxy.
    Absolute,
    /// `host:port`, with CONNECT only.
    Authority,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// A target taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) form: TargetForm,
    /// As sent.
    pub(crate) whole: Span,
    /// Empty in absolute form without a path and in authority form.
    pub(crate) path: Span,
    /// In absolute and authority form, else empty.
    pub(crate) authority: Span,
}

impl Target {
    /// Behind the `?`, which may be the last character. It is what follows the path in all forms that have one.
    #[inline]
    pub(crate) fn query(&self) -> Option<Span> {
        let (path, whole) = (self.path.range(), self.whole.range());
        let has_query = path.end < whole.end && self.form != TargetForm::Authority;
        has_query.then(|| Span::new(path.end + 1, whole.end - path.end - 1))
    }
}

/// Takes apart the target at `whole` of `head`.
///
/// # Errors
///
/// 400 for one that has none of the forms that go with `method`.
#[inline]
pub(super) fn parse(head: &[u8], whole: Span, method: &Method) -> Result<Target, Error> {
    let target = &head[whole.range()];
    // CONNECT has an authority and nothing else (RFC 9112 3.2.3), whatever its target begins with.
    if target.first() == Some(&b'/') && *method != Method::CONNECT {
        let path = path_before_query(target, whole.start as usize)?;
        return Ok(Target { form: TargetForm::Origin, whole, path, authority: Span::EMPTY });
    }
    parse_other_form(target, whole, method)
}

/// Takes apart the target in origin form that begins at the cursor, which is at `start` of the head, and ends at a space;
/// `None` if there is none. The cursor is left at the space.
#[inline(always)]
pub(super) fn parse_origin(cursor: &mut Cursor<'_>, start: usize) -> Option<Target> {
    if cursor.rest().first() != Some(&b'/') {
        return None;
    }
    // A short path alone, as most targets have, ends at a space; only what does not is looked at for more.
    let usual = cursor.path_len_in_block();
    let (path_len, len) = match cursor.rest().get(usual) {
        Some(b' ') => (usual, usual),
        _ => longer_target(*cursor)?,
    };
    cursor.take(len)?;
    let (whole, path) = (Span::new(start, len), Span::new(start, path_len));
    Some(Target { form: TargetForm::Origin, whole, path, authority: Span::EMPTY })
}

/// The lengths of the path and of the whole target, up to a space, of one that is longer than a block, has a percent sign
/// in the path, or a query.
#[inline(never)]
fn longer_target(mut cursor: Cursor<'_>) -> Option<(usize, usize)> {
    let path_len = escaped_path_len(cursor.rest(), cursor.path_len())?;
    cursor.take(path_len)?;
    // A question mark is a character of queries too.
    let query_len = if cursor.rest().first() == Some(&b'?') { cursor.query_len() } else { 0 };
    cursor.take(query_len)?;
    (cursor.rest().first() == Some(&b' ')).then_some((path_len, path_len + query_len))
}

/// Length of the path that `text` begins with and whose first percent sign is at `len`; `None` if it has a `%00`.
///
/// NUL ends a string in C. A path decoded by one program and passed on to another would name a different file there, and
/// no honest client sends one. An escape that is not whole is left to the service: browsers send `/100%` as it was typed.
fn escaped_path_len(text: &[u8], mut len: usize) -> Option<usize> {
    while text.get(len) == Some(&b'%') {
        let behind = &text[len + 1..];
        if behind.starts_with(b"00") {
            return None;
        }
        len += 1 + class_len(behind, Class::PATH);
    }
    Some(len)
}

/// A target that is not in origin form.
///
/// The scheme is `http` or `https`, in any case. Both are taken from clients of a gateway in front, which ends TLS.
#[cold]
fn parse_other_form(target: &[u8], whole: Span, method: &Method) -> Result<Target, Error> {
    let start = whole.start as usize;
    if *method == Method::CONNECT {
        if !is_host_and_port(target) {
            return Err(MALFORMED);
        }
        return Ok(Target { form: TargetForm::Authority, whole, path: Span::new(start, 0), authority: whole });
    }
    // RFC 9112 3.2.4: the server as a whole, for OPTIONS alone.
    if target == b"*" && *method == Method::OPTIONS {
        return Ok(Target { form: TargetForm::Asterisk, whole, path: whole, authority: Span::EMPTY });
    }
    let begins_with = |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|found| is_same_name(found, scheme));
    let scheme = match () {
        () if begins_with(b"http://") => 7,
        () if begins_with(b"https://") => 8,
        () => return Err(MALFORMED),
    };
    let rest = &target[scheme..];
    // An authority ends at a slash or a question mark (RFC 3986 3.2). A fragment's mark is left in it, and refused
    // there.
    let end = rest.iter().position(|&b| b == b'/' || b == b'?').unwrap_or(rest.len());
    if !is_authority(&rest[..end]) {
        return Err(MALFORMED);
    }
    let path = path_before_query(&rest[end..], start + scheme + end)?;
    Ok(Target { form: TargetForm::Absolute, whole, path, authority: Span::new(start + scheme, end) })
}

/// Checks the characters of `text`, which begins at `start` of the head: a path up to the first `?`, and a query.
#[inline]
fn path_before_query(text: &[u8], start: usize) -> Result<Span, Error> {
    let end = escaped_path_len(text, class_len(text, Class::PATH)).ok_or(NUL_IN_PATH)?;
    match text.get(end) {
        None => {}
        // A question mark is a character of queries too.
        Some(b'?') if class_len(&text[end..], Class::QUERY) == text.len() - end => {}
        Some(_) => return Err(MALFORMED),
    }
    Ok(Span::new(start, end))
}

const MALFORMED: Error = bad("malformed request target");
const NUL_IN_PATH: Error = bad("NUL in the path");

#[cfg(test)]
mod tests {
    use super::*;

    fn form(method: Method, target: &str) -> Option<TargetForm> {
        let whole = Span::new(0, target.len());
        parse(target.as_bytes(), whole, &method).ok().map(|target| target.form)
    }

    #[test]
    fn each_form_goes_with_its_methods() {
        assert_eq!(form(Method::GET, "/a?b"), Some(TargetForm::Origin));
        assert_eq!(form(Method::GET, "HTTP://a/"), Some(TargetForm::Absolute));
        assert_eq!(form(Method::GET, "https://[::1]:1?q"), Some(TargetForm::Absolute));
        assert_eq!(form(Method::OPTIONS, "*"), Some(TargetForm::Asterisk));
        assert_eq!(form(Method::CONNECT, "a:443"), Some(TargetForm::Authority));
        let refused = [
            (Method::GET, "*"),
            (Method::GET, "a:443"),
            (Method::GET, "a"),
            (Method::GET, "**"),
            (Method::GET, ""),
            (Method::GET, "http://"),
            (Method::GET, "http:///a"),
            (Method::GET, "http://u@h/"),
            (Method::GET, "ftp://a/"),
            (Method::CONNECT, "/"),
            (Method::CONNECT, "a"),
            (Method::CONNECT, "a:"),
            (Method::CONNECT, "a:0"),
            (Method::CONNECT, "a%:1"),
            (Method::CONNECT, "u@a:1"),
            (Method::GET, "http://a%zz/"),
            (Method::GET, "http://a%00/"),
            (Method::GET, "http://a/%00"),
            (Method::CONNECT, ":1"),
            (Method::CONNECT, "http://a/"),
            (Method::CONNECT, "*"),
        ];
        for (method, target) in refused {
            assert_eq!(form(method.clone(), target), None, "{method} {target}");
        }
    }

    #[test]
    fn only_characters_of_a_target_are_taken() {
        for b in 0..=255u8 {
            let in_path = form_of_bytes(&[b'/', b]);
            let in_query = form_of_bytes(&[b'/', b'?', b]);
            let allowed = b.is_ascii_graphic() && !b"\"<>#".contains(&b);
            assert_eq!(in_query, allowed, "{b:#x}");
            assert_eq!(in_path, allowed && b != b'\\', "{b:#x}");
        }
    }

    fn form_of_bytes(target: &[u8]) -> bool {
        parse(target, Span::new(0, target.len()), &Method::GET).is_ok()
    }

    fn origin(target: &str) -> Option<Span> {
        let window = format!("{target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut cursor = Cursor::new(window.as_bytes()).expect("long enough");
        parse_origin(&mut cursor, 0).map(|target| target.whole)
    }

    #[test]
    fn nul_is_refused_in_paths_alone() {
        for path in ["/%00", "/a%00b", "/%41%00", "/%%00", "/%0%00"] {
            assert_eq!(form(Method::GET, path), None, "{path}");
            assert_eq!(origin(path), None, "{path}");
        }
        for path in ["/%", "/100%", "/%0", "/%zz", "/%2500", "/%0a0", "/?%00", "/a?b=%00&c"] {
            assert_eq!(form(Method::GET, path), Some(TargetForm::Origin), "{path}");
            assert_eq!(origin(path), Some(Span::new(0, path.len())), "{path}");
        }
    }
}
