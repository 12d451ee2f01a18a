//! The fast path for the heads that nearly all clients send.
//!
//! It only ever accepts: a head with a fault, or with anything odd about it, is left to httparse, so that there is one
//! place that decides what is refused and why. A property test holds that what it accepts httparse's way accepts alike.
//!
//! What it spares is the second walk over the lines, from httparse's table into that of [`Headers`], and the cost of being
//! general. Incomplete heads go the long way too; they are rare, because clients send a head in one piece.
//!
//! The head is walked once, from front to back: the method by its first bytes, the target up to a space, the version as
//! a whole, then line by line until an empty one. Each step checks its bytes and finds their end in one walk. `None`
//! from any of them ends the attempt.

use http::{Method, Version};

use super::{
    request_head::RequestHead,
    request_headers::RequestHeaders,
    scan::{printable_len, token_len},
    target,
};
use crate::{Headers, Limits, headers::Entry};

/// More lines take the long way. Browsers send about 15; the table is cleared for each head.
const MOST_LINES: usize = 32;

/// Parses a complete head without a fault and with nothing odd about it: a well-known method, a target in origin form,
/// HTTP/1.1 or 1.0, and few lines. The length it takes, and the head.
///
/// `None` says nothing about the head: it may be incomplete, faulty, or only unusual.
#[inline]
pub(super) fn parse_fast(window: &[u8], limits: &Limits) -> Option<(usize, RequestHead)> {
    let (method, target_start) = usual_method(window)?;
    // Its characters are checked in the same walk that finds its end.
    let target = target::parse_origin(window, target_start)?;
    let target_end = target.whole.range().end;
    if target_end - target_start > limits.max_target {
        return None;
    }
    // Comparing whole arrays is two comparisons, matching them is one for each byte.
    let (end, mut rest) = window[target_end..].split_first_chunk()?;
    let version = if end == b" HTTP/1.1\r\n" {
        Version::HTTP_11
    } else if end == b" HTTP/1.0\r\n" {
        Version::HTTP_10
    } else {
        return None;
    };
    // The positions of the lines are gathered on the stack, because the block that they end up in is allocated once, when
    // its size is known.
    let mut known = RequestHeaders::default();
    let mut table = [[0; Entry::SIZE]; MOST_LINES];
    let mut count = 0;
    let len = loop {
        // An empty line ends the head. It is asked for first: a name cannot begin with CR, so no line is mistaken for it.
        if let [b'\r', b'\n', behind @ ..] = rest {
            break window.len() - behind.len();
        }
        // One more is 431, which is told by httparse's way.
        if count == limits.max_headers {
            return None;
        }
        let line = split_line(&mut rest)?;
        let entry = Entry::within(window, line.name, line.value);
        // A fault is found again by httparse's way, which says what it is.
        known.note(line.name, line.value, entry.value).ok()?;
        // Encoded at once, so that the table is copied behind the text as it is.
        *table.get_mut(count)? = entry.encode();
        count += 1;
    };
    // One allocation: the text as it came, and the table behind it. Its capacity is exact, so the boxed slice is made
    // without moving it.
    let table = table[..count].as_flattened();
    let mut block = Vec::with_capacity(len + table.len());
    block.extend_from_slice(&window[..len]);
    block.extend_from_slice(table);
    let is_http11 = version == Version::HTTP_11;
    let head = RequestHead {
        body: known.body(is_http11, limits.max_body).ok()?,
        host: known.host(is_http11, None).ok()?,
        keep_alive: known.keep_alive(is_http11),
        expect: known.expect(is_http11),
        upgrade: known.upgrade(is_http11),
        headers: Headers::from_block(block.into_boxed_slice(), len, count),
        method,
        version,
        target,
    };
    Some((len, head))
}

/// The method that `window` begins with, if it is one of those nearly all requests have, and where the target begins.
///
/// CONNECT and OPTIONS are not among them, because their targets have other forms.
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
    // No white space in front of the colon (RFC 9112 5.1): it is no token character, so the name ends before it.
    let (name, behind) = rest.split_at_checked(token_len(rest))?;
    let [b':', value @ ..] = behind else {
        return None;
    };
    // One space is what everybody sends; skipping any number would be a loop for nothing.
    let value = match value {
        [b' ', value @ ..] => value,
        _ => value,
    };
    // The value ends at the first control character, and the only one that may stand there is the CR of the line end.
    let (value, behind) = value.split_at_checked(printable_len(value))?;
    let [b'\r', b'\n', behind @ ..] = behind else {
        return None;
    };
    // What is left would have to be trimmed.
    if let [b' ', ..] | [.., b' '] = value {
        return None;
    }
    if name.is_empty() {
        return None;
    }
    *rest = behind;
    Some(Line { name, value })
}

/// A header line; the value without the white space around it. Both are slices of the head, from which their positions
/// are worked out.
struct Line<'b> {
    name: &'b [u8],
    value: &'b [u8],
}
