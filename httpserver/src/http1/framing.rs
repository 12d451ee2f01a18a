//! The header lines that say where a message ends and what becomes of the connection, in requests and responses alike.
//!
//! Whatever another program could read differently is refused here, so that no message can be smuggled past one of them.
//!
//! A message goes through in two steps. [`FramingHeaders::note`] takes in each line while the parser walks over the head,
//! and refuses what is wrong in itself or by repetition. When the last line has been seen, the other methods say what the
//! lines come to together, which depends on the version and, in [`body`](FramingHeaders::body), on the limit. The
//! collectors of the two roles are built on this: [`RequestHeaders`](super::request_headers) adds Host and Expect, and
//! responses need nothing else.

use super::refusal::bad;
use crate::{
    Error,
    headers::{is_token_byte, list_items, trim_ows},
};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// Content-Length, which may be 0.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// Which [`BodyFraming`] it is. The length stands beside it: in one they take twice the room, which every request that waits
/// keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramingKind {
    None,
    Length,
    Chunked,
}

impl BodyFraming {
    /// The two apart.
    #[inline]
    pub(super) fn split(self) -> (FramingKind, u64) {
        match self {
            BodyFraming::None => (FramingKind::None, 0),
            BodyFraming::Length(length) => (FramingKind::Length, length),
            BodyFraming::Chunked => (FramingKind::Chunked, 0),
        }
    }
}

/// What Content-Length, Transfer-Encoding, Connection and Upgrade say, gathered line by line.
#[derive(Default)]
pub(super) struct FramingHeaders {
    /// The one Content-Length.
    content_length: Option<u64>,
    /// What the Transfer-Encoding lines come to, so far.
    transfer_encoding: Option<TransferEncoding>,
    /// Connection has `close` among its options.
    asks_close: bool,
    /// Connection has `keep-alive`.
    asks_keep_alive: bool,
    /// Connection has `upgrade`.
    asks_upgrade: bool,
    /// There is an Upgrade line, whatever it names.
    has_upgrade: bool,
}

/// What a Transfer-Encoding comes to. Nonsense is refused before it gets here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TransferEncoding {
    /// The one value `chunked`.
    Chunked,
    /// Codings we do not have, with a final chunked: understood, but not implemented.
    Unknown,
    /// Codings we do not have. `chunked` may follow in a later line.
    Unfinished,
}

impl FramingHeaders {
    /// Takes in one line, whose value has no white space around it.
    ///
    /// # Errors
    ///
    /// 400 for a line that is malformed or may not be repeated.
    // The length tells the names apart, so that at most one comparison follows. Inlined into the collectors of either
    // role, so that each has one switch over the lengths of names.
    #[inline(always)]
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), Error> {
        match name.len() {
            7 if is_name(name, b"upgrade") => {
                self.has_upgrade = true;
                Ok(())
            }
            10 if is_name(name, b"connection") => {
                self.note_connection(value);
                Ok(())
            }
            14 if is_name(name, b"content-length") => self.note_content_length(value),
            17 if is_name(name, b"transfer-encoding") => self.note_transfer_encoding(value),
            _ => Ok(()),
        }
    }

    /// Connection is a list over all its lines; a `close` anywhere wins (RFC 9112 9.3).
    #[inline]
    fn note_connection(&mut self, value: &[u8]) {
        for item in list_items(value) {
            self.asks_close |= is_name(item, b"close");
            self.asks_keep_alive |= is_name(item, b"keep-alive");
            self.asks_upgrade |= is_name(item, b"upgrade");
        }
    }

    /// [`note`](Self::note) of the line `Connection: keep-alive`, which most clients send and whose list is not walked.
    #[inline(always)]
    pub(super) fn note_keep_alive(&mut self) {
        self.asks_keep_alive = true;
    }

    /// Stricter than RFC 9110 8.6, which lets equal values be repeated: a sender that does so is broken, or tries to be
    /// read differently by two programs.
    fn note_content_length(&mut self, value: &[u8]) -> Result<(), Error> {
        let Some(length) = parse_length(value) else {
            return Err(bad("malformed Content-Length"));
        };
        if self.content_length.replace(length).is_some() {
            return Err(bad("more than one Content-Length"));
        }
        Ok(())
    }

    /// Takes in a Transfer-Encoding. The only coding there is here is `chunked`; others are told from nonsense, because a
    /// client can do something about a 501.
    fn note_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Error> {
        let is_chunked = is_name(value, b"chunked");
        self.transfer_encoding = Some(match self.transfer_encoding {
            None if is_chunked => TransferEncoding::Chunked,
            before => add_unknown_codings(before, value)?,
        });
        Ok(())
    }

    /// The framing that the lines ask for; `None` if they say nothing. What that means depends on the role: a request
    /// has no body then, a response one that ends with the connection.
    ///
    /// # Errors
    ///
    /// 400 for what could be read in two ways, 413 for a length above `max_body`, 501 for a coding that is not there.
    #[inline]
    pub(super) fn body(&self, is_http11: bool, max_body: u64) -> Result<Option<BodyFraming>, Error> {
        let Some(coding) = self.transfer_encoding else {
            return match self.content_length {
                None => Ok(None),
                Some(length) if length <= max_body => Ok(Some(BodyFraming::Length(length))),
                Some(_) => Err(Error::BodyTooLarge { limit: max_body }),
            };
        };
        // RFC 9112 6.3 lets Transfer-Encoding win. The classic of request smuggling: the other program takes the length.
        if self.content_length.is_some() {
            // RFC 9112 6.1 permits to refuse it, and wants the connection closed in any case.
            return Err(bad("both Content-Length and Transfer-Encoding"));
        }
        // RFC 9112 6.1: treated as faulty framing. An intermediary of HTTP/1.0 may have passed it on without knowing it.
        if !is_http11 {
            return Err(bad("Transfer-Encoding in HTTP/1.0"));
        }
        // Its length is known when it has come, so `max_body` is kept by the decoder.
        match coding {
            TransferEncoding::Chunked => Ok(Some(BodyFraming::Chunked)),
            // RFC 9112 6.1. Not 400: the message is well-formed, and a client may try again without the coding.
            TransferEncoding::Unknown => Err(Error::NotImplemented("transfer coding")),
            // RFC 9112 6.3: the end of such a request cannot be found.
            TransferEncoding::Unfinished => Err(bad("Transfer-Encoding without chunked")),
        }
    }

    /// Whether the sender lets the connection be kept (RFC 9112 9.3).
    #[inline]
    pub(super) fn keep_alive(&self, is_http11: bool) -> bool {
        !self.asks_close && (is_http11 || self.asks_keep_alive)
    }

    /// Whether the sender names another protocol and says so in Connection, without which an Upgrade line is nothing
    /// (RFC 9110 7.8). HTTP/1.0 has no upgrades.
    #[inline]
    pub(super) fn upgrade(&self, is_http11: bool) -> bool {
        is_http11 && self.has_upgrade && self.asks_upgrade
    }
}

