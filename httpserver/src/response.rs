//! Answers as values: a head in wire form, and a body of any kind.
//!
//! Everything about an answer is in one [`Response`], so a wrap sees all of it, and the connection encodes it by
//! reference. The value is kept small, because every connection has room for one and moves are dear: what few answers
//! have is boxed, and what nearly all have, a Content-Type of the usual kinds, takes no buffer.
//!
//! Lines that frame the message are not kept among the others. They are fields here and are written by the encoder, so
//! that a program cannot announce one length and send another.

use std::{fmt, mem};

use bytes::Bytes;
use http::StatusCode;
use iostream::ioloop::report_failure;

use crate::{
    Body, Error, Result,
    field_lines::{FieldLines, check_header},
    upgrade::UpgradeHandler,
};

/// An answer: status, header lines and a [`Body`].
///
/// Header lines are kept as they will be sent, in a buffer that is pooled per thread; a response without lines of its
/// own has none. The server adds what belongs to the message as such: `Date` (unless set), `Content-Length`,
/// `Transfer-Encoding` and `Connection`. There is no `Server` header unless you set one.
///
/// The whole answer is in this value, streamed bodies included, so a service wrapped around another one can look at it
/// and change it, head and body.
///
/// # Examples
///
/// ```
/// use httpserver::{Body, Response, StatusCode};
///
/// let mut response = Response::text("gone\n").with_header("Cache-Control", "no-store");
/// response.set_status(StatusCode::GONE);
/// assert_eq!(response.header("cache-control"), Some("no-store"));
/// assert_eq!(response.body().as_bytes(), Some(&b"gone\n"[..]));
/// assert!(response.set_header("X-Note", "two\r\nlines").is_err());
///
/// // A body that comes piece by piece.
/// let response = Response::text(Body::writer(async |mut out| out.write("...").await));
/// assert_eq!(response.body().as_bytes(), None);
/// ```
pub struct Response {
    /// The reason phrase is not kept: RFC 9112 4 has clients ignore it.
    status: StatusCode,
    /// `Connection: close` was asked for.
    closes: bool,
    /// There is a Date among the lines.
    has_date: bool,
    /// A length was given.
    has_length: bool,
    /// An invalid header was given to a builder: the answer is a 500 and stays one.
    refused: bool,
    /// Nothing is sent, not even the head; see [`Response::abort`].
    aborts: bool,
    /// The Content-Type that comes with the kind of body. None also when one was set among the lines.
    content_type: ContentType,
    /// That of [`ContentType::Value`]. Beside it, because inside it would be larger, and every connection has room for an
    /// answer.
    own_type: Option<&'static str>,
    /// The length given, if there is one. Beside the flag, which takes no room among the others; an `Option` would.
    content_length: u64,
    /// All other lines, checked and as they will be sent.
    lines: FieldLines,
    /// Another protocol follows the head instead of the body; see [`Request::upgrade`](crate::Request::upgrade). Boxed
    /// once more, because a response is moved often, and a fat pointer makes it larger.
    upgrade: Upgrade,
    body: Body,
}

/// What hardly any response has, so that looking for it is all that dropping a response costs.
struct Upgrade(Option<Box<UpgradeHandler>>);

impl Drop for Upgrade {
    #[inline]
    fn drop(&mut self) {
        if let Some(handler) = self.0.take() {
            drop_handler(handler);
        }
    }
}

/// Out of line, so that the drop of a usual response is one comparison.
#[cold]
fn drop_handler(handler: Box<UpgradeHandler>) {
    drop(handler);
}

impl Response {
    /// A response without a body or header lines.
    pub fn new(status: StatusCode) -> Self {
        Response::with_parts(status, ContentType::None, Body::empty())
    }

    /// 200 with a body of `text/plain; charset=utf-8`.
    pub fn text(body: impl Into<Body>) -> Self {
        Response::with_parts(StatusCode::OK, ContentType::Text, body.into())
    }

    /// 200 with a body of `text/html; charset=utf-8`.
    pub fn html(body: impl Into<Body>) -> Self {
        Response::with_parts(StatusCode::OK, ContentType::Html, body.into())
    }

