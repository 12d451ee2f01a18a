//! The request target: its four forms (RFC 9112 3.2) and the grammar of an authority.

use std::ops::Range;

use http::Method;

use crate::error::Error;

/// A part of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u16,
    pub(crate) len: u16,
}

impl Span {
    /// Both fit: a head has at most 64 KiB, and no part of it begins at its end.
    #[inline]
    pub(crate) fn new(start: usize, len: usize) -> Self {
        debug_assert!(start <= u16::MAX as usize && len <= u16::MAX as usize);
        Span { start: start as u16, len: len as u16 }
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

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
    pub(crate) whole: Span,
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
    pub(crate) authority: Option<Span>,
}

/// Takes apart the target at `start..start + len` of `head`.
#[inline]
pub(crate) fn parse(head: &[u8], start: usize, len: usize, method: &Method) -> Result<Target, Error> {
    let target = &head[start..start + len];
    let whole = Span::new(start, len);
    if target.first() == Some(&b'/') && *method != Method::CONNECT {
        let (path, query) = path_and_query(target, start)?;
        return Ok(Target { form: TargetForm::Origin, whole, path, query, authority: None });
    }
    parse_other_form(target, whole, method)
}

/// Takes apart the target in origin form that begins at `start` of `head` and ends at a space; `None` if there is none.
#[inline]
pub(crate) fn parse_origin(head: &[u8], start: usize) -> Option<Target> {
    let text = &head[start..];
    if text.first() != Some(&b'/') {
        return None;
    }
    let path_len = span_of(text, PATH);
    let mut len = path_len;
    if text.get(len) == Some(&b'?') {
        len += 1 + span_of(&text[len + 1..], QUERY);
    }
    if text.get(len) != Some(&b' ') {
        return None;
    }
    let query = (len != path_len).then(|| Span::new(start + path_len + 1, len - path_len - 1));
    let (whole, path) = (Span::new(start, len), Span::new(start, path_len));
    Some(Target { form: TargetForm::Origin, whole, path, query, authority: None })
}

#[cold]
fn parse_other_form(target: &[u8], whole: Span, method: &Method) -> Result<Target, Error> {
    let start = whole.start as usize;
    if *method == Method::CONNECT {
        return match split_port(target) {
            Some((host, port)) if !port.is_empty() && is_host(host) && is_port(port) => Ok(Target {
                form: TargetForm::Authority,
                whole,
                path: Span::new(start, 0),
                query: None,
                authority: Some(whole),
            }),
            _ => Err(MALFORMED),
        };
    }
    if target == b"*" && *method == Method::OPTIONS {
        return Ok(Target { form: TargetForm::Asterisk, whole, path: whole, query: None, authority: None });
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.len() >= scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme))
        .ok_or(MALFORMED)?
        .len();
    let rest = &target[scheme..];
    let end = rest.iter().position(|&b| b == b'/' || b == b'?').unwrap_or(rest.len());
    // Userinfo (`user@host`) fails here too: RFC 9110 4.2.4 has it treated as an error.
    if !is_authority(&rest[..end]) {
        return Err(MALFORMED);
    }
    let (path, query) = path_and_query(&rest[end..], start + scheme + end)?;
    Ok(Target { form: TargetForm::Absolute, whole, path, query, authority: Some(Span::new(start + scheme, end)) })
}

/// Splits `text`, which begins at `start` of the head, at the first `?` and checks its characters.
#[inline]
fn path_and_query(text: &[u8], start: usize) -> Result<(Span, Option<Span>), Error> {
    let end = span_of(text, PATH);
    let query = match text.get(end) {
        None => None,
        Some(b'?') => {
            let query = &text[end + 1..];
            if span_of(query, QUERY) != query.len() {
                return Err(MALFORMED);
            }
            Some(Span::new(start + end + 1, query.len()))
        }
        Some(_) => return Err(MALFORMED),
    };
    Ok((Span::new(start, end), query))
}

