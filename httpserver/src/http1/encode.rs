//! Writes responses: the head by the rules of RFC 9110 and 9112, a small body right behind it, chunks.
//!
//! Lines are written in this order: the status line, `Date`, `Server` if it was asked for, `Content-Type`, the lines of the
//! response, the framing, `Connection`, the empty line. Status line and `Date` of a 200 are one text that is renewed once a
//! second.
//!
//! There are two ways. [`encode_usual`] writes what nearly all responses are, and knows so much about it that hardly a
//! branch is left; [`encode_any`] writes the rest. The split is for speed alone: encoding takes about a tenth of a
//! request's instructions.

use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use iostream::ioloop::report_failure;

use crate::{Response, Trailers, date::DateCache};

/// The interim answer to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bodies up to this many bytes are copied behind the head: one buffer, one send. Longer ones are sent from where
/// they are.
pub const MAX_COPIED_BODY: usize = 16 * 1024;

/// What the encoder has to know about the request it answers.
#[derive(Clone, Copy, Debug)]
pub struct EncodeContext<'d> {
    /// Of the request.
    pub version: Version,
    /// The request is a HEAD: the same head, no body.
    pub is_head: bool,
    /// Whether client and server would keep the connection. The response may still close it.
    pub keep_alive: bool,
    /// The loop's turn time.
    pub now: Instant,
    /// The text of `Date`, of a server on that loop.
    pub date: &'d DateCache,
}

/// What is left to do after [`encode_response`].
#[derive(Debug)]
#[must_use]
pub struct Encoded {
    /// Whether the connection stays: what was announced to the client.
    pub keep_alive: bool,
    /// A body too large to be copied, to be sent behind the head.
    pub rest: Option<Bytes>,
}

/// How a streamed body has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFraming {
    /// No body may follow: HEAD, or a status without content.
    None,
    /// In chunks, then [`append_last_chunk`].
    Chunked,
    /// As it is, exactly this many bytes.
    Counted(u64),
    /// As it is; the end of the connection is the end of the body.
    UntilClose,
}

/// What [`encode_stream_head`] announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct EncodedStream {
    /// Whether the connection stays after the body.
    pub keep_alive: bool,
    /// How to write the body.
    pub framing: StreamFraming,
}

/// Appends a whole response to `out`, except for a body of more than [`MAX_COPIED_BODY`] bytes.
///
/// A response that announces a length without having a body becomes a 500 and a line in the log, unless it answers HEAD
/// or has a status without content: the client would wait for bytes that never come.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use httpserver::{Response, Version, codec::{DateCache, EncodeContext, encode_response}};
///
/// let context = EncodeContext {
///     version: Version::HTTP_11,
///     is_head: false,
///     keep_alive: true,
///     now: Instant::now(),
///     date: &DateCache::new(),
/// };
/// let mut out = Vec::new();
/// let encoded = encode_response(&mut out, Response::text("hello"), &context);
/// assert!(encoded.keep_alive && encoded.rest.is_none());
/// assert!(out.starts_with(b"HTTP/1.1 200 OK\r\nDate: ") && out.ends_with(b"Content-Length: 5\r\n\r\nhello"));
/// ```
pub fn encode_response(out: &mut Vec<u8>, mut response: Response, context: &EncodeContext<'_>) -> Encoded {
    let is_usual = response.is_usual()
        && (context.keep_alive && context.version == Version::HTTP_11 && !context.is_head)
        && fits_usual(&response);
    if is_usual {
        encode_usual(out, &response, context.now, context.date);
        return Encoded { keep_alive: true, rest: None };
    }
    encode_any(out, &mut response, context)
}

/// Whether the body of a [usual](Response::is_usual) response is short enough for [`encode_usual`].
#[inline(always)]
pub(crate) fn fits_usual(response: &Response) -> bool {
    whole_body(response).len() <= MAX_COPIED_BODY
}

/// Appends a whole response that is like nearly all: a 200 that [fits](fits_usual), to HTTP/1.1, on a connection that stays.
#[inline]
pub(crate) fn encode_usual(out: &mut Vec<u8>, response: &Response, now: Instant, date: &DateCache) {
    let body = whole_body(response);
    // Once, so that the appends behind it find room. A buffer of the pool nearly always has it.
    out.reserve(MOST_OWN_LINES + response.lines().len() + body.len());
    if !response.lines().is_empty() || !date.append_usual(out, now, response.content_type()) {
        append_with_lines(out, response, now, date);
    }
    append_length_and_end(out, body.len());
    out.extend_from_slice(body);
}

