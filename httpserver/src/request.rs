use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{Method, Version};
use iostream::PeerClosedFuture;

use crate::{
    Body, Headers, Response, ResponseWriter, Result,
    http1::{channel::Channel, head::RequestHead},
};

/// One request: its head, and the way to its body and its client.
///
/// The head is one allocation, whatever the number of headers. Names and values are as the client sent them.
pub struct Request {
    head: RequestHead,
    received_at: Instant,
    body: Body,
}

impl Request {
    pub(crate) fn new(head: RequestHead, channel: Rc<Channel>, serial: u32) -> Request {
        let received_at = channel.now();
        Request { head, received_at, body: Body::new(channel, serial) }
    }

    /// The method, of any name. Methods a service does not know are for it to refuse (501 or 405).
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The request target as sent: `/path?query`, `http://host/path`, `host:port` (CONNECT) or `*` (OPTIONS).
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The path of the target, not percent-decoded, always beginning with `/`; `*` for `OPTIONS *` and empty for CONNECT.
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// [`path`](Request::path) as bytes: spares the look whether they are UTF-8, which costs about ten instructions a byte.
    /// For routing by a `match`.
    pub fn path_bytes(&self) -> &[u8] {
        self.head.path_bytes()
    }

    /// What follows the `?` of the target, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// HTTP/1.1 or HTTP/1.0. A client that speaks a higher minor version counts as 1.1 (RFC 9110 2.5).
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The header lines.
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }

    /// The host the client wants: of the target if it names one, else of the Host header. Checked against the grammar, and
    /// always present in HTTP/1.1, where it may be empty.
    pub fn host(&self) -> Option<&str> {
        self.head.host()
    }

    /// Whether the client keeps the connection open after this request, as far as its head says.
    pub fn is_keep_alive(&self) -> bool {
        self.head.keep_alive
    }

    /// The other end of the connection, if it came through a socket with an address.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.channel().peer()
    }

    /// When the head was complete: the [turn time](crate::IOLoop::turn_time) of the loop then.
    pub fn received_at(&self) -> Instant {
        self.received_at
    }

    /// The body.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Whether the body has been read to its end, or there is none.
    pub fn is_body_end(&self) -> bool {
        self.body.is_end()
    }

    /// The whole body, of at most [`Limits::max_collected_body`](crate::Limits::max_collected_body) (1 MiB by default).
    ///
    /// # Errors
    ///
    /// As [`Body::bytes`].
    pub async fn bytes(&mut self) -> Result<Bytes> {
        let max = self.channel().limits().max_collected_body;
        self.body.bytes(max).await
    }

    /// The whole body, of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// As [`Body::bytes`].
    pub async fn bytes_limited(&mut self, max: usize) -> Result<Bytes> {
        self.body.bytes(max).await
    }

    /// Begins the answer now, with the status and headers of `head`; its body is written piece by piece. Use it for
    /// answers that are long or come over time. The writer's [`finish`](ResponseWriter::finish) gives what the service
    /// returns.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyTaken`](crate::Error::AlreadyTaken) when the answer was begun before.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use httpserver::{HttpServer, Request, Response};
    ///
    /// HttpServer::new(async |mut request: Request| -> httpserver::Result<Response> {
    ///     let mut answer = request.respond(Response::text(""))?;
    ///     for line in ["one\n", "two\n", "three\n"] {
    ///         answer.write(line).await?;
    ///     }
    ///     answer.finish().await
    /// });
    /// ```
    pub fn respond(&mut self, head: Response) -> Result<ResponseWriter> {
        ResponseWriter::begin(Rc::clone(self.channel()), self.body.serial(), head)
    }

    /// Completes when the client has gone: it closed the connection or its sending half, or the connection broke. Never
    /// completes for a client that stays. The future is independent of the request and may be moved into another task.
    ///
    /// A client that sends several requests and then ends its input counts as gone while the first of them is answered.
    pub fn client_gone(&self) -> ClientGone {
        ClientGone { peer_closed: self.channel().stream().peer_closed() }
    }

    /// Whether the client is known to have gone, as [`client_gone`](Request::client_gone) tells it.
    pub fn is_client_gone(&self) -> bool {
        self.channel().stream().is_peer_closed()
    }

    /// Drops the service's future as soon as the client has gone, instead of letting it go on. For answers that wait, such
    /// as long polls: whatever the future holds is freed at once. Off by default, because a client that ended only its
    /// sending half still reads.
    pub fn cancel_on_disconnect(&self) {
        self.channel().cancel_on_disconnect(self.body.serial());
    }

    fn channel(&self) -> &Rc<Channel> {
        self.body.channel()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("target", &self.target())
            .field("version", &self.version())
            .field("headers", self.headers())
            .field("body", &self.body)
            .finish()
    }
}

/// The future of [`Request::client_gone`].
///
/// # Cancel safety
///
/// It consumes nothing; dropping it is harmless.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ClientGone {
    peer_closed: PeerClosedFuture,
}

impl Future for ClientGone {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.peer_closed).poll(cx)
    }
}
