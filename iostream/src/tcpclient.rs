use std::{
    cell::RefCell,
    fmt,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use ioloop::{Printable, timeout};

#[cfg(feature = "tls")]
use crate::tls::TlsConnector;
use crate::{
    Error, IOStream, Result,
    connect::connect_from,
    happy_eyeballs,
    netutil::Family,
    resolver::{Resolver, ThreadedResolver, resolve},
};

/// Connects to hosts by name: looks the name up without blocking the loop, and tries the host's addresses as RFC 8305 says
/// ("happy eyeballs"). IPv4 and IPv6 take turns, a new address is tried every 250 ms and after each failure, and the first
/// that connects wins.
///
/// Settings are made once, for any number of connections. Cloning it is cheap. For an address there is
/// [`IOStream::connect`], which does none of this.
///
/// # Examples
///
/// ```
/// use iostream::{IOLoop, IOStream, TcpClient, TcpServer};
/// use std::time::Duration;
///
/// let server = TcpServer::new(async |stream: IOStream, _peer| stream.write("hello\n").await);
/// let port = server.listen(("localhost", 0))?.local_addr().port();
/// let client = TcpClient::new().timeout(Duration::from_secs(5)).max_buffer_size(64 * 1024);
/// let line = IOLoop::current().run_sync(async {
///     let stream = client.connect("localhost", port).await?;
///     stream.read_until(b"\n").await
/// })?;
/// assert_eq!(line, "hello\n");
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Clone)]
pub struct TcpClient {
    resolver: Rc<dyn Resolver>,
    family: Family,
    source_ip: Option<IpAddr>,
    source_port: u16,
    timeout: Option<Duration>,
    max_buffer_size: Option<usize>,
    max_write_buffer_size: Option<usize>,
}

impl TcpClient {
    /// The default of [`timeout`](TcpClient::timeout): 20 s.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

    /// A client that asks the system's resolver, with the default settings.
    #[inline]
    pub fn new() -> TcpClient {
        TcpClient {
            resolver: Rc::new(ThreadedResolver),
            family: Family::Any,
            source_ip: None,
            source_port: 0,
            timeout: Some(Self::DEFAULT_TIMEOUT),
            max_buffer_size: None,
            max_write_buffer_size: None,
        }
    }