    /// 200 with a body of `application/json`, serialised already.
    pub fn json_bytes(body: impl Into<Body>) -> Self {
        Response::with_parts(StatusCode::OK, ContentType::Json, body.into())
    }

    /// 200 with a body of `application/octet-stream`.
    pub fn bytes(body: impl Into<Body>) -> Self {
        Response::with_parts(StatusCode::OK, ContentType::Octets, body.into())
    }

    /// 204 No Content.
    pub fn empty() -> Self {
        Response::new(StatusCode::NO_CONTENT)
    }

    /// No answer at all: the connection is closed. For a request whose client has gone, or gets nothing on purpose.
    ///
    /// Answers to earlier requests of the connection are offered to the kernel once before.
    pub fn abort() -> Self {
        // The status is what a wrap sees, and what becomes of it where there is no connection to close.
        let mut response = Response::new(StatusCode::INTERNAL_SERVER_ERROR);
        response.aborts = true;
        response
    }

    /// Whether this is [`abort`](Response::abort).
    pub fn is_abort(&self) -> bool {
        self.aborts
    }

    /// 101 Switching Protocols with `Upgrade: protocol`: the head for [`Request::upgrade`](crate::Request::upgrade).
    /// Returned in any other way it is a mistake, and the client gets a 500.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] when `protocol` cannot be the value of a header.
    #[inline]
    pub fn switching_protocols(protocol: &str) -> Result<Self> {
        let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS);
        response.set_header("Upgrade", protocol)?;
        Ok(response)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Changes the status. The reason phrase is the usual one of the status.
    pub fn set_status(&mut self, status: StatusCode) {
        if !self.refused {
            self.status = status;
        }
    }

