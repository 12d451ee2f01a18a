//! Requests as a service sees them.
//!
//! A [`Request`] owns its head and, with it, all text that it returns. The connection is shared: the body is read
//! through it, and the client's departure is asked of it. A request that is kept beyond its answer finds out by its
//! serial, and does nothing to the next one.

use std::{
    cell::OnceCell,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use iostream::{IOLoop, IOStream, PeerClosedFuture};

use crate::{
    Body, Draining, Error, Extensions, Headers, Limits, Patience, RequestBuilder, Response, Result, ServerMetrics,
    client_info::{Built, BuiltClient},
    http1::{request_head::RequestHead, server::ServerConn},
    upgrade::{self, UpgradedConnection},
};

/// One request: its head, its body, and the way to its client.
///
/// The head is one allocation, whatever the number of headers. Names and values are as the client sent them.
///
/// A request need not come from a connection: [`builder`](Request::builder) makes one for a call in the same process, by a
/// test or by an adapter from another protocol. It is answered by the same [`Service`](crate::Service).
///
/// # Examples
///
/// ```
/// use httpserver::{IOLoop, Request, Response, Service};
///
/// let service = async |request: Request| Response::text(format!("Hello from {}\n", request.path()));
/// let text = IOLoop::current().run_sync(async {
///     let request = Request::builder().target("/there").build()?;
///     Service::call(&service, request).await.body_mut().bytes(1000).await
/// })?;
/// assert_eq!(text, "Hello from /there\n");
/// # Ok::<_, httpserver::Error>(())
/// ```
pub struct Request {
    head: RequestHead,
    /// `None` is the empty one: most requests have none, and nothing to look at when they are dropped. Boxed for the same
    /// reason: a request that waits keeps the room.
    body: Option<Box<Body>>,
    pub(crate) origin: Origin,
    /// Made when somebody asks for it.
    extensions: OnceCell<Extensions>,
}

/// Where a request came from.
pub(crate) enum Origin {
    /// By a connection of a server.
    Connection {
        /// Asked for the peer, the limits, and whether the client has gone.
        conn: Rc<ServerConn>,
        /// Which request of the connection it is: one kept for longer than its answer must not touch the next.
        serial: u32,
        /// When the head was complete, as the loop counts.
        received_at: u64,
    },
    /// Made in this process.
    Built(Box<Built>),
}

impl Request {
    /// Begins a request that comes from no connection; `GET /` unless told otherwise.
    pub fn builder() -> RequestBuilder {
        RequestBuilder::new()
    }

    /// The request that `conn` has in hand. Takes its head.
    ///
    /// # Panics
    ///
    /// Without a head.
    #[inline(always)]
    pub(crate) fn received(head: &mut Option<RequestHead>, conn: &Rc<ServerConn>) -> Request {
        // Most requests have no body, and nothing to count a reference for.
        let body = if conn.is_body_done() { None } else { Some(Box::new(conn.incoming_body())) };
        // The turn time, which costs no reading of the clock.
        let (serial, received_at) = (conn.serial(), conn.turn_nanos());
        // Last, so that nothing is written between taking it and putting it down: the compiler moves it once then. The
        // origin is put together where it stays, too: a processor waits for what is read in one piece right after it was
        // written in several.
        let head = head.take().expect("a request has a head");
        let origin = Origin::Connection { conn: Rc::clone(conn), serial, received_at };
        Request { head, body, origin, extensions: OnceCell::new() }
    }

    /// A request that comes from no connection.
    #[inline]
    pub(crate) fn built(head: RequestHead, body: Body, client: BuiltClient) -> Request {
        let received_at = IOLoop::current().turn_time();
        Request {
            head,
            body: Some(Box::new(body)),
            origin: Origin::Built(Box::new(Built { received_at, client })),
            extensions: OnceCell::new(),
        }
    }

    /// The method, of any name. Methods a service does not know are for it to refuse (501 or 405).
    #[inline]
    pub fn method(&self) -> &Method {
        self.head.method()
    }

    /// The request target as sent: `/path?query`, `http://host/path`, `host:port` (CONNECT) or `*` (OPTIONS).
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The path of the target, not percent-decoded, always beginning with `/`; `*` for `OPTIONS *` and empty for CONNECT.
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// [`path`](Request::path) as bytes: spares the check for UTF-8, which costs about ten instructions a byte. For
    /// routing by a `match`.
    #[inline]
    pub fn path_bytes(&self) -> &[u8] {
        self.head.path_bytes()
    }

    /// What follows the `?` of the target, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// The query as bytes, which are not looked at; empty when there is none.
    #[inline]
    pub(crate) fn query_bytes(&self) -> &[u8] {
        self.head.query_bytes()
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
    /// always present in HTTP/1.1.
    pub fn host(&self) -> Option<&str> {
        self.head.host()
    }

    /// [`host`](Request::host) without its port, with the brackets of an IPv6 address. Compare it without regard to case.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::Request;
    ///
    /// let request = Request::builder().header("Host", "example.com:8080").build()?;
    /// assert_eq!(request.host_name(), Some("example.com"));
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn host_name(&self) -> Option<&str> {
        let host = self.host()?;
        // The colons of an IPv6 address are in front of a bracket.
        let port = host.rfind(':').filter(|at| !host.as_bytes()[*at..].contains(&b']'));
        Some(port.map_or(host, |at| &host[..at]))
    }

    /// Whether the client keeps the connection open after this request, as far as its head says.
    pub fn is_keep_alive(&self) -> bool {
        self.head.keep_alive
    }

    /// Whether the client asks for another protocol on this connection: by `Upgrade` and `Connection: upgrade` in
    /// HTTP/1.1, or by CONNECT. See [`upgrade`](Request::upgrade).
    pub fn is_upgrade(&self) -> bool {
        self.head.upgrade || self.head.is_connect()
    }

    /// When the head was complete: the [turn time](crate::IOLoop::turn_time) of the loop then.
    pub fn received_at(&self) -> Instant {
        match &self.origin {
            Origin::Connection { conn, received_at, .. } => conn.instant(*received_at),
            Origin::Built(built) => built.received_at,
        }
    }

    /// Values that travel with the request, one of each type. The set is allocated by the first call.
    pub fn extensions(&self) -> &Extensions {
        self.extensions.get_or_init(Extensions::default)
    }

    /// The body.
    pub fn body_mut(&mut self) -> &mut Body {
        self.body.get_or_insert_default()
    }

    /// Takes the body out and leaves none: to pass it on, or to put something around it.
    pub fn take_body(&mut self) -> Body {
        self.body.take().map_or_else(Body::empty, |body| *body)
    }

    /// Replaces the body: a wrap that decompresses it, for example, puts its own in place of the one it took.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.body = Some(Box::new(body.into()));
    }

    /// Whether the body has been read to its end, or there is none.
    pub fn is_body_end(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end())
    }

    /// The whole body, of at most [`Limits::max_collected_body`] (1 MiB by default).
    ///
    /// # Errors
    ///
    /// As [`Body::bytes`].
    ///
    /// # Cancel safety
    ///
    /// As [`Body::bytes`].
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{IOLoop, Request, Response, Result};
    ///
    /// /// A body that is too long, too slow or cut short is answered by the status of its error.
    /// async fn echo(mut request: Request) -> Result<Response> {
    ///     Ok(Response::bytes(request.bytes().await?))
    /// }
    ///
    /// let answer = IOLoop::current().run_sync(echo(Request::builder().body("hello").build()?))?;
    /// assert_eq!(answer.body().as_bytes(), Some(&b"hello"[..]));
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    pub async fn bytes(&mut self) -> Result<Bytes> {
        let max = match &self.origin {
            Origin::Connection { conn, .. } => conn.limits().max_collected_body,
            Origin::Built(_) => Limits::DEFAULT_MAX_COLLECTED_BODY,
        };
        self.body_mut().bytes(max).await
    }

    /// The whole body, of at most `max` bytes, instead of [`Limits::max_collected_body`]. It cannot raise
    /// [`Limits::max_body`], by which the head was judged already.
    ///
    /// # Errors
    ///
    /// As [`Body::bytes`].
    ///
    /// # Cancel safety
    ///
    /// As [`Body::bytes`].
    pub async fn bytes_limited(&mut self, max: usize) -> Result<Bytes> {
        self.body_mut().bytes(max).await
    }

    /// Makes the answer that turns the connection over to another protocol: `head` is sent, then `protocol` is given the
    /// stream, with whatever the client has sent behind its request still in it.
    ///
    /// `head` is a 101, such as [`Response::switching_protocols`], or any 2xx for CONNECT. The connection stays one of its
    /// server's while `protocol` runs: it counts in [`ServerHandle::connections`](crate::ServerHandle::connections), a
    /// drain waits for it, and is over for it at its deadline. It ends when `protocol` returns; what was written is still
    /// sent. The time-outs of HTTP no longer apply.
    ///
    /// # Errors
    ///
    /// [`Error::NotUpgradable`] when the request did not ask for it, or when its body has not been read to the end;
    /// [`Error::InvalidHeader`] when the status of `head` does not switch protocols.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, IOLoop, IOStream, Request, Response};
    ///
    /// // After the upgrade every line is echoed.
    /// let server = HttpServer::new(async |request: Request| -> httpserver::Result<Response> {
    ///     request.upgrade(Response::switching_protocols("echo")?, async |stream: IOStream| {
    ///         while let Ok(line) = stream.read_until(b"\n").max_bytes(1000).await {
    ///             let _ = stream.write(line).await;
    ///         }
    ///     })
    /// });
    /// let addr = server.listen(("127.0.0.1", 0))?.local_addr();
    /// let echo = IOLoop::current().run_sync(async {
    ///     let client = IOStream::connect(addr).await?;
    ///     client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello\n").await?;
    ///     let head = client.read_until(b"\r\n\r\n").await?;
    ///     assert!(head.starts_with(b"HTTP/1.1 101 "));
    ///     client.read_until(b"\n").await
    /// })?;
    /// assert_eq!(echo, "hello\n");
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    pub fn upgrade(&self, head: Response, protocol: impl AsyncFnOnce(IOStream) + 'static) -> Result<Response> {
        // No async closure: its future would have room for the connection beside that of the protocol.
        self.upgrade_connection(head, move |connection: UpgradedConnection| protocol(connection.stream().clone()))
    }

    /// As [`upgrade`](Request::upgrade), for a protocol that wants to hear of a [drain](crate::ServerHandle::drain), and has
    /// its own future for that: it is given the [`UpgradedConnection`].
    ///
    /// # Errors
    ///
    /// As [`upgrade`](Request::upgrade).
    #[inline]
    pub fn upgrade_connection(
        &self,
        mut head: Response,
        protocol: impl AsyncFnOnce(UpgradedConnection) + 'static,
    ) -> Result<Response> {
        // What is left of a body would be the first thing that the other protocol reads.
        if !self.is_upgrade() || !self.is_body_end() {
            return Err(Error::NotUpgradable);
        }
        let switches = match *self.method() == Method::CONNECT {
            true => head.status().is_success(),
            false => head.status() == StatusCode::SWITCHING_PROTOCOLS,
        };
        if !switches {
            return Err(Error::InvalidHeader("the status does not switch protocols"));
        }
        head.set_upgrade(upgrade::boxed(protocol));
        Ok(head)
    }

    /// Sends an informational response at once, ahead of the answer, as often as there is something to tell: 103 Early Hints
    /// with the `Link` lines of what the client will need, or 102 Processing. A service that wraps another one may call it
    /// before it passes the request on.
    ///
    /// Status and header lines of `head` are sent, and nothing else. Nothing is sent to a client of HTTP/1.0, which does not
    /// know informational responses, to one that has not yet taken what was sent to it before, and for a request without a
    /// connection.
    ///
    /// Send them to clients that are known to expect them, such as browsers. Some old ones, and some proxies, take any
    /// response for the last one (RFC 8297, section 3).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] when the status is not 102 to 199, or `head` has a body; 100 is the server's to send, and 101
    /// is the head of an [`upgrade`](Request::upgrade). [`Error::AlreadyTaken`] when the answer has begun.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, Request, Response, StatusCode};
    ///
    /// HttpServer::new(async |request: Request| -> httpserver::Result<Response> {
    ///     // Browsers say what a request is for, and fetch such things while the page is made.
    ///     if request.headers().get("Sec-Fetch-Mode") == Some("navigate") {
    ///         let hints = Response::new(StatusCode::EARLY_HINTS);
    ///         request.send_informational(&hints.with_header("Link", "</style.css>; rel=preload; as=style"))?;
    ///     }
    ///     Ok(Response::html(make_page().await))
    /// });
    /// # async fn make_page() -> &'static str { "" }
    /// ```
    pub fn send_informational(&self, head: &Response) -> Result<()> {
        if !head.status().is_informational() || head.status().as_u16() < 102 {
            return Err(Error::InvalidHeader("an informational response has a status of 102 to 199"));
        }
        if head.body().as_bytes() != Some(&[]) {
            return Err(Error::InvalidHeader("an informational response has no body"));
        }
        match &self.origin {
            Origin::Connection { conn, serial, .. } => conn.send_informational(*serial, head),
            Origin::Built(_) => Ok(()),
        }
    }

    /// Completes when the client has gone: it closed the connection or its sending half, or the connection broke. Never
    /// completes for a client that stays, nor for a request without a connection. The future is independent of the
    /// request and may be moved into another task.
    ///
    /// A client that sends several requests and then ends its input counts as gone while the first of them is answered.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, IOLoop, Request};
    ///
    /// HttpServer::new(async |request: Request| {
    ///     let gone = request.client_gone();
    ///     IOLoop::current().spawn_detached(async move {
    ///         gone.await;
    ///         println!("the client has left");
    ///     });
    ///     "hello\n"
    /// });
    /// ```
    pub fn client_gone(&self) -> ClientGone {
        ClientGone { peer_closed: self.conn().map(|conn| conn.stream().peer_closed()) }
    }

    /// Whether the client is known to have gone, as [`client_gone`](Request::client_gone) tells it.
    pub fn is_client_gone(&self) -> bool {
        self.conn().is_some_and(|conn| conn.stream().is_peer_closed())
    }

    /// Drops the service's future, or the body of its answer, as soon as the client has gone, instead of letting it go
    /// on. For answers that wait, such as long polls: whatever they hold is freed at once. Off by default, because a
    /// client that ended only its sending half still reads.
    ///
    /// It holds for this request. Called on one that has been answered, or that comes from no connection, it does
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use httpserver::{HttpServer, Request, sleep};
    ///
    /// HttpServer::new(async |request: Request| {
    ///     request.cancel_on_disconnect();
    ///     // Dropped here, with all that it holds, when the client goes.
    ///     sleep(Duration::from_secs(30)).await;
    ///     "nothing new\n"
    /// });
    /// ```
    pub fn cancel_on_disconnect(&self) {
        if let Origin::Connection { conn, serial, .. } = &self.origin {
            conn.cancel_on_disconnect(*serial);
        }
    }

    /// What the request expects before its body is sent.
    #[cfg(feature = "client")]
    #[inline]
    pub(crate) fn expects(&self) -> crate::http1::request_head::Expect {
        self.head.expect
    }

    /// The header lines, for wraps that change what they say.
    #[cfg(feature = "gzip")]
    #[inline]
    pub(crate) fn headers_mut(&mut self) -> &mut Headers {
        &mut self.head.headers
    }

    /// The longest body that its server takes.
    #[cfg(feature = "gzip")]
    #[inline]
    pub(crate) fn max_body(&self) -> u64 {
        self.conn().map_or_else(|| Limits::default().max_body, |conn| conn.limits().max_body)
    }

    /// Completes when the server begins to [drain](crate::ServerHandle::drain): what waits for long should end by itself
    /// then, rather than be cut at the deadline. A long poll answers that there is nothing new, a stream ends in order, an
    /// upgraded protocol says goodbye. Never completes for a request without a connection. The future is independent of the
    /// request: it may be moved into the body of the answer, into an upgrade, or into another task.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{future::{Future, poll_fn}, pin::pin, task::Poll};
    /// use httpserver::{HttpServer, Request, sync::Event};
    /// # use std::rc::Rc;
    ///
    /// # let news = Rc::new(Event::new());
    /// HttpServer::new(async move |request: Request| {
    ///     // Whichever comes first.
    ///     let (mut draining, mut news) = (pin!(request.draining()), pin!(news.wait()));
    ///     poll_fn(|cx| match (news.as_mut().poll(cx), draining.as_mut().poll(cx)) {
    ///         (Poll::Ready(()), _) => Poll::Ready("something is new\n"),
    ///         (_, Poll::Ready(())) => Poll::Ready("nothing new, ask again\n"),
    ///         _ => Poll::Pending,
    ///     })
    ///     .await
    /// });
    /// ```
    #[inline]
    pub fn draining(&self) -> Draining {
        Draining::new(self.conn().map(|conn| Rc::clone(conn.server())))
    }

    /// How long the answer has to wait for something: until the server drains, or a time has passed. In less memory than
    /// [`draining`](Request::draining) and a [`Deadline`](crate::iostream::ioloop::Deadline) beside it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{future::{Future, poll_fn}, pin::pin, task::Poll, time::Duration};
    /// use httpserver::{Request, Response, sync::Event};
    ///
    /// /// An answer as soon as there is news, or without any after 25 seconds, and when the server drains.
    /// async fn news(request: Request, news: &Event) -> Response {
    ///     let mut patience = request.patience();
    ///     patience.set_after(Duration::from_secs(25));
    ///     let mut news = pin!(news.wait());
    ///     poll_fn(|cx| match news.as_mut().poll(cx).is_ready() {
    ///         true => Poll::Ready(Response::text("news")),
    ///         false => patience.poll_over(cx).map(|_| Response::text("nothing new")),
    ///     })
    ///     .await
    /// }
    /// ```
    #[inline]
    pub fn patience(&self) -> Patience {
        Patience::new(self)
    }

    /// Whether the server that received the request is [ready](crate::ServerHandle::is_ready) for more: what a readiness
    /// probe is answered. True for a request without a connection.
    #[inline]
    pub fn is_server_ready(&self) -> bool {
        self.conn().is_none_or(|conn| conn.server().is_ready())
    }

    /// What the server that received the request has done so far, as
    /// [`ServerHandle::metrics`](crate::ServerHandle::metrics) says: for a route that shows it. `None` for a request without a
    /// connection.
    #[inline]
    pub fn server_metrics(&self) -> Option<ServerMetrics> {
        self.conn().map(|conn| conn.server().metrics())
    }

    /// The connection, if it came by one.
    pub(crate) fn conn(&self) -> Option<&ServerConn> {
        match &self.origin {
            Origin::Connection { conn, .. } => Some(conn),
            Origin::Built(_) => None,
        }
    }
}

impl fmt::Debug for Request {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("target", &self.target())
            .field("version", &self.version())
            .field("headers", self.headers())
            .field("body", self.body.as_deref().unwrap_or(&Body::empty()))
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
    /// None for a request without a connection.
    peer_closed: Option<PeerClosedFuture>,
}

impl Future for ClientGone {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.peer_closed {
            Some(peer_closed) => {
                ready!(Pin::new(peer_closed).poll(cx));
                Poll::Ready(())
            }
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_waits_is_small() {
        let size = size_of::<Request>();
        assert!(size <= 104, "{size} bytes");
    }
}