/// Everything up to the number of the Content-Length, of a usual response with lines of its own, or at the beginning of a
/// second.
#[inline(never)]
fn append_with_lines(out: &mut Vec<u8>, response: &Response, now: Instant, date: &DateCache) {
    date.append_ok_and_lines(out, now, || response.has_server());
    append_own_lines(out, response);
    out.extend_from_slice(b"Content-Length: ");
}

/// [`encode_response`] with nothing known about the response, whose body is taken out if it is left to be sent.
///
/// By reference, as [`encode_usual`]: the caller drops the response where it is.
#[inline(never)]
pub(crate) fn encode_any(out: &mut Vec<u8>, response: &mut Response, context: &EncodeContext<'_>) -> Encoded {
    let status = response.status();
    let content = Content::of(status);
    let announced = response.content_length();
    if let Some(length) = missing_length(response)
        && !context.is_head
    {
        report_failure(
            "httpserver",
            format_args!("a Content-Length of {length} announced without a body; answering 500"),
        );
        // In its place, so that the caller sees what was sent.
        *response = Response::new(StatusCode::INTERNAL_SERVER_ERROR);
        return encode_any(out, response, context);
    }
    let keep_alive = context.keep_alive && !response.closes_connection();
    let body = whole_body(response);
    // What to announce, which for HEAD and 304 is the length of something that is not sent (RFC 9110 8.6).
    let length = match content {
        // The length of a body that is there is known and wins, for GET and HEAD alike.
        Content::Allowed if context.is_head && body.is_empty() => Some(announced.unwrap_or(0)),
        Content::Allowed => Some(body.len() as u64),
        Content::Empty => Some(0),
        // RFC 9110 8.6: never in a 1xx or a 204.
        Content::None => announced.filter(|_| status == StatusCode::NOT_MODIFIED),
    };
    let sends_body = content == Content::Allowed && !context.is_head;
    let copied = if sends_body && body.len() <= MAX_COPIED_BODY { body.len() } else { 0 };
    out.reserve(MOST_OWN_LINES + response.lines().len() + copied);
    append_lines(out, response, status, context);
    if let Some(length) = length {
        append_content_length(out, length);
    }
    append_upgrade_option(out, status);
    append_end(out, context.version, keep_alive);
    if copied != 0 {
        out.extend_from_slice(body);
    }
    // Left where it is: the connection sends it behind the head by one `writev`.
    let rest = (sends_body && copied < body.len()).then(|| response.take_bytes());
    Encoded { keep_alive, rest }
}

/// Here, because what becomes of a mistake is the encoder's matter and the connection's.
impl Response {
    /// The status that a client sees when this answers its request of the method `method`, for what tells of answers, such as
    /// a log. It is the response's own, but for the mistakes of a service that the server does not send: a 1xx without
    /// [`Request::upgrade`](crate::Request::upgrade) and a `Content-Length` without a body become 500, and a 2xx to CONNECT
    /// without an upgrade 501.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Method, Response, StatusCode};
    ///
    /// let mut response = Response::text("");
    /// response.set_header("Content-Length", "5")?;
    /// assert_eq!(response.sent_status(&Method::HEAD), StatusCode::OK);
    /// assert_eq!(response.sent_status(&Method::GET), StatusCode::INTERNAL_SERVER_ERROR);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn sent_status(&self, method: &Method) -> StatusCode {
        match self.status() {
            status if self.is_upgrade() => status,
            status if status.is_informational() => StatusCode::INTERNAL_SERVER_ERROR,
            status if status.is_success() && *method == Method::CONNECT => StatusCode::NOT_IMPLEMENTED,
            _ if *method != Method::HEAD && missing_length(self).is_some() => StatusCode::INTERNAL_SERVER_ERROR,
            status => status,
        }
    }
}

/// The length that a response announces without having a body: HEAD alone can be answered so.
#[inline]
fn missing_length(response: &Response) -> Option<u64> {
    let length = response.content_length().filter(|&length| length > 0)?;
    let has_none = response.body().as_bytes().is_some_and(<[u8]>::is_empty);
    (has_none && Content::of(response.status()) == Content::Allowed).then_some(length)
}