    /// [`set_status`](Response::set_status) for building in one expression.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.set_status(status);
        self
    }

    /// The body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The body, to be read: `response.body_mut().bytes(max).await`.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Replaces the body. The Content-Type stays as it is.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        if !self.refused {
            self.body = body.into();
        }
    }

    /// [`set_body`](Response::set_body) for building in one expression.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.set_body(body);
        self
    }

    /// Takes the body out and leaves none, to put something around it:
    /// `response.set_body(Body::stream(Compressed::new(response.take_body())))`.
    pub fn take_body(&mut self) -> Body {
        mem::take(&mut self.body)
    }

    /// The value of the first line with this name, in any case; `None` if there is none or it is not UTF-8.
    ///
    /// Lines the server adds when it sends are not there yet.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value of the first line with this name, in any case.
    #[inline]
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All lines so far as name and value, in the order they will be sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let content_type = self.content_type_value().map(|value| ("Content-Type", value));
        content_type.into_iter().chain(self.lines.iter())
    }

    /// Sets a header line, instead of all lines with this name. White space around the value is left out.
    ///
    /// `Connection: close` is the same as [`close_connection`](Response::close_connection), and `Content-Length` the
    /// same as [`set_content_length`](Response::set_content_length); otherwise those two and `Transfer-Encoding`
    /// belong to the server.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] if the name is no token, the value has a control character (CR, LF and NUL among them;
    /// tab is allowed), or the line belongs to the server. The response is unchanged then.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::Response;
    ///
    /// let mut response = Response::text("hello\n");
    /// response.set_header("Cache-Control", "max-age=60")?;
    /// response.set_header("cache-control", "no-store")?;
    /// assert_eq!(response.header("Cache-Control"), Some("no-store"));
    /// assert!(response.set_header("Transfer-Encoding", "gzip").is_err());
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.put_header(name, value.as_ref(), true)
    }

    /// Sets the Content-Type to a text known to the program. Unlike [`set_header`](Response::set_header) this takes no
    /// buffer and copies nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] if the value has a control character.
    pub fn set_content_type(&mut self, value: &'static str) -> Result<()> {
        check_header(b"Content-Type", value.as_bytes())?;
        if !self.refused {
            self.lines.remove(b"content-type");
            self.content_type = ContentType::Value;
            self.own_type = Some(value);
        }
        Ok(())
    }

    /// Adds a header line behind those there are, such as one more `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// As [`set_header`](Response::set_header).
    pub fn append_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        self.put_header(name, value.as_ref(), false)
    }

    /// Removes all lines with this name, in any case.
    ///
    /// `Connection` takes back [`close_connection`](Response::close_connection), and `Content-Length` takes back
    /// [`set_content_length`](Response::set_content_length).
    pub fn remove_header(&mut self, name: &str) {
        if self.refused {
            return;
        }
        match Special::of(name.as_bytes()) {
            Special::ContentType => self.content_type = ContentType::None,
            Special::Date => self.has_date = false,
            Special::Connection => self.closes = false,
            Special::ContentLength => self.has_length = false,
            Special::None | Special::TransferEncoding => {}
        }
        self.lines.remove(name.as_bytes());
    }

    /// [`set_header`](Response::set_header) for building in one expression.
    ///
    /// A line that `set_header` refuses turns the response into a plain 500 that ignores further changes, and is
    /// logged as an error: nothing of it reaches the client.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.set_header(name, value) {
            report_failure("httpserver", format_args!("header {name:?} of a response: {error}; answering 500"));
            self = Response::text("500 Internal Server Error\n").with_status(StatusCode::INTERNAL_SERVER_ERROR);
            self.refused = true;
        }
        self
    }

    /// Sends `Connection: close` and closes the connection after this response.
    pub fn close_connection(&mut self) {
        self.closes = true;
    }

    /// Whether the connection is closed after this response.
    pub fn closes_connection(&self) -> bool {
        self.closes
    }

    /// Announces the length in bytes of a streamed body, or of the one that a HEAD request did not ask for.
    ///
    /// The length of a body that is there as a whole is known and wins. A response that announces a length and has no
    /// body is a mistake unless it answers HEAD or is a 304; it is answered 500 and logged.
    ///
    /// Of a stream exactly so many bytes are sent. With more or fewer the connection ends in the middle of the answer
    /// ([`Error::ContentLengthMismatch`] in the log): the head has promised the length already.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Body, Response};
    ///
    /// // A download of known length, so clients can show how far it has got.
    /// let mut response = Response::bytes(Body::writer(async |mut out| {
    ///     for _ in 0..10 {
    ///         out.write([0u8; 1000]).await?;
    ///     }
    ///     Ok(())
    /// }));
    /// response.set_content_length(10_000);
    /// assert_eq!(response.content_length(), Some(10_000));
    /// ```
    pub fn set_content_length(&mut self, length: u64) {
        if !self.refused {
            self.has_length = true;
            self.content_length = length;
        }
    }

    /// The length that was set; `None` when none was.
    pub fn content_length(&self) -> Option<u64> {
        self.has_length.then_some(self.content_length)
    }

    /// A response without lines of its own: nothing is allocated.
    #[inline]
    fn with_parts(status: StatusCode, content_type: ContentType, body: Body) -> Self {
        Response {
            status,
            closes: false,
            has_date: false,
            has_length: false,
            refused: false,
            aborts: false,
            content_type,
            own_type: None,
            content_length: 0,
            lines: FieldLines::new(),
            upgrade: Upgrade(None),
            body,
        }
    }

    /// Sets or adds a line, unless it is one that is kept as a field or belongs to the server.
    ///
    /// # Errors
    ///
    /// As [`set_header`](Response::set_header).
    fn put_header(&mut self, name: &str, value: &[u8], replaces: bool) -> Result<()> {
        // First, so that a mistake is told whatever becomes of the line.
        check_header(name.as_bytes(), value)?;
        if self.refused {
            return Ok(());
        }
        match Special::of(name.as_bytes()) {
            Special::None => {}
            Special::ContentType => self.content_type = ContentType::None,
            Special::Date => self.has_date = true,
            Special::Connection if value.eq_ignore_ascii_case(b"close") => {
                self.close_connection();
                return Ok(());
            }
            Special::ContentLength => {
                let text = std::str::from_utf8(value).unwrap_or_default();
                // `parse` takes a plus sign, which is no part of the grammar (RFC 9110 8.6).
                let is_digits = text.bytes().all(|b| b.is_ascii_digit());
                let length = text.parse().ok().filter(|_| is_digits);
                let length = length.ok_or(Error::InvalidHeader("Content-Length is no number"))?;
                self.set_content_length(length);
                return Ok(());
            }
            // Keep-alive is the encoder's to announce: it depends on the client, the request's body and a drain.
            Special::Connection => return Err(Error::InvalidHeader("Connection belongs to the server")),
            // The body is framed by the encoder. Two framings in one answer could be read in two ways.
            Special::TransferEncoding => {
                return Err(Error::InvalidHeader("Transfer-Encoding belongs to the server"));
            }
        }
        if replaces {
            self.lines.remove(name.as_bytes());
        }
        self.lines.push(name.as_bytes(), value);
        Ok(())
    }

    /// Has `handler` go on with the stream behind the head.
    pub(crate) fn set_upgrade(&mut self, handler: UpgradeHandler) {
        self.upgrade = Upgrade(Some(Box::new(handler)));
    }

    pub(crate) fn is_upgrade(&self) -> bool {
        self.upgrade.0.is_some()
    }

    /// Takes the handler out; a response has one at most.
    pub(crate) fn take_upgrade(&mut self) -> Option<Box<UpgradeHandler>> {
        self.upgrade.0.take()
    }

    /// Takes a body that is there as a whole.
    pub(crate) fn take_bytes(&mut self) -> Bytes {
        self.body.take_bytes()
    }

    /// Whether a Date was set, so that none is added.
    pub(crate) fn has_date(&self) -> bool {
        self.has_date
    }

    pub(crate) fn content_type(&self) -> ContentType {
        self.content_type
    }

    /// The Content-Type that is not among the lines.
    pub(crate) fn content_type_value(&self) -> Option<&'static [u8]> {
        match self.content_type {
            ContentType::Value => self.own_type.map(str::as_bytes),
            usual => usual.line()?.strip_prefix(b"Content-Type: ")?.strip_suffix(b"\r\n"),
        }
    }

    /// The lines set, each with its CRLF.
    pub(crate) fn lines(&self) -> &[u8] {
        self.lines.as_slice()
    }
}

