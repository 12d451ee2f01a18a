//! The short way for the heads that nearly all clients send.
//!
//! It only ever accepts: a head with a fault, or with anything odd about it, is left to httparse, so that there is one
//! place that decides what is refused and why.

use http::{Method, Version};

use super::facts::Facts;
use super::head::RequestHead;
use super::scan::{printable_len, token_len};
use super::target::{self, Span};
use crate::headers::{Entry, Headers};
use crate::limits::Limits;

/// More lines take the long way. Browsers send about 15; the table is cleared for each head.
const MOST_LINES: usize = 32;

/// Parses a complete head without a fault and with nothing odd about it: a well-known method, a target in origin form,
/// HTTP/1.1 or 1.0, and few lines. The length it takes, and the head.
#[inline]
pub(super) fn parse_usual(window: &[u8], limits: &Limits) -> Option<(usize, RequestHead)> {
    let (method, target_start) = usual_method(window)?;
    let target = target::parse_origin(window, target_start)?;
    let target_end = target.whole.range().end;
    if target_end - target_start > limits.max_target {
        return None;
    }
    let (end, mut rest) = window[target_end..].split_first_chunk()?;
    // Comparing whole arrays is two comparisons, matching them is one for each byte.
    let version = if end == b" HTTP/1.1\r\n" {
        Version::HTTP_11
    } else if end == b" HTTP/1.0\r\n" {
        Version::HTTP_10
    } else {
        return None;
    };
    let mut facts = Facts::default();
    let mut table = [[0; Entry::SIZE]; MOST_LINES];
    let mut count = 0;
    let len = loop {
        if let [b'\r', b'\n', behind @ ..] = rest {
            break window.len() - behind.len();
        }
        if count == limits.max_headers {
            return None;
        }
        let line = split_line(&mut rest)?;
        let entry = Entry::of(window, line.name, line.value);
        facts.note(line.name, line.value, Span::new(entry.value_start as usize, line.value.len())).ok()?;
        *table.get_mut(count)? = entry.encode();
        count += 1;
    };
    let table = table[..count].as_flattened();
    let mut block = Vec::with_capacity(len + table.len());
    block.extend_from_slice(&window[..len]);
    block.extend_from_slice(table);
    let is_http11 = version == Version::HTTP_11;
    let head = RequestHead {
        body: facts.body(is_http11, limits).ok()?,
        host: facts.host(is_http11, None).ok()?,
        keep_alive: facts.keep_alive(is_http11),
        expect: facts.expect(is_http11),
        upgrade: facts.upgrade(is_http11),
        headers: Headers::from_block(block.into_boxed_slice(), len, count),
        method,
        version,
        target,
    };
    Some((len, head))
}

/// The method that `window` begins with, if it is one of those nearly all requests have, and where the target begins.
#[inline]
fn usual_method(window: &[u8]) -> Option<(Method, usize)> {
    Some(match window {
        [b'G', b'E', b'T', b' ', ..] => (Method::GET, 4),
        [b'P', b'O', b'S', b'T', b' ', ..] => (Method::POST, 5),
        [b'H', b'E', b'A', b'D', b' ', ..] => (Method::HEAD, 5),
        [b'P', b'U', b'T', b' ', ..] => (Method::PUT, 4),
        [b'D', b'E', b'L', b'E', b'T', b'E', b' ', ..] => (Method::DELETE, 7),
        _ => return None,
    })
}

/// Takes the header line that `rest` begins with; `None` if it is not complete, not well-formed, or has tabs or more
/// white space around the value than one space in front.
#[inline]
fn split_line<'b>(rest: &mut &'b [u8]) -> Option<Line<'b>> {
    let (name, behind) = rest.split_at_checked(token_len(rest))?;
    let [b':', value @ ..] = behind else {
        return None;
    };
    let value = match value {
        [b' ', value @ ..] => value,
        _ => value,
    };
    let (value, behind) = value.split_at_checked(printable_len(value))?;
    let [b'\r', b'\n', behind @ ..] = behind else {
        return None;
    };
    if let [b' ', ..] | [.., b' '] = value {
        return None;
    }
    if name.is_empty() {
        return None;
    }
    *rest = behind;
    Some(Line { name, value })
}

