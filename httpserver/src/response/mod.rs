//! Answers as values: a head in wire form, and a body of any kind.
//!
//! Everything about an answer is in one [`Response`], so a wrap sees all of it, and the connection encodes it by
//! reference. The value is kept small, because every connection has room for one and moves are dear: what few answers
//! have is boxed, and what nearly all have, a Content-Type of the usual kinds, takes no buffer.
//!
//! Lines that frame the message are not kept among the others. They are fields here and are written by the encoder, so
//! that a program cannot announce one length and send another.
//!
//! `lines` sets and reads header lines, and `content_type` has those of the usual kinds.

mod content_type;
mod lines;

use std::{fmt, mem};

use bytes::Bytes;
use http::StatusCode;

use crate::{Body, Result, field_lines::FieldLines, upgrade::UpgradeHandler};

pub(crate) use content_type::ContentType;

/// An answer: status, header lines and a [`Body`].
///
/// Header lines are kept as they will be sent, in a buffer that is pooled per thread; a response without lines of its
/// own has none. The server adds what belongs to the message as such: `Date` (unless set), `Content-Length`,
/// `Transfer-Encoding` and `Connection`. There is no `Server` header unless you set one, here or for the whole server
/// ([`HttpServer::server_header`](crate::HttpServer::server_header)).
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
    /// What few answers have, a bit each: nearly all are known by their being 0.
    marks: u8,
    /// The Content-Type that comes with the kind of body. None also when one was set among the lines.
    content_type: ContentType,
    /// All other lines, checked and as they will be sent.
    lines: FieldLines,
    /// Boxed, because every connection has room for an answer, and moves are dear.
    rare: Rare,
    body: Body,
}

/// The bits of a response's marks.
mod mark {
    /// `Connection: close` was asked for.
    pub(super) const CLOSES: u8 = 1;
    /// There is a Date among the lines.
    pub(super) const HAS_DATE: u8 = 1 << 1;
    /// A length was given.
    pub(super) const HAS_LENGTH: u8 = 1 << 2;
    /// An invalid header was given to a builder: the answer is a 500 and stays one.
    pub(super) const REFUSED: u8 = 1 << 3;
    /// Nothing is sent, not even the head; see [`Response::abort`](super::Response::abort).
    pub(super) const ABORTS: u8 = 1 << 4;
    /// Another protocol follows the head.
    pub(super) const UPGRADES: u8 = 1 << 5;
}

/// What hardly any response has, so that looking for it is all that dropping a response costs.
#[derive(Default)]
struct Rare(Option<Box<RareParts>>);

#[derive(Default)]
struct RareParts {
    /// That of [`ContentType::Value`].
    own_type: Option<&'static str>,
    /// The length given, if there is one.
    content_length: u64,
    /// Another protocol follows the head instead of the body; see [`Request::upgrade`](crate::Request::upgrade).
    upgrade: Option<Box<UpgradeHandler>>,
}

impl Rare {
    #[inline]
    fn parts(&mut self) -> &mut RareParts {
        self.0.get_or_insert_default()
    }
}

impl Drop for Rare {
    #[inline]
    fn drop(&mut self) {
        if let Some(parts) = self.0.take() {
            drop_rare(parts);
        }
    }
}