impl Default for Response {
    /// 200 without a body.
    fn default() -> Self {
        Response::new(StatusCode::OK)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("lines", &self.lines().escape_ascii().to_string())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// A Content-Type that needs no buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ContentType {
    /// None, or one among the lines.
    None,
    Text,
    Html,
    Json,
    Octets,
    /// A text of the program's own.
    Value,
}

impl ContentType {
    // Whole lines, as they are sent. Arrays, because a copy of known length takes half the instructions.
    pub(crate) const TEXT: &[u8; 41] = b"Content-Type: text/plain; charset=utf-8\r\n";
    pub(crate) const HTML: &[u8; 40] = b"Content-Type: text/html; charset=utf-8\r\n";
    pub(crate) const JSON: &[u8; 32] = b"Content-Type: application/json\r\n";
    pub(crate) const OCTETS: &[u8; 40] = b"Content-Type: application/octet-stream\r\n";

    /// The line of a usual type, with its CRLF.
    fn line(self) -> Option<&'static [u8]> {
        Some(match self {
            ContentType::None | ContentType::Value => return None,
            ContentType::Text => Self::TEXT,
            ContentType::Html => Self::HTML,
            ContentType::Json => Self::JSON,
            ContentType::Octets => Self::OCTETS,
        })
    }
}

/// The header names a response has to know about.
enum Special {
    /// Any other.
    None,
    ContentType,
    Date,
    Connection,
    ContentLength,
    TransferEncoding,
}

