//! Parses heads out of a buffer that grows, at a cost linear in their length.
//!
//! A client that sends one byte at a time must not have its head parsed once for each. So a parse that came to no end is
//! repeated only where the result can be another: when the empty line that ends a head has come, a bare LF, a limit has
//! been reached, or twice the bytes are there.
//!
//! Without this a head of 64 KiB in pieces of one byte would be walked 65,536 times, over two thousand million bytes in
//! all.

use http::Method;
use memchr::memchr_iter;

use super::{
    header_lines::max_head,
    request_head::RequestHead,
    request_parser::{parse_request_head, parse_request_into},
    response_head::ResponseHead,
    response_parser::parse_response_head,
};
use crate::{Error, Limits};

/// Parses heads out of a buffer that grows.
///
/// It keeps how far the bytes were looked at, so that a head that comes in many small pieces costs time linear in
/// its length. Until a head is complete `buf` has to begin with the same bytes on every call.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadParser {
    /// Bytes known to hold neither the end of the head nor a bare LF. 0 for a fresh head.
    scanned: usize,
    /// Length at the last full parse. Parsing again when it has doubled reports errors early at linear cost.
    parsed: usize,
}

impl HeadParser {
    /// The head of a request: `None` while it is incomplete, else the bytes it takes in `buf` and the head.
    ///
    /// # Errors
    ///
    /// As [`parse_request_head`], as soon as the bytes cannot become a head that is accepted. Of a head that comes in
    /// small pieces a fault may be found later than its last byte, at twice the bytes by then. Which fault it is does not
    /// depend on the pieces: of several, the one that the bytes have first.
    #[inline]
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<(usize, RequestHead)>, Error> {
        let mut head = None;
        let len = self.parse_into(buf, limits, &mut head)?;
        Ok(len.zip(head))
    }

    /// [`parse`](HeadParser::parse) with a place for the head, as [`parse_request_into`].
    #[inline]
    pub(crate) fn parse_into(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        head: &mut Option<RequestHead>,
    ) -> Result<Option<usize>, Error> {
        self.parse_by(buf, limits, |buf| {
            parse_request_into(buf, limits, head).map_err(|fault| first_fault(buf, limits, fault))
        })
    }

    /// What `buf` comes to when nothing will follow it: [`parse`](HeadParser::parse) without waiting for more.
    ///
    /// # Errors
    ///
    /// As [`parse`](HeadParser::parse).
    #[cold]
    #[inline]
    pub fn parse_last(buf: &[u8], limits: &Limits) -> Result<Option<(usize, RequestHead)>, Error> {
        HeadParser::default().parse(buf, limits)
    }

    /// [`parse`](HeadParser::parse) for the head of a response to a request with this method.
    ///
    /// # Errors
    ///
    /// As [`parse_response_head`].
    #[inline]
    pub fn parse_response(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        method: &Method,
    ) -> Result<Option<(usize, ResponseHead)>, Error> {
        self.parse_by(buf, limits, |buf| parse_response_head(buf, limits, method))
    }

    #[inline]
    fn parse_by<T>(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        parse: impl FnOnce(&[u8]) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        // A head that is complete at the first call, as nearly all are, is parsed once and nothing is kept.
        if self.scanned != 0 && !self.is_worth_parsing(buf, limits) {
            self.scanned = buf.len();
            return Ok(None);
        }
        let parsed = parse(buf);
        if let Ok(None) = parsed {
            self.scanned = buf.len();
            self.parsed = buf.len();
        } else {
            *self = HeadParser::default();
        }
        parsed
    }

    /// Whether another parse could come to something.
    fn is_worth_parsing(&self, buf: &[u8], limits: &Limits) -> bool {
        let passes = |limit: usize| self.parsed < limit && buf.len() >= limit;
        // The room for the method and an empty line in front is a guess: parsing once more or less does no harm.
        // A limit that has been passed is a refusal, and the client waits for it.
        if buf.len() >= 2 * self.parsed || passes(limits.max_target.saturating_add(16)) || passes(max_head(limits)) {
            return true;
        }
        let new = self.scanned.min(buf.len());
        // Bytes in front of the new ones are looked at too: CR LF CR may have come with the last piece.
        memchr_iter(b'\n', &buf[new..]).map(|at| &buf[..new + at]).any(|before| match limits.accept_bare_lf {
            false => !before.ends_with(b"\r") || before.ends_with(b"\r\n\r"),
            // A bare LF is no news then, unless it ends an empty line.
            true => before.strip_suffix(b"\r").unwrap_or(before).ends_with(b"\n"),
        })
    }
}

/// The fault of the shortest beginning of `buf` that has one; `fault` is that of the whole.
///
/// A parse walks over what it is given in more than one pass, so its own order depends on how much had come. A beginning
/// with a fault stays faulty whatever follows, and so bisection finds the shortest one: 17 parses at most, once per
/// connection.
#[cold]
fn first_fault(buf: &[u8], limits: &Limits, mut fault: Error) -> Error {
    let (mut sound, mut faulty) = (0, buf.len().min(max_head(limits).saturating_add(b"\r\n".len())));
    while faulty - sound > 1 {
        let middle = sound.midpoint(faulty);
        match parse_request_head(&buf[..middle], limits) {
            Ok(_) => sound = middle,
            Err(earlier) => (faulty, fault) = (middle, earlier),
        }
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes are walked over in all while a head comes in byte by byte.
    fn walked(head: &[u8], limits: &Limits) -> usize {
        let (mut parser, mut walked) = (HeadParser::default(), 0);
        for end in 1..=head.len() {
            let parsed = parser.parse_by(&head[..end], limits, |buf| {
                walked += buf.len();
                parse_request_head(buf, limits)
            });
            if parsed.is_err() || parsed.is_ok_and(|parsed| parsed.is_some()) {
                break;
            }
        }
        walked
    }

    #[test]
    fn the_bytes_walked_over_are_few_times_those_of_the_head() {
        for accept_bare_lf in [false, true] {
            let limits = Limits::default().max_headers(256).max_target(65_536).accept_bare_lf(accept_bare_lf);
            let end = if accept_bare_lf { "\n" } else { "\r\n" };
            let of_length = |length: usize| {
                let lines = format!("X: {}{end}", "y".repeat(length / 250)).repeat(240);
                let target = format!("GET /{} HTTP/1.1{end}Host: a{end}{end}", "%41".repeat(length / 3));
                [
                    format!("GET / HTTP/1.1{end}Host: a{end}{lines}{end}"),
                    format!("GET / HTTP/1.1{end}Host: a{end}X: {}{end}{end}", "y".repeat(length)),
                    // Never at an end, and one that is refused.
                    format!("GET / HTTP/1.1{end}{lines}"),
                    format!("GET / HTTP/1.1{end}Host: a{end}{lines}{lines}{end}"),
                    target,
                ]
            };
            for head in of_length(4_000).iter().chain(&of_length(60_000)) {
                let walked = walked(head.as_bytes(), &limits);
                assert!(walked < 6 * head.len(), "{walked} for {} bytes of {head:.40}", head.len());
            }
        }
    }
}
