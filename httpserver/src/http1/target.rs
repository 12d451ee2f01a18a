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
    scan::{Class, class_len},
};
use crate::{Error, span::Span};

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
    /// Behind the `?`, which may be the last character.
    pub(crate) query: Option<Span>,
    /// In absolute and authority form.
    pub(crate) authority: Option<Span>,
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
        let (path, query) = path_and_query(target, whole.start as usize)?;
        return Ok(Target { form: TargetForm::Origin, whole, path, query, authority: None });
    }
    parse_other_form(target, whole, method)
}

/// Takes apart the target in origin form that begins at `start` of `head` and ends at a space; `None` if there is none.
#[inline]
pub(super) fn parse_origin(head: &[u8], start: usize) -> Option<Target> {
    let text = &head[start..];
    if text.first() != Some(&b'/') {
        return None;
    }
    // A path alone, as most targets are, ends at the space; only what does not is looked at for more.
    let path_len = class_len(text, Class::PATH);
    let (path_len, len) = match text.get(path_len) {
        Some(b' ') => (path_len, path_len),
        _ => longer_target(text, path_len)?,
    };
    let query = (len != path_len).then(|| Span::new(start + path_len + 1, len - path_len - 1));
    let (whole, path) = (Span::new(start, len), Span::new(start, path_len));
    Some(Target { form: TargetForm::Origin, whole, path, query, authority: None })
}

/// The lengths of the path and of the whole target, up to a space, of one that has a percent sign in the path or a query.
#[inline(never)]
fn longer_target(text: &[u8], path_len: usize) -> Option<(usize, usize)> {
    let path_len = escaped_path_len(text, path_len)?;
    let mut len = path_len;
    if text.get(len) == Some(&b'?') {
        len += 1 + class_len(&text[len + 1..], Class::QUERY);
    }
    (text.get(len) == Some(&b' ')).then_some((path_len, len))
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
        let (path, authority) = (Span::new(start, 0), Some(whole));
        return Ok(Target { form: TargetForm::Authority, whole, path, query: None, authority });
    }
    // RFC 9112 3.2.4: the server as a whole, for OPTIONS alone.
    if target == b"*" && *method == Method::OPTIONS {
        return Ok(Target { form: TargetForm::Asterisk, whole, path: whole, query: None, authority: None });
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.len() >= scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme))
        .ok_or(MALFORMED)?
        .len();
    let rest = &target[scheme..];
    // An authority ends at a slash or a question mark (RFC 3986 3.2). A fragment's mark is left in it, and refused
    // there.
    let end = rest.iter().position(|&b| b == b'/' || b == b'?').unwrap_or(rest.len());
    if !is_authority(&rest[..end]) {
        return Err(MALFORMED);
    }
    let (path, query) = path_and_query(&rest[end..], start + scheme + end)?;
    Ok(Target { form: TargetForm::Absolute, whole, path, query, authority: Some(Span::new(start + scheme, end)) })
}

/// Splits `text`, which begins at `start` of the head, at the first `?` and checks its characters.
#[inline]
fn path_and_query(text: &[u8], start: usize) -> Result<(Span, Option<Span>), Error> {
    let end = escaped_path_len(text, class_len(text, Class::PATH)).ok_or(NUL_IN_PATH)?;
    let query = match text.get(end) {
        None => None,
        Some(b'?') => {
            let query = &text[end + 1..];
            if class_len(query, Class::QUERY) != query.len() {
                return Err(MALFORMED);
            }
            Some(Span::new(start + end + 1, query.len()))
        }
        Some(_) => return Err(MALFORMED),
    };
    Ok((Span::new(start, end), query))
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
    #[test]
    fn nul_is_refused_in_paths_alone() {
        for path in ["/%00", "/a%00b", "/%41%00", "/%%00", "/%0%00"] {
            assert_eq!(form(Method::GET, path), None, "{path}");
            assert_eq!(parse_origin(format!("{path} ").as_bytes(), 0).map(|target| target.whole), None, "{path}");
        }
        for path in ["/%", "/100%", "/%0", "/%zz", "/%2500", "/%0a0", "/?%00", "/a?b=%00&c"] {
            assert_eq!(form(Method::GET, path), Some(TargetForm::Origin), "{path}");
            let parsed = parse_origin(format!("{path} ").as_bytes(), 0).map(|target| target.whole);
            assert_eq!(parsed, Some(Span::new(0, path.len())), "{path}");
        }
    }
}