/// Out of line, so that the drop of a usual response is one comparison.
#[cold]
fn drop_rare(parts: Box<RareParts>) {
    drop(parts);
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

    /// [`json_bytes`](Response::json_bytes) with `Cache-Control: no-store`: JSON of which nobody is to keep a copy, such as
    /// the state of this moment.
    ///
    /// The line costs nothing here, and a buffer when it is set as others are. It can be changed and removed like any other.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut response = httpserver::Response::uncached_json_bytes("[]");
    /// assert_eq!(response.header("Content-Type"), Some("application/json"));
    /// assert_eq!(response.header("Cache-Control"), Some("no-store"));
    /// response.set_header("Cache-Control", "max-age=1")?;
    /// assert_eq!(response.headers().count(), 2);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn uncached_json_bytes(body: impl Into<Body>) -> Self {
        Response::with_parts(StatusCode::OK, ContentType::UncachedJson, body.into())
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
        response.mark(mark::ABORTS, true);
        response
    }

    /// Whether this is [`abort`](Response::abort).
    pub fn is_abort(&self) -> bool {
        self.is_marked(mark::ABORTS)
    }

    /// 101 Switching Protocols with `Upgrade: protocol`: the head for [`Request::upgrade`](crate::Request::upgrade).
    /// Returned in any other way it is a mistake, and the client gets a 500.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`](crate::Error::InvalidHeader) when `protocol` cannot be the value of a header.
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
        if !self.is_marked(mark::REFUSED) {
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
        if !self.is_marked(mark::REFUSED) {
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

    /// Sends `Connection: close` and closes the connection after this response.
    pub fn close_connection(&mut self) {
        self.mark(mark::CLOSES, true);
    }

    /// Whether the connection is closed after this response.
    pub fn closes_connection(&self) -> bool {
        self.is_marked(mark::CLOSES)
    }

    /// Announces the length in bytes of a streamed body, or of the one that a HEAD request did not ask for.
    ///
    /// The length of a body that is there as a whole is known and wins. A response that announces a length and has no
    /// body is a mistake unless it answers HEAD or is a 304; it is answered 500 and logged.
    ///
    /// Of a stream exactly so many bytes are sent. With more or fewer the connection ends in the middle of the answer
    /// ([`Error::ContentLengthMismatch`](crate::Error::ContentLengthMismatch) in the log): the head has promised the length already.
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
        if !self.is_marked(mark::REFUSED) {
            self.mark(mark::HAS_LENGTH, true);
            self.rare.parts().content_length = length;
        }
    }

    /// The length that was set; `None` when none was.
    pub fn content_length(&self) -> Option<u64> {
        let parts = self.rare.0.as_deref().filter(|_| self.is_marked(mark::HAS_LENGTH))?;
        Some(parts.content_length)
    }

    /// A response without lines of its own: nothing is allocated.
    #[inline]
    fn with_parts(status: StatusCode, content_type: ContentType, body: Body) -> Self {
        Response { status, marks: 0, content_type, lines: FieldLines::new(), rare: Rare(None), body }
    }

    #[inline]
    fn is_marked(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    #[inline]
    fn mark(&mut self, mark: u8, on: bool) {
        self.marks = if on { self.marks | mark } else { self.marks & !mark };
    }

    /// Whether it is a 200 of which there is nothing else to know than its type, its lines and a body that is there.
    #[inline(always)]
    pub(crate) fn is_usual(&self) -> bool {
        self.status == StatusCode::OK && self.marks == 0 && !self.body.is_streamed()
    }

    /// Has `handler` go on with the stream behind the head.
    pub(crate) fn set_upgrade(&mut self, handler: UpgradeHandler) {
        self.mark(mark::UPGRADES, true);
        self.rare.parts().upgrade = Some(Box::new(handler));
    }

    pub(crate) fn is_upgrade(&self) -> bool {
        self.is_marked(mark::UPGRADES)
    }

    /// Takes the handler out; a response has one at most.
    pub(crate) fn take_upgrade(&mut self) -> Option<Box<UpgradeHandler>> {
        self.mark(mark::UPGRADES, false);
        self.rare.0.as_deref_mut()?.upgrade.take()
    }

    /// Takes a body that is there as a whole.
    pub(crate) fn take_bytes(&mut self) -> Bytes {
        self.body.take_bytes()
    }
}

impl Default for Response {
    /// 200 without a body.
    fn default() -> Self {
        Response::new(StatusCode::OK)
    }
}

impl fmt::Debug for Response {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("lines", &self.lines().escape_ascii().to_string())
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