/// `host [":" port]` with a host that is not empty (RFC 3986 3.2, without userinfo).
#[inline]
pub(crate) fn is_authority(text: &[u8]) -> bool {
    if text.first() == Some(&b'[') {
        return match split_port(text) {
            Some((host, port)) => is_host(host) && is_port(port),
            None => is_host(text),
        };
    }
    let end = span_of(text, HOST);
    end != 0 && (end == text.len() || (text[end] == b':' && is_port(&text[end + 1..])))
}

/// Host and port, split at the colon behind the host; `None` if there is none.
fn split_port(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let host = match text {
        [b'[', ..] => text.iter().position(|&b| b == b']')? + 1,
        _ => text.iter().position(|&b| b == b':')?,
    };
    let (host, port) = text.split_at(host);
    Some((host, port.strip_prefix(b":")?))
}

/// A reg-name or IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => !host.is_empty() && span_of(host, HOST) == host.len(),
    }
}

/// Digits up to 65535; none at all are allowed by the grammar.
#[inline]
fn is_port(port: &[u8]) -> bool {
    if !port.iter().all(u8::is_ascii_digit) {
        return false;
    }
    match port.len() {
        0..=4 => true,
        5 => port <= b"65535".as_slice(),
        // Leading zeros.
        _ => port.iter().fold(0u32, |number, &b| (number * 10 + u32::from(b - b'0')).min(1 << 16)) < 1 << 16,
    }
}

const MALFORMED: Error = Error::BadRequest("malformed request target");

const PATH: u8 = 1;
const QUERY: u8 = 2;
const HOST: u8 = 4;

/// Length of the longest beginning of `text` made of this class.
#[inline]
fn span_of(text: &[u8], class: u8) -> usize {
    // Four at a time first: half the instructions of a byte by byte search, and this is a good part of parsing a head.
    let mut len = 0;
    for four in text.as_chunks::<4>().0 {
        if four.iter().fold(class, |common, &b| common & CLASSES[b as usize]) == 0 {
            break;
        }
        len += 4;
    }
    while len < text.len() && CLASSES[text[len] as usize] & class != 0 {
        len += 1;
    }
    len
}

/// Paths and queries: the characters of RFC 3986 and those that browsers send unencoded there (URL standard, the
/// path and query percent-encode sets). A path has no backslash, which some take for a slash. Fragments, spaces,
/// quotes, angle brackets, controls and bytes above 127 are in neither.
///
/// Hosts: a reg-name without the comma, which would make two Host lines joined into one look like a host.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    add(&mut classes, ALNUM, PATH | QUERY | HOST);
    add(&mut classes, b"-._~%!$&'()*+;=", PATH | QUERY | HOST);
    add(&mut classes, b",:@/[]{}|^`", PATH | QUERY);
    add(&mut classes, b"?\\", QUERY);
    classes
};

const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const fn add(classes: &mut [u8; 256], bytes: &[u8], class: u8) {
    let mut i = 0;
    while i < bytes.len() {
        classes[bytes[i] as usize] |= class;
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_by_grammar() {
        let good = ["a", "a.b:80", "127.0.0.1", "127.0.0.1:8888", "[::1]", "[::1]:80", "a:", "a_b", "x%20y", "a:65535"];
        for text in good {
            assert!(is_authority(text.as_bytes()), "{text}");
        }
        let bad = [
            "",
            ":80",
            "a b",
            "a,b",
            "a:b",
            "a:65536",
            "a:80:80",
            "::1",
            "[::1",
            "[::1]80",
            "[]",
            "[a]",
            "u@h",
            "a/b",
            "a?b",
            "a#b",
            "\u{e4}",
            "[::1]]",
            "a:+1",
            "a:99999999999999999999",
        ];
        for text in bad {
            assert!(!is_authority(text.as_bytes()), "{text}");
        }
    }

    fn form(method: Method, target: &str) -> Option<TargetForm> {
        parse(target.as_bytes(), 0, target.len(), &method).ok().map(|target| target.form)
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
        parse(target, 0, target.len(), &Method::GET).is_ok()
    }
}
