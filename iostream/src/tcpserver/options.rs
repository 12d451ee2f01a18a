#[cfg(feature = "tls")]
use crate::tls::TlsAcceptor;
use crate::{ConnectionLimits, proxy_protocol::ProxyProtocol};

/// What a [`TcpServer`](crate::TcpServer) does with connections before its handler is given them.
///
/// # Examples
///
/// ```
/// use iostream::{ConnectionLimits, IOStream, ServerOptions, TcpServer};
///
/// let options = ServerOptions::new()
///     .limits(ConnectionLimits::new().max_per_address(20))
///     .max_buffer_size(64 * 1024)
///     .max_write_buffer_size(1024 * 1024);
/// let server = TcpServer::with_options(async |stream: IOStream, _peer| stream.write("hello\n").await, options);
/// # server.listen(("127.0.0.1", 0))?.stop();
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// How many connections may be open at a time.
    pub limits: ConnectionLimits,
    /// How many bytes each connection may hold unread; by default as
    /// [`IOStream::set_max_buffer_size`](crate::IOStream::set_max_buffer_size) says.
    pub max_buffer_size: Option<usize>,
    /// How many bytes each connection may queue for sending; by default as
    /// [`IOStream::set_max_write_buffer_size`](crate::IOStream::set_max_write_buffer_size) says.
    pub max_write_buffer_size: Option<usize>,
    /// Which peers are proxies that announce the addresses of their clients; none by default.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// By what every connection is served over TLS; in plaintext by default. The handler is called when the handshake is
    /// over. Handshakes that fail are logged (info), once per burst, with the peer and the reason; no handler sees them.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsAcceptor>,
}

impl ServerOptions {
    /// The defaults.
    pub fn new() -> ServerOptions {
        ServerOptions::default()
    }

    /// Sets [`limits`](ServerOptions::limits).
    #[must_use]
    pub fn limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`max_buffer_size`](ServerOptions::max_buffer_size).
    #[must_use]
    pub fn max_buffer_size(mut self, bytes: usize) -> Self {
        self.max_buffer_size = Some(bytes);
        self
    }

    /// Sets [`max_write_buffer_size`](ServerOptions::max_write_buffer_size).
    #[must_use]
    pub fn max_write_buffer_size(mut self, bytes: usize) -> Self {
        self.max_write_buffer_size = Some(bytes);
        self
    }

    /// Sets [`proxy_protocol`](ServerOptions::proxy_protocol).
    #[must_use]
    #[inline]
    pub fn proxy_protocol(mut self, proxy_protocol: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(proxy_protocol);
        self
    }

    /// Sets [`tls`](ServerOptions::tls).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, acceptor: impl Into<TlsAcceptor>) -> Self {
        self.tls = Some(acceptor.into());
        self
    }
}

impl From<ConnectionLimits> for ServerOptions {
    fn from(limits: ConnectionLimits) -> ServerOptions {
        ServerOptions::new().limits(limits)
    }
}