impl Special {
    /// What `name` is, in any case.
    fn of(name: &[u8]) -> Self {
        // The length rules out nearly every name, so at most one is compared.
        let is = |lower: &[u8]| name.eq_ignore_ascii_case(lower);
        match name.len() {
            4 if is(b"date") => Special::Date,
            10 if is(b"connection") => Special::Connection,
            12 if is(b"content-type") => Special::ContentType,
            14 if is(b"content-length") => Special::ContentLength,
            17 if is(b"transfer-encoding") => Special::TransferEncoding,
            _ => Special::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_in_wire_form_in_the_order_set() {
        let mut response = Response::new(StatusCode::OK);
        response.set_header("X-A", "1").unwrap();
        response.append_header("Set-Cookie", "a=1").unwrap();
        response.append_header("set-cookie", String::from("b=2")).unwrap();
        response.set_header("x-a", b"3").unwrap();
        assert_eq!(response.lines(), b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nx-a: 3\r\n");
        response.remove_header("SET-COOKIE");
        assert_eq!(response.lines(), b"x-a: 3\r\n");
        assert_eq!(response.header("X-A"), Some("3"));
        assert_eq!(response.header("X"), None);
    }

    #[test]
    fn names_and_values_that_could_split_the_response_are_refused() {
        let mut response = Response::text("x");
        for value in ["a\r\nb", "a\rb", "a\nb", "a\0b", "\u{1b}", "\u{7f}"] {
            assert!(response.set_header("X", value).is_err(), "{value:?}");
        }
        for name in ["", "a b", "a:", "a\r\n", "\u{e4}", "(a)"] {
            assert!(response.set_header(name, "v").is_err(), "{name:?}");
        }
        assert!(response.lines().is_empty());
        response.set_header("X", "tab\tand \u{e4}").unwrap();
    }

    #[test]
    fn framing_belongs_to_the_server() {
        let mut response = Response::text("x");
        assert!(response.set_header("Transfer-Encoding", "chunked").is_err());
        assert!(response.set_header("connection", "keep-alive").is_err());
        assert!(response.set_header("Content-Length", "+3").is_err());
        assert!(response.set_header("Content-Length", "").is_err());
        response.set_header("Connection", "Close").unwrap();
        response.set_header("Content-Length", "3").unwrap();
        assert!(response.closes_connection());
        assert_eq!(response.content_length(), Some(3));
        assert!(response.lines().is_empty());
    }

    #[test]
    fn a_removed_connection_line_closes_nothing() {
        let mut response = Response::text("x").with_header("Connection", "close");
        response.remove_header("connection");
        assert!(!response.closes_connection());
        response.close_connection();
        response.remove_header("Connection");
        assert!(!response.closes_connection());
    }

    #[test]
    fn the_largest_length_is_a_length() {
        let mut response = Response::new(StatusCode::OK).with_header("Content-Length", u64::MAX.to_string());
        assert_eq!(response.content_length(), Some(u64::MAX));
        response.remove_header("Content-Length");
        assert_eq!(response.content_length(), None);
        response.set_content_length(u64::MAX);
        assert_eq!(response.content_length(), Some(u64::MAX));
        assert!(response.set_header("Content-Length", "18446744073709551616").is_err());
        assert_eq!(response.content_length(), Some(u64::MAX));
    }

    #[test]
    fn an_invalid_line_in_a_builder_makes_a_500_that_stays() {
        let response = Response::text("secret")
            .with_header("X-A", "1")
            .with_header("X-B", "a\nb")
            .with_header("X-C", "1")
            .with_status(StatusCode::OK);
        let mut response = response;
        response.remove_header("Content-Type");
        response.set_content_length(7);
        assert_eq!(response.header("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(response.content_length(), None);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.body().as_bytes(), Some(&b"500 Internal Server Error\n"[..]));
        assert!(response.lines().is_empty());
    }

    #[test]
    fn a_content_type_replaces_that_of_the_body() {
        let mut response = Response::text("a,b");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        response.set_header("content-type", "text/csv").unwrap();
        let all: Vec<_> = response.headers().collect();
        assert_eq!(all, [("content-type", &b"text/csv"[..])]);
        response.set_content_type("text/x").unwrap();
        assert_eq!(response.headers().count(), 1);
        assert_eq!(response.header("Content-Type"), Some("text/x"));
        assert!(response.set_content_type("a\r\nb").is_err());
        response.remove_header("Content-Type");
        assert_eq!(response.header("content-type"), None);
    }

    #[test]
    fn a_response_without_lines_takes_no_buffer() {
        assert!(!Response::text("x").lines.has_buffer());
        let mut response = Response::default().with_header("A", "1");
        assert!(response.lines.has_buffer());
        response.remove_header("A");
        assert!(response.lines().is_empty());
    }
}
