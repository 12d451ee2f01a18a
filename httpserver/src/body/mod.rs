//! Bodies of requests and responses.
//!
//! [`Body`] is the one type for both, so a body received can be sent as it is. `incoming` is the kind that comes over a
//! connection, `writer` the two that are written piece by piece, `file` a part of a file, `stream` the trait for all
//! others; `limited` stands around any of them. `buffer` and `frame` are what bodies are made of.

mod buffer;
mod file;
mod frame;
mod incoming;
mod limited;
mod stream;
mod writer;

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use iostream::FilePart;

use crate::{Error, Result, http1::conn::BodyBounds};
use limited::Limited;

pub use buffer::BodyBuffer;
pub use frame::{Frame, Trailers};
pub(crate) use incoming::{Incoming, IncomingSource, Sink};
pub use stream::BodyStream;
pub use writer::{BodyDriver, BodyWriter};

/// The body of a request or of a response: nothing, bytes, or a stream of pieces.
///
/// A stream is pulled, never pushed. A response's body is asked for the next piece when the connection has room, and a
/// request's body is received when it is asked for, so either end slows the other down. Nothing is read ahead.
///
/// | made by | what it is |
/// |---|---|
/// | [`Body::empty`] | nothing |
/// | `Body::from` a string or bytes | bytes that are all there; a short answer leaves in one buffer with its head |
/// | `Body::from` a [`BodyBuffer`] | the same, in memory that is used again |
/// | [`Body::writer`] | what an async closure writes, piece by piece |
/// | [`Body::channel`] | what another task writes |
/// | [`Body::file`] | a part of a file, sent by the kernel where it can be |
/// | [`Body::stream`] | what a [`BodyStream`] of your own returns |
/// | a server, for each request | what the client sends, from the connection |
///
/// The body of a request may be returned as that of its answer: it is passed through as it comes.
///
/// # Examples
///
/// ```
/// use httpserver::{Body, IOLoop};
///
/// let mut body = Body::writer(async |mut out| {
///     out.write("Hello, ").await?;
///     out.write("world").await
/// });
/// assert_eq!(IOLoop::current().run_sync(body.bytes(100))?, "Hello, world");
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Default)]
pub struct Body {
    kind: Kind,
}

#[derive(Default)]
enum Kind {
    /// Nothing, or bytes that have been read.
    #[default]
    Empty,
    /// All there is, perhaps shared with others.
    Bytes(Bytes),
    /// All there is, in a buffer that returns to its pool.
    Buffer(BodyBuffer),
    /// A part of a file, not empty. Boxed, because few bodies are one.
    File(Box<FilePart>),
    /// Anything that is polled. Boxed, because its size is not known.
    Stream(Pin<Box<dyn BodyStream>>),
    /// Nothing more, behind a stream whose trailers the reader of its data has met.
    Trailers(Trailers),
    /// What a peer sends. Not boxed as a stream, because every request with a body would pay for that.
    Incoming(Incoming),
    /// Boxed, because few bodies have a limit of their own.
    Limited(Box<Limited>),
    /// Too long for a reader of it. Not of a body that a peer sends: there the connection remembers.
    Failed(Box<Error>),
}

impl Body {
    /// No body.
    pub const fn empty() -> Body {
        Body { kind: Kind::Empty }
    }

    /// A body that is pulled from `source`. One allocation, for the box.
    pub fn stream(source: impl BodyStream) -> Body {
        Body { kind: Kind::Stream(Box::pin(source)) }
    }

    /// The body of a message that comes over a connection.
    pub(crate) fn incoming(incoming: Incoming) -> Body {
        Body { kind: Kind::Incoming(incoming) }
    }