/// Takes in a list of codings behind those that came `before`: tokens, of which none may follow `chunked`. The one value
/// `chunked` in a single line was handled before.
///
/// The list may be spread over several lines (RFC 9110 5.3). Empty items and parameters, which the list grammar would
/// allow, are refused: nobody sends them in good faith.
#[cold]
fn add_unknown_codings(before: Option<TransferEncoding>, value: &[u8]) -> Result<TransferEncoding, Error> {
    let mut is_chunked = matches!(before, Some(TransferEncoding::Chunked | TransferEncoding::Unknown));
    for item in value.split(|&b| b == b',').map(trim_ows) {
        if item.is_empty() || !item.iter().copied().all(is_token_byte) {
            return Err(bad("malformed Transfer-Encoding"));
        }
        // RFC 9112 6.1: `chunked` is applied once, and last.
        if is_chunked {
            return Err(bad("Transfer-Encoding: chunked is not last or comes twice"));
        }
        is_chunked = is_name(item, b"chunked");
    }
    Ok(if is_chunked { TransferEncoding::Unknown } else { TransferEncoding::Unfinished })
}

/// A length in decimal digits without leading zeros; `None` also on overflow.
///
/// Signs and prefixes are refused by hand, because parsers of standard libraries take them: `+5` and `0x5` were
/// lengths to one server and none to the next (CVE-2023-38697).
///
/// RFC 9110 8.6 would allow zeros in front. No client sends them, and some parsers read `010` as 8.
fn parse_length(value: &[u8]) -> Option<u64> {
    match value {
        [] | [b'0', _, ..] => return None,
        _ => {}
    }
    value.iter().try_fold(0u64, |number, &b| {
        // Everything below '0' wraps to a large number.
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Whether `name`, without control characters, is `lower` in any case, which has letters and hyphens alone. Setting bit 5
/// maps no other character onto one of those.
///
/// A name is compared by words, of which the last two may have bytes in common, so that no loop is left.
#[inline(always)]
pub(super) fn is_name<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    const { assert!(N >= 4 && N <= 24) };
    let is_same = |at| word(name, at).map(|word| word | 0x2020_2020_2020_2020) == word(lower, at);
    let is_same_half = |at| half(name, at).map(|half| half | 0x2020_2020) == half(lower, at);
    name.len() == N
        && match N {
            ..8 => is_same_half(0) && is_same_half(N - 4),
            8..17 => is_same(0) && is_same(N - 8),
            _ => is_same(0) && is_same(8) && is_same(N - 8),
        }
}

/// The 8 bytes at `at`, as a number.
#[inline(always)]
pub(super) fn word(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}

#[inline(always)]
fn half(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case_and_no_other_passes_for_it() {
        fn check<const N: usize>(lower: &[u8; N]) {
            assert!(is_name(lower, lower) && is_name(&lower.to_ascii_uppercase(), lower));
            assert!(!is_name(&lower[1..], lower) && !is_name(&[&lower[..], b"s"].concat(), lower));
            for place in 0..N {
                for b in (b' '..=b'~').chain(128..=255) {
                    let mut name = *lower;
                    name[place] = b;
                    assert_eq!(is_name(&name, lower), name.eq_ignore_ascii_case(lower), "{}", name.escape_ascii());
                }
            }
        }
        check(b"host");
        check(b"expect");
        check(b"upgrade");
        check(b"connection");
        check(b"content-length");
        check(b"transfer-encoding");
    }
}
