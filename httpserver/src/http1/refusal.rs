//! Reasons to refuse a message that more than one parser has.

use memchr::memchr_iter;

use crate::Error;

/// A line ended by LF alone. Some parsers take it for a line end and some for a part of the line, so a message with
/// one could be read in two ways.
pub(super) const BARE_LINE_END: Error = bad("line end is not CR LF");

/// 400, with what is wrong.
pub(super) const fn bad(reason: &'static str) -> Error {
    Error::BadRequest(reason)
}

/// Whether a line of `text` ends in LF alone.
pub(super) fn has_bare_line_end(text: &[u8]) -> bool {
    memchr_iter(b'\n', text).any(|at| !text[..at].ends_with(b"\r"))
}