    /// The next piece of data, or `None` at the end. A piece that comes from a client has 1 to 65,536 bytes and is what
    /// has arrived; it says nothing about the pieces in which the client sent it. Trailers stay in the body; see
    /// [`take_trailers`](Body::take_trailers).
    ///
    /// # Errors
    ///
    /// Of a request's body: [`Error::BadRequest`] for a malformed chunk, [`Error::BodyTooLarge`] beyond
    /// [`Limits::max_body`](crate::Limits::max_body), [`Error::BodyTimeout`] and [`Error::BodyTooSlow`] when too little
    /// came, [`Error::IncompleteBody`] when the client ended its input in the middle, [`Error::Closed`] when the
    /// connection broke, and [`Error::AlreadyTaken`] when the request has been answered. The first failure stays: later
    /// calls repeat it. After it the connection is closed with the answer; a service that returns the error as its
    /// answer gives the client the right status.
    ///
    /// Of any other body: the error of its source, and [`Error::BodyTooLarge`] beyond a [limit](Body::limit).
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{IOLoop, Request, Result};
    ///
    /// /// Counts an upload of any size without holding it.
    /// async fn count(mut request: Request) -> Result<String> {
    ///     let mut length = 0;
    ///     while let Some(chunk) = request.body_mut().chunk().await? {
    ///         length += chunk.len();
    ///     }
    ///     Ok(format!("{length} bytes\n"))
    /// }
    ///
    /// let request = Request::builder().body("twelve bytes").build()?;
    /// assert_eq!(IOLoop::current().run_sync(count(request))?, "12 bytes\n");
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.begin_wait();
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// [`chunk`](Body::chunk) for hand-written futures.
    ///
    /// # Errors
    ///
    /// As [`chunk`](Body::chunk).
    #[inline]
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if let Kind::Trailers(_) = self.kind {
            return Poll::Ready(Ok(None));
        }
        // An empty piece is allowed and would look like news, so it is passed over.
        loop {
            match ready!(self.poll_frame(cx)) {
                None => return Poll::Ready(Ok(None)),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(Frame::Data(data))) if !data.is_empty() => return Poll::Ready(Ok(Some(data))),
                Some(Ok(Frame::Data(_))) => {}
                // Nothing follows them, so they may take the place of what they came from.
                Some(Ok(Frame::Trailers(trailers))) => {
                    self.kind = Kind::Trailers(trailers);
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }

    /// The next piece, data or trailers; `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`chunk`](Body::chunk).
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Bytes(_) => {
                let Kind::Bytes(bytes) = mem::take(&mut self.kind) else { return Poll::Ready(None) };
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::Data(bytes))))
            }
            // A piece is `Bytes`, so a pooled buffer has to become that. Only a reader comes here; a connection that
            // sends such a body takes its bytes where they are.
            Kind::Buffer(_) => {
                self.kind = Kind::Bytes(self.take_bytes());
                self.poll_frame(cx)
            }
            Kind::File(part) => Poll::Ready(part.read().map(|piece| piece.map(Frame::Data).map_err(Error::other))),
            Kind::Stream(stream) => stream.as_mut().poll_frame(cx),
            Kind::Trailers(_) => Poll::Ready(self.take_trailers().map(|trailers| Ok(Frame::Trailers(trailers)))),
            Kind::Incoming(incoming) => incoming.poll_frame(cx),
            Kind::Limited(limited) => limited.poll_frame(cx),
            Kind::Failed(error) => Poll::Ready(Some(Err(Error::clone(error)))),
        }
    }

    /// The trailers behind the body, once its end has been read; `None` when there are none, and when they have been taken
    /// already.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, IOLoop, Request, Response, Result, iostream::memory};
    ///
    /// let server = HttpServer::new(async |mut request: Request| -> Result<Response> {
    ///     let body = request.bytes().await?;
    ///     let trailers = request.body_mut().take_trailers().unwrap_or_default();
    ///     Ok(Response::text(format!("{} bytes, {:?}", body.len(), trailers.get("x-checksum"))))
    /// });
    /// let (theirs, ours) = memory::pair(64 * 1024);
    /// let answer = IOLoop::current().run_sync(async {
    ///     IOLoop::current().spawn_detached(async move { server.serve_stream(theirs, None).await });
    ///     ours.write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    ///     ours.write("3\r\nabc\r\n0\r\nX-Checksum: 7\r\n\r\n").await?;
    ///     ours.read_until_close().await
    /// })?;
    /// assert!(answer.ends_with(b"3 bytes, Some([55])"));
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn take_trailers(&mut self) -> Option<Trailers> {
        match &mut self.kind {
            Kind::Trailers(_) => match mem::take(&mut self.kind) {
                Kind::Trailers(trailers) => Some(trailers),
                _ => None,
            },
            Kind::Incoming(incoming) => incoming.take_trailers(),
            Kind::Limited(limited) => limited.body.take_trailers(),
            Kind::Empty | Kind::Bytes(_) | Kind::Buffer(_) | Kind::File(_) | Kind::Stream(_) | Kind::Failed(_) => None,
        }
    }

    /// The rest of the body in one piece, of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::BodyTooLarge`] when it is longer than `max`, at once if the length is known beforehand; otherwise as
    /// [`chunk`](Body::chunk).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was collected is lost with the future.
    pub async fn bytes(&mut self, max: usize) -> Result<Bytes> {
        let announced = self.content_length();
        // Before the first byte is read: a client that waits for `100 Continue` then need not send it.
        if announced.is_some_and(|length| length > max as u64) {
            return Err(self.give_up(Error::BodyTooLarge { limit: max as u64 }));
        }
        match &mut self.kind {
            Kind::Empty | Kind::Trailers(_) => Ok(Bytes::new()),
            Kind::Bytes(_) | Kind::Buffer(_) => Ok(self.take_bytes()),
            Kind::Incoming(incoming) => incoming.bytes(max, announced).await,
            Kind::File(_) | Kind::Stream(_) | Kind::Limited(_) | Kind::Failed(_) => self.collect(max).await,
        }
    }

    /// Whether the end has been reached. True from the start when there is no body, and false for a stream whose end has
    /// not been met, and while there are trailers to take.
    #[inline]
    pub fn is_end(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::Buffer(buffer) => buffer.is_empty(),
            Kind::File(part) => part.is_empty(),
            Kind::Stream(stream) => stream.exact_size() == Some(0),
            Kind::Incoming(incoming) => incoming.is_end(),
            Kind::Limited(limited) => limited.is_end(),
            Kind::Trailers(_) | Kind::Failed(_) => false,
        }
    }

    /// The bytes that are there as a whole; `None` for a stream, whose bytes are still to come.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Empty => Some(&[]),
            Kind::Bytes(bytes) => Some(bytes),
            Kind::Buffer(buffer) => Some(buffer.as_slice()),
            Kind::File(_)
            | Kind::Stream(_)
            | Kind::Trailers(_)
            | Kind::Incoming(_)
            | Kind::Limited(_)
            | Kind::Failed(_) => None,
        }
    }

    /// Another handle to the bytes that are there as a whole, which stay in the body; `None` for a stream. Costs an
    /// allocation for the first handle and none for more.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut body = httpserver::Body::from("Hello");
    /// assert_eq!(body.share_bytes().as_deref(), Some(&b"Hello"[..]));
    /// assert_eq!(body.content_length(), Some(5));
    /// ```
    #[inline]
    pub fn share_bytes(&mut self) -> Option<Bytes> {
        match &self.kind {
            Kind::Empty => Some(Bytes::new()),
            Kind::Bytes(bytes) => Some(bytes.clone()),
            Kind::Buffer(_) => {
                let bytes = self.take_bytes();
                self.kind = Kind::Bytes(bytes.clone());
                Some(bytes)
            }
            Kind::File(_)
            | Kind::Stream(_)
            | Kind::Trailers(_)
            | Kind::Incoming(_)
            | Kind::Limited(_)
            | Kind::Failed(_) => None,
        }
    }

    /// The length in bytes as far as it is known: of bytes their number, of a request's body its `Content-Length`, of a
    /// stream what [`BodyStream::exact_size`] says. `None` for a chunked request, and for a request that has been
    /// answered.
    pub fn content_length(&self) -> Option<u64> {
        match &self.kind {
            Kind::Empty => Some(0),
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::Buffer(buffer) => Some(buffer.as_slice().len() as u64),
            Kind::File(part) => Some(part.len()),
            Kind::Stream(stream) => stream.exact_size(),
            Kind::Incoming(incoming) => incoming.content_length(),
            Kind::Limited(limited) => limited.content_length(),
            Kind::Trailers(_) | Kind::Failed(_) => None,
        }
    }

    /// Sets the longest time without a byte, in place of [`Limits::body_timeout`](crate::Limits::body_timeout), for the body
    /// that a client sends with this request. It holds from the next read on, and also for what the service leaves unread.
    /// Any other body has no time-outs, and is left alone.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use httpserver::{Request, Result};
    ///
    /// /// Takes what a sensor sends now and then, all day long.
    /// async fn readings(mut request: Request) -> Result<String> {
    ///     let body = request.body_mut();
    ///     body.set_timeout(Duration::from_secs(600));
    ///     body.set_total_timeout(Duration::from_secs(24 * 3600));
    ///     body.set_min_rate(0);
    ///     let mut length = 0;
    ///     while let Some(reading) = body.chunk().await? {
    ///         length += reading.len();
    ///     }
    ///     Ok(format!("{length} bytes\n"))
    /// }
    /// # drop(readings(Request::builder().build()?));
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn set_timeout(&mut self, silence: Duration) {
        self.set_bounds(&|bounds| bounds.timeout = Some(silence));
    }

    /// Sets the longest time for the whole body, in place of [`Limits::request_timeout`](crate::Limits::request_timeout):
    /// as [`set_timeout`](Body::set_timeout) otherwise.
    #[inline]
    pub fn set_total_timeout(&mut self, total: Duration) {
        self.set_bounds(&|bounds| bounds.total_timeout = Some(total));
    }

    /// Sets the slowest rate in bytes per second, in place of [`Limits::min_body_rate`](crate::Limits::min_body_rate); 0 is
    /// none. As [`set_timeout`](Body::set_timeout) otherwise.
    #[inline]
    pub fn set_min_rate(&mut self, rate: u32) {
        self.set_bounds(&|bounds| bounds.min_rate = Some(rate));
    }

    #[inline]
    fn set_bounds(&mut self, set: &dyn Fn(&mut BodyBounds)) {
        match &mut self.kind {
            Kind::Incoming(incoming) => incoming.set_bounds(set),
            Kind::Limited(limited) => limited.body.set_bounds(set),
            _ => {}
        }
    }

    /// Goes on with a source that is at work while the receiver takes nothing more; see
    /// [`BodyStream::poll_progress`].
    pub fn poll_progress(&mut self, cx: &mut Context<'_>) {
        match &mut self.kind {
            Kind::Stream(stream) => stream.as_mut().poll_progress(cx),
            Kind::Limited(limited) => limited.body.poll_progress(cx),
            Kind::Empty
            | Kind::Bytes(_)
            | Kind::Buffer(_)
            | Kind::File(_)
            | Kind::Trailers(_)
            | Kind::Incoming(_)
            | Kind::Failed(_) => {}
        }
    }

    /// Tells the source that nobody receives its pieces any more. True when it wants to be polled to its end
    /// nevertheless; see [`BodyStream::receiver_gone`].
    pub fn receiver_gone(&mut self, error: &Error) -> bool {
        match &mut self.kind {
            Kind::Stream(stream) => stream.as_mut().receiver_gone(error),
            Kind::Limited(limited) => limited.body.receiver_gone(error),
            Kind::Empty
            | Kind::Bytes(_)
            | Kind::Buffer(_)
            | Kind::File(_)
            | Kind::Trailers(_)
            | Kind::Incoming(_)
            | Kind::Failed(_) => false,
        }
    }

    /// The time-outs of a body that a client sends run from here: the time since an earlier read was given up does not
    /// count.
    fn begin_wait(&self) {
        match &self.kind {
            Kind::Incoming(incoming) => incoming.begin_wait(),
            Kind::Limited(limited) => limited.body.begin_wait(),
            Kind::Empty
            | Kind::Bytes(_)
            | Kind::Buffer(_)
            | Kind::File(_)
            | Kind::Stream(_)
            | Kind::Trailers(_)
            | Kind::Failed(_) => {}
        }
    }

    /// Nobody will read the rest. Later reads repeat what is returned: `error`, or the failure there was before.
    fn give_up(&mut self, error: Error) -> Error {
        match &mut self.kind {
            Kind::Incoming(incoming) => incoming.give_up(error),
            Kind::Limited(limited) => limited.give_up(error),
            Kind::Failed(first) => Error::clone(first),
            Kind::Empty | Kind::Bytes(_) | Kind::Buffer(_) | Kind::File(_) | Kind::Stream(_) | Kind::Trailers(_) => {
                self.kind = Kind::Failed(Box::new(error.clone()));
                error
            }
        }
    }

    /// [`bytes`](Body::bytes) of a body that is polled piece by piece.
    async fn collect(&mut self, max: usize) -> Result<Bytes> {
        let mut collected = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            // Collected never has more than `max`, so this cannot wrap.
            if chunk.len() > max - collected.len() {
                return Err(self.give_up(Error::BodyTooLarge { limit: max as u64 }));
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(collected))
    }

    /// Takes the body if it is there as a whole, and leaves it empty. Of any other kind it takes nothing.
    pub(crate) fn take_bytes(&mut self) -> Bytes {
        match &mut self.kind {
            Kind::Bytes(bytes) => mem::take(bytes),
            Kind::Buffer(buffer) => mem::take(buffer).into_bytes(),
            _ => Bytes::new(),
        }
    }

    /// The length to announce for a stream; `None` for one that does not tell, and for the rest of a request's body, of
    /// which some may have been read.
    pub(crate) fn size_to_send(&self) -> Option<u64> {
        match &self.kind {
            Kind::File(part) => Some(part.len()),
            Kind::Stream(stream) => stream.exact_size(),
            _ => None,
        }
    }

    /// Whether it is a body that comes over a connection, with nothing but limits around it.
    pub(crate) fn is_incoming(&self) -> bool {
        match &self.kind {
            Kind::Incoming(_) => true,
            Kind::Limited(limited) => limited.body.is_incoming(),
            Kind::Empty
            | Kind::Bytes(_)
            | Kind::Buffer(_)
            | Kind::File(_)
            | Kind::Stream(_)
            | Kind::Trailers(_)
            | Kind::Failed(_) => false,
        }
    }

    /// Whether it has to be polled. One that failed has to be, too: its error is told to the reader.
    pub(crate) fn is_streamed(&self) -> bool {
        !matches!(self.kind, Kind::Empty | Kind::Bytes(_) | Kind::Buffer(_))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    #[inline]
    fn from(bytes: T) -> Self {
        Body { kind: Kind::Bytes(bytes.into()) }
    }
}

impl From<BodyBuffer> for Body {
    #[inline]
    fn from(buffer: BodyBuffer) -> Self {
        Body { kind: Kind::Buffer(buffer) }
    }
}

impl fmt::Debug for Body {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::Bytes(bytes) => f.debug_tuple("Body").field(bytes).finish(),
            Kind::Buffer(buffer) => f.debug_tuple("Body").field(buffer).finish(),
            Kind::File(part) => f.debug_tuple("Body").field(part).finish(),
            Kind::Stream(_) => f.write_str("Body(stream)"),
            Kind::Incoming(incoming) => write!(f, "Body(incoming, end: {})", incoming.is_end()),
            Kind::Trailers(trailers) => f.debug_tuple("Body").field(trailers).finish(),
            Kind::Limited(limited) => limited.body.fmt(f),
            Kind::Failed(error) => write!(f, "Body(failed: {error})"),
        }
    }
}
