//! The walk over the header lines that httparse found, and its refusals; the same for requests and responses.
//!
//! The lines end up in one block: the text of the head as it came, and behind it a table of 8 bytes per line. So a head is
//! one allocation whatever the number of lines, and its parts are positions, which move with it.

use std::mem::MaybeUninit;

use super::refusal::{BARE_LINE_END, bad};
use crate::{
    Error, Headers, Limits,
    headers::Entry,
    span::{Span, offset},
};

/// Positions within a head are kept in 16 bits. That makes a line's entry in the table 8 bytes.
const MAX_HEAD: usize = 1 << 16;
/// The table httparse fills lies on the stack: the usual one is 3.2 KB, and not initialised.
const USUAL_HEADERS: usize = 100;
/// The most that `max_headers` can be set to.
const MOST_HEADERS: usize = 256;

/// A place for a line that httparse finds.
pub(super) type Slot<'b> = MaybeUninit<httparse::Header<'b>>;

/// Longest head in bytes.
#[inline]
pub(super) fn max_head(limits: &Limits) -> usize {
    limits.max_head.min(MAX_HEAD)
}

/// Calls `parse` with as many slots as there may be lines.
pub(super) fn with_slots<'b, T>(limits: &Limits, parse: impl FnOnce(&mut [Slot<'b>]) -> T) -> T {
    if limits.max_headers <= USUAL_HEADERS {
        parse(&mut [const { MaybeUninit::uninit() }; USUAL_HEADERS][..limits.max_headers])
    } else {
        with_many_slots(limits, parse)
    }
}

/// [`with_slots`] with a table of 8 KiB, in a stack frame of its own.
#[cold]
fn with_many_slots<'b, T>(limits: &Limits, parse: impl FnOnce(&mut [Slot<'b>]) -> T) -> T {
    parse(&mut [const { MaybeUninit::uninit() }; MOST_HEADERS][..max_headers(limits)])
}

/// Most header lines.
fn max_headers(limits: &Limits) -> usize {
    limits.max_headers.min(MOST_HEADERS)
}

/// Walks over the `lines` of `head`, which is complete, and copies both into one block. Each line goes to `note` too,
/// with the span of its value.
///
/// # Errors
///
/// 400 for a line that ends in LF alone, unless `limits` accept it, and what `note` returns.
pub(super) fn collect(
    head: &[u8],
    lines: &[httparse::Header<'_>],
    limits: &Limits,
    mut note: impl FnMut(&[u8], &[u8], Span) -> Result<(), Error>,
) -> Result<Headers, Error> {
    // httparse takes a bare LF for a line end. The last line and the empty one are looked at here, the line before each
    // header when it is entered into the table.
    let refuses_lf = !limits.accept_bare_lf;
    if refuses_lf && !head.ends_with(b"\r\n\r\n") {
        return Err(BARE_LINE_END);
    }
    // Text and table have their exact room: one allocation, and none when it becomes a boxed slice.
    let mut block = Vec::with_capacity(head.len() + lines.len() * Entry::SIZE);
    block.extend_from_slice(head);
    for line in lines {
        let name = line.name.as_bytes();
        // A request or status line is in front of the first one.
        if refuses_lf && head[offset(head, name) - 2] != b'\r' {
            return Err(BARE_LINE_END);
        }
        let entry = Entry::within(head, name, line.value);
        note(name, line.value, entry.value)?;
        block.extend_from_slice(&entry.encode());
    }
    Ok(Headers::from_block(block.into_boxed_slice(), head.len(), lines.len()))
}

/// Why httparse refused the header lines; `fallback` if it was the line in front of them.
pub(super) fn explain(error: httparse::Error, limits: &Limits, fallback: Error) -> Error {
    match error {
        httparse::Error::TooManyHeaders => Error::TooManyHeaders { limit: max_headers(limits) },
        httparse::Error::HeaderName => bad("malformed header name or folded line"),
        httparse::Error::HeaderValue => bad("control character in a header value"),
        httparse::Error::NewLine => BARE_LINE_END,
        _ => fallback,
    }
}

/// 431 for a head that fills its limit without an end.
#[cold]
pub(super) fn head_too_large(limits: &Limits) -> Error {
    Error::HeadTooLarge { limit: max_head(limits) }
}
