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

/// The same fault in a message that came from a server. The statuses of [`Error::status`] are for a client that sent
/// something wrong; one that is answered by way of another server has sent nothing wrong.
pub fn fault_of_server(error: Error) -> Error {
    match error {
        Error::BadRequest(reason) => Error::BadResponse(reason),
        Error::HeadTooLarge { .. } => Error::BadResponse("head or trailers too large"),
        Error::TooManyHeaders { .. } => Error::BadResponse("too many header lines"),
        Error::BodyTooLarge { .. } => Error::BadResponse("body too large"),
        Error::NotImplemented(what) => Error::BadResponse(what),
        Error::VersionNotSupported => Error::BadResponse("HTTP version not supported"),
        other => other,
    }
}
