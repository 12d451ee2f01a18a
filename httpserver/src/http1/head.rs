//! Parses request heads: the usual ones in one pass, all others by way of httparse.
//!
//! [`parse_usual`] takes nearly every head that clients send, and refuses none: what it does not know goes to httparse,
//! whose result is then judged by the same rules. Either way the lines are walked once: their positions go into the
//! table of [`Headers`], and what decides about the message into [`Facts`].

use std::mem::MaybeUninit;

use http::{Method, Version};
use memchr::memchr_iter;

use super::facts::Facts;
pub use super::facts::{BodyFraming, Expect};
use super::target::{self, Span, Target, TargetForm};
use super::usual::parse_usual;
use crate::error::Error;
use crate::headers::{Entry, Headers, is_token_byte};
use crate::limits::Limits;

/// Positions within a head are kept in 16 bits.
const MAX_HEAD: usize = 1 << 16;
/// The table httparse fills lies on the stack: the usual one is 3.2 KB, and not initialised.
const USUAL_HEADERS: usize = 100;
const MOST_HEADERS: usize = 256;

/// The head of one request.
///
/// Owns one allocation: a copy of the head as it came, with the positions of the header lines behind it.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, of any name.
    pub method: Method,
    /// `HTTP_11` or `HTTP_10`; a higher minor version counts as 1.1 (RFC 9110 2.5).
    pub version: Version,
    /// The header lines.
    pub headers: Headers,
    /// How the body is framed.
    pub body: BodyFraming,
    /// Whether the client lets the connection be kept.
    pub keep_alive: bool,
    /// What the client wants to hear before it sends the body.
    pub expect: Expect,
    /// Whether the client asks for another protocol: an Upgrade line, `Connection: upgrade`, and HTTP/1.1.
    pub upgrade: bool,
    pub(super) target: Target,
    /// The authority of the target if it has one, else the Host line; `None` without either (HTTP/1.0).
    pub(super) host: Option<Span>,
}

impl RequestHead {
    /// The target as sent.
    pub fn target(&self) -> &str {
        self.text(self.target.whole)
    }

    /// Which of the four forms the target has.
    pub fn form(&self) -> TargetForm {
        self.target.form
    }

    /// The path of the target, percent-encoded as sent; `*` for the asterisk form, empty for CONNECT.
    pub fn path(&self) -> &str {
        ascii(self.path_bytes())
    }

    /// [`path`](RequestHead::path) as bytes.
    #[inline]
    pub fn path_bytes(&self) -> &[u8] {
        match self.bytes(self.target.path) {
            // `http://host` without a path means the root, but for OPTIONS the server itself (RFC 9112 3.2.4).
            b"" if self.target.form == TargetForm::Absolute => {
                if self.method == Method::OPTIONS && self.target.query.is_none() { b"*" } else { b"/" }
            }
            path => path,
        }
    }

    /// What follows the `?` of the target.
    pub fn query(&self) -> Option<&str> {
        self.target.query.map(|span| self.text(span))
    }

    /// The authority of the target if it has one, else the value of Host, which may be empty.
    pub fn host(&self) -> Option<&str> {
        self.host.map(|span| self.text(span))
    }

    fn text(&self, span: Span) -> &str {
        ascii(self.bytes(span))
    }

    #[inline]
    fn bytes(&self, span: Span) -> &[u8] {
        &self.headers.text()[span.range()]
    }
}

/// A part of the target: only ASCII passes the checks of `target`, so the default is never taken.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

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
    /// `None` while the head is incomplete, else the bytes it takes in `buf` and the head.
    ///
    /// # Errors
    ///
    /// As soon as the bytes cannot become a head that is accepted.
    #[inline]
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<(usize, RequestHead)>, Error> {
        if self.scanned != 0 && !self.is_worth_parsing(buf, limits) {
            self.scanned = buf.len();
            return Ok(None);
        }
        let parsed = parse_request_head(buf, limits);
        if let Ok(None) = parsed {
            self.scanned = buf.len();
            self.parsed = buf.len();
        } else {
            *self = HeadParser::default();
        }
        parsed
    }

    fn is_worth_parsing(&self, buf: &[u8], limits: &Limits) -> bool {
        let passes = |limit: usize| self.parsed < limit && buf.len() >= limit;
        // The room for the method and an empty line in front is a guess: parsing once more or less does no harm.
        if buf.len() >= 2 * self.parsed
            || passes(limits.max_target.saturating_add(16))
            || passes(limits.max_head.min(MAX_HEAD))
        {
            return true;
        }
        let new = self.scanned.min(buf.len());
        memchr_iter(b'\n', &buf[new..])
            .map(|at| new + at)
            .any(|at| !buf[..at].ends_with(b"\r") || buf[..at].ends_with(b"\r\n\r"))
    }
}

