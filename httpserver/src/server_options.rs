use std::time::Duration;

use iostream::proxy_protocol::ProxyProtocol;
#[cfg(feature = "tls")]
use iostream::tls::TlsAcceptor;

use crate::{Limits, Protocol, XHeaders};

/// What a server does with connections and requests before its service sees them.
///
/// # Examples
///
/// Behind a proxy on the same machine, which ends TLS:
///
/// ```
/// use httpserver::{HttpServer, Limits, Protocol, Request, ServerOptions, XHeaders};
///
/// let options = ServerOptions::new()
///     .limits(Limits::default().max_body(16 * 1024 * 1024))
///     .xheaders(XHeaders::trusting(["127.0.0.1".parse()?]))
///     .protocol(Protocol::Https);
/// let server = HttpServer::with_options(async |_: Request| "hello\n", options);
/// # server.listen(("127.0.0.1", 0))?.stop();
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// What one client may use of the server.
    pub limits: Limits,
    /// Which peers are proxies that say in headers whose request they pass on; none by default.
    pub xheaders: Option<XHeaders>,
    /// What [`Request::protocol`](crate::Request::protocol) is, unless a header that is believed says otherwise. By default
    /// it is that of the connection, which is a proxy's where there is one.
    pub protocol: Option<Protocol>,
    /// Which peers are proxies that begin their connections with a header of the PROXY protocol; none by default. A
    /// connection then counts as one of the client that the header names, and
    /// [`Request::peer_addr`](crate::Request::peer_addr) is that client's.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// For how long a drain keeps connections that wait for a request; none by default, so that they are closed at once.
    pub drain_grace: Duration,
    /// By what every connection is served over TLS; in plaintext by default.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsAcceptor>,
}

impl ServerOptions {
    /// The defaults: plain HTTP, and no peer is believed anything.
    pub fn new() -> ServerOptions {
        ServerOptions::default()
    }

    /// Sets [`limits`](ServerOptions::limits).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`xheaders`](ServerOptions::xheaders).
    #[must_use]
    #[inline]
    pub fn xheaders(mut self, proxies: XHeaders) -> Self {
        self.xheaders = Some(proxies);
        self
    }

    /// Sets [`protocol`](ServerOptions::protocol).
    #[must_use]
    #[inline]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Sets [`proxy_protocol`](ServerOptions::proxy_protocol).
    ///
    /// # Examples
    ///
    /// Behind HAProxy with `send-proxy-v2`:
    ///
    /// ```
    /// use httpserver::{HttpServer, Request, ServerOptions, iostream::proxy_protocol::ProxyProtocol};
    ///
    /// let options = ServerOptions::new().proxy_protocol(ProxyProtocol::trusting(["10.0.0.0/8".parse()?]));
    /// let server = HttpServer::with_options(async |request: Request| format!("{:?}\n", request.peer_addr()), options);
    /// # server.listen(("127.0.0.1", 0))?.stop();
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn proxy_protocol(mut self, proxies: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(proxies);
        self
    }

    /// Sets [`drain_grace`](ServerOptions::drain_grace): for how long a [drain](crate::ServerHandle::drain) keeps connections
    /// that wait for a request. It is a part of the drain's limit.
    ///
    /// A client that sends its next request in the moment in which its connection is closed has to send it again, and not all
    /// do. In this time such a request is answered, with `Connection: close`, and only a client that was silent for the whole
    /// of it can be met in that moment. Services that wait for long are told at the beginning all the same
    /// ([`Request::draining`](crate::Request::draining)). For restarts while others take over the listening sockets; a
    /// second is enough for clients that are busy.
    #[must_use]
    #[inline]
    pub fn drain_grace(mut self, time: Duration) -> Self {
        self.drain_grace = time;
        self
    }

    /// Sets [`tls`](ServerOptions::tls). An acceptor without protocols of its own
    /// ([`alpn`](iostream::tls::TlsAcceptorBuilder::alpn)) announces `http/1.1`.
    ///
    /// The handshake comes before the first request and has 10 s
    /// ([`handshake_timeout`](iostream::tls::TlsAcceptor::handshake_timeout)). One that fails is logged (info), once per
    /// burst, with the peer and the reason. A client that speaks plain HTTP is told so by a 400.
    ///
    /// # Examples
    ///
    /// HTTPS, with certificates that are read anew on SIGHUP:
    ///
    /// ```no_run
    /// use httpserver::{HttpServer, IOLoop, Request, ServerOptions, iostream::tls::TlsAcceptor, signal};
    ///
    /// # #[cfg(feature = "tls-ring")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tls = TlsAcceptor::ring().certificate("example.org.pem", "example.org.key")?.build()?;
    /// let certificates = tls.certificates().expect("the acceptor was built").clone();
    /// signal::add_signal_handler(signal::SIGHUP, move || {
    ///     if let Err(error) = certificates.reload() {
    ///         eprintln!("keeping the certificates there are: {error}");
    ///     }
    /// })?;
    /// let server = HttpServer::with_options(async |_: Request| "hello\n", ServerOptions::new().tls(tls));
    /// server.listen(("", 8443))?;
    /// IOLoop::current().start();
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "tls-ring"))]
    /// # fn main() {}
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, acceptor: impl Into<TlsAcceptor>) -> Self {
        self.tls = Some(acceptor.into());
        self
    }
}

impl From<Limits> for ServerOptions {
    fn from(limits: Limits) -> ServerOptions {
        ServerOptions::new().limits(limits)
    }
}
