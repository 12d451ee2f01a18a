//! WebSockets to other servers.

use std::{
    fmt,
    future::{Future, IntoFuture, pending},
    pin::Pin,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use httpserver::{
    Headers, IOLoop, IOStream, Limits, Request, StatusCode, Version,
    client::{ClientResponse, Connection},
    iostream::TcpClient,
    timeout,
};

use super::{
    agreement::Agreement,
    codec::{Role, random},
    core::{Core, drive},
    handshake::{accept, is_token},
    options::WebSocketOptions,
    socket::WebSocket,
    url::WebSocketUrl,
};
use crate::error::{Error, Result};

/// Begins a connection to `url`, such as `wss://example.com/chat?room=1`. Await it for the [`WebSocket`].
///
/// The socket is that of a server's handler with the roles changed: it answers pings, sends its own, and closes in order when
/// its last handle is dropped. A task of its own does that.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, IOLoop, websocket};
///
/// async fn echo(exchange: &mut Exchange) -> web::Result<()> {
///     let mut socket = exchange.websocket().await?;
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = Application::new().get("/ws", echo).listen(("127.0.0.1", 0))?;
///     let answer = IOLoop::current().run_sync(async {
///         let mut socket = websocket::connect(format!("ws://{}/ws", server.local_addr())).await?;
///         socket.send("Hello").await?;
///         socket.receive().await
///     })?;
///     assert_eq!(answer, Some("Hello".into()));
///     Ok(())
/// }
/// ```
#[inline]
pub fn connect(url: impl Into<String>) -> Connect {
    Connect {
        url: url.into(),
        headers: Vec::new(),
        options: WebSocketOptions::new(),
        timeout: Connect::DEFAULT_TIMEOUT,
        tcp: TcpClient::new(),
        #[cfg(feature = "tls")]
        tls: None,
    }
}

/// A connection to a server that has not begun; made by [`connect`].
///
/// Redirects are not followed: they are an [`Error::WebSocketRefused`] like any other answer than 101, and its headers have
/// the location. The server's answer is checked strictly (RFC 6455 4.1): what it accepts must have been offered.
#[must_use = "nothing is connected unless it is awaited"]
pub struct Connect {
    url: String,
    headers: Vec<(String, String)>,
    options: WebSocketOptions,
    timeout: Duration,
    tcp: TcpClient,
    #[cfg(feature = "tls")]
    tls: Option<httpserver::iostream::tls::TlsConnector>,
}

impl Connect {
    /// The default of [`timeout`](Connect::timeout): 20 s.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

    /// Adds a header line to the request: `Authorization`, `Cookie`, `Origin`. Those of the handshake itself are refused when
    /// it is awaited.
    #[inline]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the options of the socket: limits, pings, the subprotocols that are offered, and compression. Its origins mean
    /// nothing to a client.
    #[inline]
    pub fn options(mut self, options: &WebSocketOptions) -> Self {
        self.options = options.clone();
        self
    }

    /// Limits the time to the server's answer, the connection included; 20 s by default.
    #[inline]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how the connection is opened: the resolver, the family of addresses, the source.
    #[inline]
    pub fn tcp_client(mut self, client: TcpClient) -> Self {
        self.tcp = client;
        self
    }

    /// Sets by what a `wss` URL is connected. There is no default, because the cryptography is the program's to choose.
    #[cfg(feature = "tls")]
    #[inline]
    pub fn tls(mut self, connector: httpserver::iostream::tls::TlsConnector) -> Self {
        self.tls = Some(connector);
        self
    }

    /// Shakes hands over a stream that is connected already: a Unix socket, a tunnel, a pair in memory. The URL names the
    /// host and the path; whether its scheme is `ws` or `wss` makes no difference.
    ///
    /// # Errors
    ///
    /// As awaiting it, without those of the connection.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped future closes the stream.
    #[inline]
    pub async fn over(self, stream: IOStream) -> Result<WebSocket> {
        Ok(self.within_limit(async |connect, url| connect.shake_hands(url, stream).await).await?.0)
    }

    /// As awaiting it, and returns the headers of the server's answer too.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocketRefused`] for any other answer than 101; [`Error::WebSocketHandshake`] when the URL or a header
    /// cannot be used, or the answer is not a valid one; those of the connection as [`Error::Server`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the connection up.
    #[inline]
    pub async fn with_headers(self) -> Result<(WebSocket, Headers)> {
        self.within_limit(async |connect, url| {
            let stream = connect.open(url).await?;
            connect.shake_hands(url, stream).await
        })
        .await
    }

    #[inline]
    async fn within_limit<T>(
        &self,
        shake_hands: impl AsyncFnOnce(&Connect, &WebSocketUrl<'_>) -> Result<T>,
    ) -> Result<T> {
        let url = WebSocketUrl::parse(&self.url)?;
        match timeout(self.timeout, shake_hands(self, &url)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Server(httpserver::Error::ServerTimeout("does not shake hands in time"))),
        }
    }

    #[inline]
    async fn open(&self, url: &WebSocketUrl<'_>) -> Result<IOStream> {
        let stream = match url.is_secure {
            false => self.tcp.connect(url.host_name(), url.port).await,
            #[cfg(feature = "tls")]
            true => {
                let connector = self.tls.as_ref().ok_or(Error::WebSocketHandshake("wss needs a TlsConnector"))?;
                self.tcp.connect_tls(url.host_name(), url.port, connector).await
            }
            #[cfg(not(feature = "tls"))]
            true => return Err(Error::WebSocketHandshake("wss needs the feature `tls`")),
        };
        stream.map_err(|error| Error::Server(httpserver::Error::from(error)))
    }

    /// Sends the request and checks the answer. A future that is dropped, and an error, close the stream.
    #[inline]
    async fn shake_hands(&self, url: &WebSocketUrl<'_>, stream: IOStream) -> Result<(WebSocket, Headers)> {
        // Small messages must not wait for acknowledgements (Nagle's algorithm).
        let _ = stream.set_nodelay(true);
        let key = new_key();
        let request = self.request(url, &key)?;
        let mut connection = Connection::with_limits(stream, Limits::default().header_timeout(self.timeout));
        let response = connection.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::WebSocketRefused(Box::new(response)));
        }
        let agreement = match self.check(&response, &key) {
            Ok(agreement) => agreement,
            Err(error) => {
                connection.close();
                return Err(error);
            }
        };
        let headers = response.headers().clone();
        let core = Core::new(response.into_stream()?, self.options.clone(), Role::Client, agreement);
        let socket = WebSocket::new(std::rc::Rc::clone(&core));
        IOLoop::current().spawn_independent(drive(core, pending(), None));
        Ok((socket, headers))
    }

    #[inline]
    fn request(&self, url: &WebSocketUrl<'_>, key: &str) -> Result<Request> {
        let mut request = Request::builder()
            .target(url.target())
            .header("Host", url.authority())
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", key);
        let subprotocols = &self.options.settings().subprotocols;
        if !subprotocols.is_empty() {
            request = request.header("Sec-WebSocket-Protocol", subprotocols.join(", "));
        }
        #[cfg(feature = "deflate")]
        if let Some(options) = &self.options.settings().deflate {
            request = request.header("Sec-WebSocket-Extensions", super::codec::Deflate::offer(options));
        }
        for (name, value) in &self.headers {
            if is_of_handshake(name) {
                return Err(Error::WebSocketHandshake("a header of the handshake itself was set"));
            }
            request = request.header(name, value);
        }
        Ok(request.build()?)
    }

    /// Checks a 101 (RFC 6455 4.1).
    #[inline]
    fn check(&self, response: &ClientResponse, key: &str) -> Result<Agreement> {
        let headers = response.headers();
        let failure = |what| Err(Error::WebSocketHandshake(what));
        if response.version() == Version::HTTP_10 {
            return failure("the server switched protocols by HTTP/1.0");
        }
        let mut upgrade = headers.list("upgrade");
        if !upgrade.next().is_some_and(|name| name.eq_ignore_ascii_case(b"websocket")) || upgrade.next().is_some() {
            return failure("the server switched to another protocol");
        }
        if !headers.has_token("connection", "upgrade") {
            return failure("Connection does not name Upgrade in the server's answer");
        }
        let mut accepts = headers.get_all("sec-websocket-accept");
        if accepts.next() != Some(&accept(key.as_bytes())[..]) || accepts.next().is_some() {
            return failure("Sec-WebSocket-Accept is not that of the key");
        }
        let mut agreement = Agreement::default();
        let mut subprotocols = headers.get_all("sec-websocket-protocol");
        if let Some(name) = subprotocols.next() {
            let offered = &self.options.settings().subprotocols;
            let known = offered.iter().find(|offered| offered.as_bytes() == name);
            if known.is_none() || subprotocols.next().is_some() {
                return failure("the server chose a subprotocol that was not offered");
            }
            agreement.subprotocol = known.cloned();
        }
        self.check_extensions(headers, &mut agreement)?;
        Ok(agreement)
    }

    #[inline]
    fn check_extensions(&self, headers: &Headers, agreement: &mut Agreement) -> Result<()> {
        #[cfg(feature = "deflate")]
        if let Some(options) = &self.options.settings().deflate {
            let answer = headers.list("sec-websocket-extensions");
            let agreed = super::codec::Deflate::agreed(answer, options);
            agreement.deflate = agreed.map_err(|error| Error::WebSocketHandshake(error.reason()))?;
            return Ok(());
        }
        let _ = agreement;
        match headers.contains("sec-websocket-extensions") {
            true => Err(Error::WebSocketHandshake("the server accepted an extension that was not offered")),
            false => Ok(()),
        }
    }
}

impl IntoFuture for Connect {
    type Output = Result<WebSocket>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<WebSocket>>>>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.with_headers().await?.0) })
    }
}

impl fmt::Debug for Connect {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers may be credentials, and so may a part of the URL.
        f.debug_struct("Connect")
            .field("options", &self.options)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// 16 bytes that nobody can predict, in base64.
#[inline]
fn new_key() -> String {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&random().to_ne_bytes());
    nonce[8..].copy_from_slice(&random().to_ne_bytes());
    let mut key = [0; 24];
    let written = STANDARD.encode_slice(nonce, &mut key);
    debug_assert_eq!(written, Ok(24));
    std::str::from_utf8(&key).unwrap_or_default().to_owned()
}

/// Whether a line is made by the handshake, or would change what the connection is.
#[inline]
fn is_of_handshake(name: &str) -> bool {
    const OWN: [&str; 6] = ["host", "connection", "upgrade", "content-length", "transfer-encoding", "expect"];
    const PREFIX: &str = "sec-websocket-";
    !is_token(name.as_bytes())
        || OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
        || name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}