/// Parses the head of a request that `buf` begins with, one empty line in front tolerated.
///
/// `None` while it is incomplete, else the bytes it takes and the head.
///
/// # Errors
///
/// 400, 413, 414, 431, 501 or 505 by [`Error::status`]; reported before the head is complete where nothing that
/// follows could change it.
#[inline]
pub fn parse_request_head(buf: &[u8], limits: &Limits) -> Result<Option<(usize, RequestHead)>, Error> {
    let skipped = match buf.first() {
        None => return Ok(None),
        Some(b'\r' | b'\n') => match leading_empty_line(buf)? {
            Some(skipped) => skipped,
            None => return Ok(None),
        },
        Some(_) => 0,
    };
    let window = &buf[skipped..];
    let window = &window[..window.len().min(limits.max_head).min(MAX_HEAD)];
    match parse_usual(window, limits) {
        Some((len, head)) => Ok(Some((skipped + len, head))),
        None => parse_by_httparse(window, skipped, limits),
    }
}

/// Parses any head.
#[cold]
pub(super) fn parse_by_httparse(window: &[u8], skipped: usize, limits: &Limits) -> Parse {
    if limits.max_headers <= USUAL_HEADERS {
        let mut slots = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
        parse_window(window, skipped, limits, &mut slots[..limits.max_headers])
    } else {
        parse_many_headers(window, skipped, limits)
    }
}

/// RFC 9112 2.2: a server should ignore an empty line in front of the request line. One, with its CRLF.
#[cold]
fn leading_empty_line(buf: &[u8]) -> Result<Option<usize>, Error> {
    match buf {
        [b'\r'] | [b'\r', b'\n'] => Ok(None),
        [b'\r', b'\n', b'\r' | b'\n', ..] => Err(bad("more than one empty line before the request")),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        _ => Err(BARE_LINE_END),
    }
}

#[cold]
fn parse_many_headers(window: &[u8], skipped: usize, limits: &Limits) -> Parse {
    let mut slots = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    parse_window(window, skipped, limits, &mut slots[..limits.max_headers.min(MOST_HEADERS)])
}

type Parse = Result<Option<(usize, RequestHead)>, Error>;

/// Parses what of the buffer may be a head. `skipped` bytes were taken in front of it.
#[inline]
fn parse_window<'b>(
    window: &'b [u8],
    skipped: usize,
    limits: &Limits,
    slots: &mut [MaybeUninit<httparse::Header<'b>>],
) -> Parse {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(window, slots) {
        Ok(httparse::Status::Complete(len)) => build(&window[..len], skipped, &request, limits),
        Ok(httparse::Status::Partial) => check_partial(window, limits),
        Err(error) => explain(window, skipped, error, limits),
    }
}

