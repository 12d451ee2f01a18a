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

use std::mem;

use http::Version;

use super::{
    request_head::RequestHead, request_headers::RequestHeaders, request_method::RequestMethod, scan::Cursor, target,
};
use crate::{Headers, Limits, headers::Entry, span::Span};

/// More lines take the long way. Browsers send about 15; the table is cleared for each head.
const MOST_LINES: usize = 32;

/// Parses a complete head without a fault and with nothing odd about it: a well-known method, a target in origin form,
/// HTTP/1.1 or 1.0, and few lines. The length it takes; the head is put into `head`, which is empty, because it is too large
/// to be handed from call to call.
///
/// `None` says nothing about the head: it may be incomplete, faulty, or only unusual.
#[inline]
pub(super) fn parse_fast(window: &[u8], limits: &Limits, head: &mut Option<RequestHead>) -> Option<usize> {
    let mut cursor = Cursor::new(window)?;
    let method = take_method(&mut cursor)?;
    let target_start = window.len() - cursor.rest().len();
    // Its characters are checked in the same walk that finds its end.
    let target = target::parse_origin(&mut cursor, target_start)?;
    if target.whole.len as usize > limits.max_target {
        return None;
    }
    let is_http11 = take_version(&mut cursor)?;
    // The positions of the lines are gathered on the stack, because the block that they end up in is made at once, when its
    // size is known.
    let mut known = RequestHeaders::default();
    let mut table = [[0; Entry::SIZE]; MOST_LINES];
    let mut count = 0;
    let most = limits.max_headers.min(MOST_LINES);
    // An empty line ends the head. It is asked for first: a name cannot begin with CR, so no line is mistaken for it.
    while !cursor.take_all_of(b"\r\n") {
        // One more is 431, which is told by httparse's way, or only many.
        if count >= most {
            return None;
        }
        let line = take_line(&mut cursor)?;
        let entry = Entry::within(window, line.name, line.value);
        // A fault is found again by httparse's way, which says what it is.
        known.note(line.name, line.value, entry.value).ok()?;
        // Encoded at once, so that the table is copied behind the text as it is.
        table[count] = entry.encode();
        count += 1;
    }
    let len = window.len() - cursor.rest().len();
    let known = known.outcome(is_http11, Span::EMPTY, limits.max_body).ok()?;
    let (framing, length) = known.body.split();
    let parsed = RequestHead {
        framing,
        length,
        host: known.host,
        keep_alive: known.keep_alive,
        expect: known.expect,
        upgrade: known.upgrade,
        headers: Headers::copied(&window[..len], &table[..count]),
        method,
        other_method: None,
        version: if is_http11 { Version::HTTP_11 } else { Version::HTTP_10 },
        target,
    };
    // An assignment would call the destructor of what was there, which is nothing.
    debug_assert!(head.is_none());
    mem::forget(head.replace(parsed));
    Some(len)
}

/// Takes the method, if it is one of those nearly all requests have, and the space behind it.
///
/// CONNECT and OPTIONS are not among them, because their targets have other forms.
#[inline(always)]
fn take_method(cursor: &mut Cursor<'_>) -> Option<RequestMethod> {
    Some(match () {
        () if cursor.take_all_of(b"GET ") => RequestMethod::Get,
        () if cursor.take_all_of(b"POST ") => RequestMethod::Post,
        () if cursor.take_all_of(b"HEAD ") => RequestMethod::Head,
        () if cursor.take_all_of(b"PUT ") => RequestMethod::Put,
        () if cursor.take_all_of(b"DELETE ") => RequestMethod::Delete,
        () => return None,
    })
}

/// Takes the end of the request line, from the space behind the target; whether it says HTTP/1.1, which is HTTP/1.0
/// otherwise.
#[inline(always)]
fn take_version(cursor: &mut Cursor<'_>) -> Option<bool> {
    if !cursor.take_all_of(b" HTTP/1.") {
        return None;
    }
    if cursor.take_all_of(b"1\r\n") {
        return Some(true);
    }
    cursor.take_all_of(b"0\r\n").then_some(false)
}

/// Takes the header line at the cursor; `None` if it is not complete, not well-formed, or has tabs or more white space
/// around the value than one space in front.
#[inline(always)]
fn take_line<'b>(cursor: &mut Cursor<'b>) -> Option<Line<'b>> {
    // No white space in front of the colon (RFC 9112 5.1): it is no token character, so the name ends before it.
    let name = cursor.take_name()?;
    // One space is what everybody sends; skipping any number would be a loop for nothing.
    cursor.take_all_of(b" ");
    let value = cursor.take_line()?;
    // What is left would have to be trimmed.
    if let [b' ', ..] | [.., b' '] = value {
        return None;
    }
    Some(Line { name, value })
}

/// A header line; the value without the white space around it. Both are slices of the head, from which their positions
/// are worked out.
struct Line<'b> {
    name: &'b [u8],
    value: &'b [u8],
}