    /// Sets who is asked for the addresses of a host; [`ThreadedResolver`] by default.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Rc::new(resolver);
        self
    }

    /// Sets which addresses are tried; both families by default.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Sets the address of this machine that connections come from; by default the system chooses. Addresses of the other
    /// family are not tried.
    #[must_use]
    pub fn source_ip(mut self, ip: IpAddr) -> Self {
        self.source_ip = Some(ip);
        self
    }

    /// Sets the port that connections come from; by default, and with 0, the system chooses. There can be only one
    /// connection at a time from one port to one address.
    #[must_use]
    pub fn source_port(mut self, port: u16) -> Self {
        self.source_port = port;
        self
    }

    /// Sets how long a connection may take, from the lookup of the name on; 20 s by default.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Waits for as long as the resolver and the system do, which is minutes.
    #[must_use]
    pub fn no_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// Sets what [`IOStream::set_max_buffer_size`] sets, for each stream.
    #[must_use]
    pub fn max_buffer_size(mut self, bytes: usize) -> Self {
        self.max_buffer_size = Some(bytes);
        self
    }

    /// Sets what [`IOStream::set_max_write_buffer_size`] sets, for each stream.
    #[must_use]
    pub fn max_write_buffer_size(mut self, bytes: usize) -> Self {
        self.max_write_buffer_size = Some(bytes);
        self
    }

    /// Connects to `host`, a name or a numeric address (without brackets).
    ///
    /// # Errors
    ///
    /// [`Error::Resolve`] when the name has no address; [`Error::ConnectHost`], which names the host and every address that
    /// was tried, when none answers or the time is up; [`Error::Io`] (`InvalidInput`) when
    /// [`source_ip`](TcpClient::source_ip) and [`family`](TcpClient::family) exclude each other.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped, all attempts are given up and their sockets closed. A lookup that has begun goes on in
    /// its thread.
    pub async fn connect(&self, host: &str, port: u16) -> Result<IOStream> {
        let target = Target { host, port, failures: RefCell::default() };
        let stream = self.within_limit(&target, self.connect_plain(&target)).await?;
        self.apply_limits(&stream);
        Ok(stream)
    }

    /// As [`connect`](TcpClient::connect), then shakes hands by TLS: the server has proved to be `host`. The
    /// [`timeout`](TcpClient::timeout) is for all of it, and the handshake has the connector's own besides.
    ///
    /// # Errors
    ///
    /// As [`connect`](TcpClient::connect) and [`IOStream::start_tls_client`].
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](TcpClient::connect).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use iostream::{TcpClient, tls::TlsConnector};
    ///
    /// # #[cfg(feature = "tls-ring")]
    /// # async fn example() -> iostream::Result<()> {
    /// let tls = TlsConnector::ring().system_roots()?.build()?;
    /// let stream = TcpClient::new().connect_tls("example.org", 443, &tls).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub async fn connect_tls(&self, host: &str, port: u16, connector: &TlsConnector) -> Result<IOStream> {
        let target = Target { host, port, failures: RefCell::default() };
        let shake_hands = async {
            let stream = self.connect_plain(&target).await?;
            self.apply_limits(&stream);
            stream.start_tls_client(connector, host).await?;
            Ok(stream)
        };
        self.within_limit(&target, shake_hands).await
    }

    /// A stream without TLS, by whichever of the host's addresses answers first.
    async fn connect_plain(&self, target: &Target<'_>) -> Result<IOStream> {
        let family = self.wanted_family()?;
        let addrs = resolve(&*self.resolver, target.host, target.port, family).await?;
        let connect = |addr| connect_from(addr, self.source_for(addr));
        happy_eyeballs::race(addrs, connect, &target.failures).await.ok_or_else(|| target.error(None))
    }

    /// Gives `work`, which is all that a connection takes, the time there is.
    async fn within_limit<T>(&self, target: &Target<'_>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(limit) = self.timeout else { return work.await };
        timeout(limit, work).await.unwrap_or_else(|_| Err(target.error(Some(limit))))
    }

    fn apply_limits(&self, stream: &IOStream) {
        if let Some(bytes) = self.max_buffer_size {
            stream.set_max_buffer_size(bytes);
        }
        if let Some(bytes) = self.max_write_buffer_size {
            stream.set_max_write_buffer_size(bytes);
        }
    }

    /// The family of the source address counts too.
    #[inline]
    fn wanted_family(&self) -> Result<Family> {
        let Some(ip) = self.source_ip else { return Ok(self.family) };
        if !self.family.matches(&SocketAddr::new(ip, 0)) {
            let reason = format!("no connection from {ip} can be made: another family is wanted");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason).into());
        }
        Ok(if ip.is_ipv4() { Family::V4 } else { Family::V6 })
    }

    fn source_for(&self, addr: SocketAddr) -> Option<SocketAddr> {
        if self.source_ip.is_none() && self.source_port == 0 {
            return None;
        }
        let any: IpAddr = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        Some(SocketAddr::new(self.source_ip.unwrap_or(any), self.source_port))
    }
}

/// What a connection is made to, and what has come of it so far.
struct Target<'a> {
    host: &'a str,
    port: u16,
    failures: RefCell<Vec<Error>>,
}

impl Target<'_> {
    #[inline]
    fn error(&self, limit: Option<Duration>) -> Error {
        let attempts = self.failures.take();
        Error::ConnectHost(Arc::new(HostFailure { host: self.host.to_owned(), port: self.port, attempts, limit }))
    }
}

/// Why no connection to a host could be made: what is inside of [`Error::ConnectHost`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HostFailure {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What has failed, in the order of the failures. Mostly [`Error::Connect`], which names the address.
    pub attempts: Vec<Error>,
    /// The limit, when it was reached.
    pub limit: Option<Duration>,
}

/// In one sentence, because most programs print nothing else of an error.
impl fmt::Display for HostFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to {} port {}", Printable::text(&self.host), self.port)?;
        if let Some(limit) = self.limit {
            write!(f, " within {limit:?}")?;
        }
        for (index, attempt) in self.attempts.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            attempt.fmt(f)?;
        }
        Ok(())
    }
}

impl Default for TcpClient {
    #[inline]
    fn default() -> Self {
        TcpClient::new()
    }
}

impl fmt::Debug for TcpClient {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpClient")
            .field("family", &self.family)
            .field("source_ip", &self.source_ip)
            .field("source_port", &self.source_port)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