/// Turns what httparse found into a head, or refuses it.
#[inline]
fn build(head: &[u8], skipped: usize, request: &httparse::Request<'_, '_>, limits: &Limits) -> Parse {
    // httparse sets all three before it reports a complete head; the defaults would be refused below.
    let method = request.method.unwrap_or_default();
    let path = request.path.unwrap_or_default();
    let version = match request.version {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    if path.len() > limits.max_target {
        return Err(target_too_long(limits));
    }
    // httparse takes a bare LF for a line end. The last line and the empty one are looked at here, the line before
    // each header when it is entered into the table.
    if !head.ends_with(b"\r\n\r\n") {
        return Err(BARE_LINE_END);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad("malformed method"))?;
    let target = target::parse(head, position(head, path.as_bytes()), path.len(), &method)?;

    let lines = &*request.headers;
    let mut block = Vec::with_capacity(head.len() + lines.len() * Entry::SIZE);
    block.extend_from_slice(head);
    let mut facts = Facts::default();
    for line in lines {
        let name_start = position(head, line.name.as_bytes());
        if head[name_start - 2] != b'\r' {
            return Err(BARE_LINE_END);
        }
        let value = Span::new(position(head, line.value), line.value.len());
        facts.note(line.name.as_bytes(), line.value, value)?;
        block.extend_from_slice(&Entry::of(head, line.name.as_bytes(), line.value).encode());
    }
    let is_http11 = version == Version::HTTP_11;
    let request = RequestHead {
        body: facts.body(is_http11, limits)?,
        host: facts.host(is_http11, target.authority)?,
        keep_alive: facts.keep_alive(is_http11),
        expect: facts.expect(is_http11),
        upgrade: facts.upgrade(is_http11),
        headers: Headers::from_block(block.into_boxed_slice(), head.len(), lines.len()),
        method,
        version,
        target,
    };
    Ok(Some((skipped + head.len(), request)))
}

impl Entry {
    /// `name` and `value` are slices of `head`.
    #[inline]
    pub(super) fn of(head: &[u8], name: &[u8], value: &[u8]) -> Self {
        Entry {
            name_start: position(head, name) as u16,
            name_len: name.len() as u16,
            value_start: position(head, value) as u16,
            value_len: value.len() as u16,
        }
    }
}

/// Where `part`, a slice of `head`, begins in it.
#[inline]
fn position(head: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - head.as_ptr() as usize
}

/// Whether an incomplete head can still become one.
#[cold]
fn check_partial(window: &[u8], limits: &Limits) -> Parse {
    if target_in(window).is_some_and(|target| target.len() > limits.max_target) {
        return Err(target_too_long(limits));
    }
    if memchr_iter(b'\n', window).any(|at| !window[..at].ends_with(b"\r")) {
        return Err(BARE_LINE_END);
    }
    if window.len() >= limits.max_head.min(MAX_HEAD) {
        return Err(head_too_large(limits));
    }
    Ok(None)
}

/// Why httparse refused; the version is looked at again, because httparse knows 1.0 and 1.1 only.
#[cold]
fn explain(window: &[u8], skipped: usize, error: httparse::Error, limits: &Limits) -> Parse {
    if window.starts_with(&[TLS_HANDSHAKE]) {
        return Err(bad("this port speaks plain HTTP, not TLS"));
    }
    if target_in(window).is_some_and(|target| target.len() > limits.max_target) {
        return Err(target_too_long(limits));
    }
    Err(match error {
        httparse::Error::Version => return other_version(window, skipped, limits),
        httparse::Error::TooManyHeaders => Error::TooManyHeaders { limit: limits.max_headers.min(MOST_HEADERS) },
        httparse::Error::HeaderName => bad("malformed header name or folded line"),
        httparse::Error::HeaderValue => bad("control character in a header value"),
        httparse::Error::NewLine => BARE_LINE_END,
        _ => bad("malformed request line"),
    })
}

/// The record type that every TLS connection begins with (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A version other than 1.0 and 1.1: a higher minor one is served as 1.1, another major one is 505.
fn other_version(window: &[u8], skipped: usize, limits: &Limits) -> Parse {
    let Some(start) = version_start(window) else {
        return Err(MALFORMED_VERSION);
    };
    let text = &window[start..];
    let fits = text.iter().zip(b"HTTP/d.d\r\n").all(|(&b, &pattern)| match pattern {
        b'd' => b.is_ascii_digit(),
        _ => b == pattern,
    });
    match text {
        _ if !fits => Err(MALFORMED_VERSION),
        [_, _, _, _, _, b'1', _, _, _, _, ..] => {
            let mut served = window.to_vec();
            served[start + b"HTTP/1.".len()] = b'1';
            let mut slots = [const { MaybeUninit::uninit() }; MOST_HEADERS];
            parse_window(&served, skipped, limits, &mut slots[..limits.max_headers.min(MOST_HEADERS)])
        }
        [_, _, _, _, _, _, _, _, _, _, ..] => Err(Error::VersionNotSupported),
        _ => check_partial(window, limits),
    }
}

fn version_start(window: &[u8]) -> Option<usize> {
    let target = target_in(window)?;
    let end = position(window, target) + target.len();
    (window.get(end) == Some(&b' ')).then_some(end + 1)
}

/// The target of the request line as far as it has come; `None` before it begins.
fn target_in(window: &[u8]) -> Option<&[u8]> {
    let method = window.iter().position(|&b| !is_token_byte(b))?;
    if method == 0 || window[method] != b' ' {
        return None;
    }
    let rest = &window[method + 1..];
    let is_end = |&b: &u8| b <= b' ' || b == 0x7f;
    Some(&rest[..rest.iter().position(is_end).unwrap_or(rest.len())])
}

const BARE_LINE_END: Error = bad("line end is not CR LF");
const MALFORMED_VERSION: Error = bad("malformed HTTP version");

pub(super) const fn bad(reason: &'static str) -> Error {
    Error::BadRequest(reason)
}

#[cold]
fn target_too_long(limits: &Limits) -> Error {
    Error::TargetTooLong { limit: limits.max_target }
}

#[cold]
fn head_too_large(limits: &Limits) -> Error {
    Error::HeadTooLarge { limit: limits.max_head.min(MAX_HEAD) }
}