/// A header line; the value without the white space around it.
struct Line<'b> {
    name: &'b [u8],
    value: &'b [u8],
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::head::parse_by_httparse;
    use super::*;

    const REQUEST: &[u8] = b"POST /a/b?c=d HTTP/1.1\r\nHost: a:80\r\nUser-Agent: some client of some length\r\n\
        X_1: \xff\r\nEmpty:\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc";

    /// The request with some bytes replaced, inserted or removed, half of them around the ends of names and values:
    /// mostly heads with one fault or one oddity.
    fn request_like() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![prop::sample::select(&b"\r\n \t:?#/\x7f\0\xffa0,-\"[]"[..]), any::<u8>()];
        let is_end = |&at: &usize| matches!(REQUEST[at], b'\r' | b':' | b' ') || REQUEST[at - 1] == b'\n';
        let ends: Vec<usize> = (1..REQUEST.len()).filter(is_end).collect();
        let edit = (prop_oneof![prop::sample::select(ends), 0..REQUEST.len()], 0..3u8, byte);
        prop::collection::vec(edit, 0..4).prop_map(|edits| {
            let mut request = REQUEST.to_vec();
            for (at, kind, byte) in edits {
                let at = at.min(request.len() - 1);
                match kind {
                    0 => request[at] = byte,
                    1 => request.insert(at, byte),
                    _ => drop(request.remove(at)),
                }
            }
            request
        })
    }

    fn summary(len: usize, head: &RequestHead) -> String {
        format!("{len} {head:?} {} {} {:?} {:?}", head.target(), head.path(), head.query(), head.host())
    }

    #[test]
    fn usual_heads_take_the_short_way_and_odd_ones_do_not() {
        for method in ["GET", "POST", "HEAD", "PUT", "DELETE"] {
            for version in [Version::HTTP_11, Version::HTTP_10] {
                let request = format!("{method} /a/b?c=d {version:?}\r\nHost: a:80\r\n\r\nrest");
                let (len, head) = parse_usual(request.as_bytes(), &Limits::default()).expect("usual");
                assert_eq!(len, request.len() - 4);
                assert_eq!((head.method.as_str(), head.version), (method, version));
                assert_eq!((head.path(), head.query(), head.host()), ("/a/b", Some("c=d"), Some("a:80")));
            }
        }
        assert!(parse_usual(REQUEST, &Limits::default()).is_some());
        let is_usual = |request: String| parse_usual(request.as_bytes(), &Limits::default()).is_some();
        for odd in ["CONNECT a:1", "OPTIONS *", "GET http://a/", "get /", "GET  /"] {
            assert!(!is_usual(format!("{odd} HTTP/1.1\r\nHost: a\r\n\r\n")), "{odd}");
        }
        // Values would have to be trimmed, or hold a tab.
        for odd in ["X:  y", "X: y ", "X:\ty", "X: y\t", "X: y\tz"] {
            assert!(!is_usual(format!("GET / HTTP/1.1\r\nHost: a\r\n{odd}\r\n\r\n")), "{odd}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_short_way_takes_only_what_httparse_takes_alike(request in request_like()) {
            let limits = Limits::default();
            if let Some((len, head)) = parse_usual(&request, &limits) {
                match parse_by_httparse(&request, 0, &limits) {
                    Ok(Some((expected_len, expected))) => {
                        prop_assert_eq!(summary(len, &head), summary(expected_len, &expected));
                    }
                    other => prop_assert!(false, "{}: {:?}", request.escape_ascii(), other),
                }
            }
        }
    }
}