/// The body of a response that is there as a whole; nothing for a stream.
#[inline]
fn whole_body(response: &Response) -> &[u8] {
    response.body().as_bytes().unwrap_or_default()
}

/// Appends the head of a response whose body will be streamed. The body of `response` is only asked for its size.
pub fn encode_stream_head(out: &mut Vec<u8>, response: &Response, context: &EncodeContext<'_>) -> EncodedStream {
    let status = response.status();
    let length = response.content_length().or_else(|| response.body().size_to_send());
    let content = Content::of(status);
    // RFC 9112 6.3, from the server's side: no body, a length, chunks where the client knows them, else the end of the
    // connection.
    let framing = match (content, length) {
        (Content::None | Content::Empty, _) => StreamFraming::None,
        _ if context.is_head => StreamFraming::None,
        (Content::Allowed, Some(length)) => StreamFraming::Counted(length),
        // RFC 9112 6.1: no Transfer-Encoding in answer to HTTP/1.0.
        (Content::Allowed, None) if context.version == Version::HTTP_11 => StreamFraming::Chunked,
        (Content::Allowed, None) => StreamFraming::UntilClose,
    };
    let length = match content {
        Content::Allowed => length,
        Content::Empty => Some(0),
        Content::None => length.filter(|_| status == StatusCode::NOT_MODIFIED),
    };
    let keep_alive = context.keep_alive && !response.closes_connection() && framing != StreamFraming::UntilClose;
    out.reserve(MOST_OWN_LINES + response.lines().len());
    append_lines(out, response, status, context);
    // Never both (RFC 9112 6.2).
    if framing == StreamFraming::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    } else if let Some(length) = length {
        append_content_length(out, length);
    }
    append_upgrade_option(out, status);
    append_end(out, context.version, keep_alive);
    EncodedStream { keep_alive, framing }
}

/// The Upgrade line that goes with a 426 means nothing without this one (RFC 9110 7.8).
#[inline]
fn append_upgrade_option(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::UPGRADE_REQUIRED {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
}

/// Appends the head of a response behind which another protocol begins: a 101, or a 2xx to CONNECT, which has neither
/// Content-Length nor Transfer-Encoding (RFC 9110 9.3.6).
pub fn encode_switch(out: &mut Vec<u8>, response: &Response, context: &EncodeContext<'_>) {
    append_lines(out, response, response.status(), context);
    // The Upgrade line came with the response. It means nothing without this one (RFC 9110 7.8).
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an informational response: the status line and the lines of `response`, which say nothing about framing.
#[inline]
pub fn encode_informational(out: &mut Vec<u8>, response: &Response) {
    append_status_line(out, response.status());
    append_own_lines(out, response);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a chunked body, with its trailers: the chunk of size 0, the trailer lines and an empty line
/// (RFC 9112 7.1).
pub fn append_last_chunk(out: &mut Vec<u8>, trailers: Option<&Trailers>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        out.extend_from_slice(trailers.as_lines());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `data` as one chunk; nothing if it is empty, because an empty chunk is the end of the body.
pub fn append_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        append_chunk_size(out, data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the line in front of a chunk of `len` bytes, to be followed by its data and CRLF. `len` is not 0.
///
/// # Panics
///
/// With debug assertions, when `len` is 0. Without them it appends an empty line, which is no chunk.
pub fn append_chunk_size(out: &mut Vec<u8>, len: usize) {
    debug_assert_ne!(len, 0);
    // No zeros in front: recipients may bound the number of digits, as this crate's decoder does.
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for i in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(len >> (4 * i)) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Room for the lines this module writes: status, Date, Content-Type, framing, Connection and the empty line. A
/// Content-Type of the program's own may need more; then the buffer grows as any vector does.
const MOST_OWN_LINES: usize = 256;

/// What a status allows behind the head (RFC 9110 6.4.1 and 15, RFC 9112 6.3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Whatever the response has.
    Allowed,
    /// 205: no content, but its absence has to be told.
    Empty,
    /// 1xx, 204 and 304 end with their head; the first two may not have a Content-Length.
    None,
}

impl Content {
    #[inline]
    fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            // Asked first, because nearly every response is one.
            200 => Content::Allowed,
            100..=199 | 204 | 304 => Content::None,
            205 => Content::Empty,
            _ => Content::Allowed,
        }
    }
}

/// Everything in front of the framing: status line, Date, Server, and the lines that came with the response.
#[inline]
fn append_lines(out: &mut Vec<u8>, response: &Response, status: StatusCode, context: &EncodeContext<'_>) {
    // RFC 9110 6.6.1: a server with a clock sends Date with every 2xx, 3xx and 4xx; a response may bring its own.
    if status == StatusCode::OK && !response.has_date() {
        context.date.append_ok_and_lines(out, context.now, || response.has_server());
    } else {
        append_status_line(out, status);
        match response.has_date() {
            true => context.date.append_server(out, || response.has_server()),
            false => context.date.append_lines(out, context.now, || response.has_server()),
        }
    }
    append_own_lines(out, response);
}

/// The lines that came with the response.
#[inline(always)]
fn append_own_lines(out: &mut Vec<u8>, response: &Response) {
    match response.content_type().padded_line() {
        // A copy of a length that the compiler knows takes half the instructions, so more is copied than there is.
        Some((line, length)) => {
            let end = out.len() + length;
            out.extend_from_slice(line);
            out.truncate(end);
        }
        None => append_own_type(out, response),
    }
    // Checked when they were set, and kept as they are sent.
    if !response.lines().is_empty() {
        out.extend_from_slice(response.lines());
    }
}

/// A Content-Type of the program's own.
#[cold]
fn append_own_type(out: &mut Vec<u8>, response: &Response) {
    out.extend_from_slice(b"Content-Type: ");
    out.extend_from_slice(response.content_type_value().unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

/// The Content-Length line, for a length of any size.
#[inline]
pub(super) fn append_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The number of the Content-Length, and the empty line: the end of the head of a usual answer.
#[inline]
fn append_length_and_end(out: &mut Vec<u8>, length: usize) {
    // One copy of a length that the compiler knows, instead of three.
    let digit = |place: usize| b'0' + (length / place % 10) as u8;
    let [cr, lf] = *b"\r\n";
    match length {
        ..10 => out.extend_from_slice(&[digit(1), cr, lf, cr, lf]),
        10..100 => out.extend_from_slice(&[digit(10), digit(1), cr, lf, cr, lf]),
        100..1_000 => out.extend_from_slice(&[digit(100), digit(10), digit(1), cr, lf, cr, lf]),
        1_000..10_000 => {
            out.extend_from_slice(&[digit(1_000), digit(100), digit(10), digit(1), cr, lf, cr, lf]);
        }
        _ => {
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
        }
    }
}

/// The Connection line, where the version does not say it already, and the empty line.
#[inline]
fn append_end(out: &mut Vec<u8>, version: Version, keep_alive: bool) {
    // RFC 9112 9.3: HTTP/1.1 is kept unless told otherwise, HTTP/1.0 the other way round.
    if !keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if version != Version::HTTP_11 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The status line. Usual ones are constants: one copy of a known length.
#[inline]
fn append_status_line(out: &mut Vec<u8>, status: StatusCode) {
    // Also to HTTP/1.0 clients: a server sends the version it conforms to (RFC 9110 2.5).
    let line: &[u8] = match status.as_u16() {
        200 => b"HTTP/1.1 200 OK\r\n",
        204 => b"HTTP/1.1 204 No Content\r\n",
        206 => b"HTTP/1.1 206 Partial Content\r\n",
        302 => b"HTTP/1.1 302 Found\r\n",
        304 => b"HTTP/1.1 304 Not Modified\r\n",
        400 => b"HTTP/1.1 400 Bad Request\r\n",
        404 => b"HTTP/1.1 404 Not Found\r\n",
        500 => b"HTTP/1.1 500 Internal Server Error\r\n",
        _ => return append_other_status_line(out, status),
    };
    out.extend_from_slice(line);
}

/// The status line of any status, put together.
#[cold]
fn append_other_status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    // The space stays when there is no reason phrase (RFC 9112 4).
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_any_number_of_digits_end_the_head() {
        for length in (0..=1_100).chain(9_990..=10_010).chain([MAX_COPIED_BODY]) {
            let mut out = b"X: y\r\nContent-Length: ".to_vec();
            append_length_and_end(&mut out, length);
            assert_eq!(out, format!("X: y\r\nContent-Length: {length}\r\n\r\n").into_bytes());
        }
    }
}
