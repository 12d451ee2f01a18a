//! What a request says of its client.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

#[cfg(feature = "tls")]
use iostream::tls::TlsInfo;

use crate::{Protocol, Request, request::Origin};

/// What a request that was made in this process has in place of a connection.
pub(crate) struct Built {
    /// When it was made, on the loop's clock.
    pub(crate) received_at: Instant,
    pub(crate) client: BuiltClient,
}

/// What a request that was made in this process says of its client.
#[derive(Debug, Default)]
pub(crate) struct BuiltClient {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) protocol: Protocol,
}

impl Request {
    /// The other end of the connection, if it came through a socket with an address.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.origin {
            Origin::Connection { conn, .. } => conn.peer(),
            Origin::Built(built) => built.client.peer,
        }
    }

    /// The client's address, if it is known: of the peer, or behind proxies that are trusted
    /// ([`ServerOptions::xheaders`](crate::ServerOptions::xheaders)) the one that they say. An IPv4 address in IPv6
    /// (`::ffff:192.0.2.1`) is shown as IPv4. `None` for a client at a Unix socket of which no proxy says more.
    ///
    /// Found out anew by each call.
    #[inline]
    pub fn remote_ip(&self) -> Option<IpAddr> {
        match &self.origin {
            Origin::Connection { conn, .. } => conn.remote_ip(self.headers()),
            Origin::Built(built) => built.client.peer.map(|peer| peer.ip().to_canonical()),
        }
    }

    /// Whether the client uses HTTPS: what a trusted proxy says of it
    /// ([`ServerOptions::xheaders`](crate::ServerOptions::xheaders)), or what the program says of all clients
    /// ([`ServerOptions::protocol`](crate::ServerOptions::protocol)), or whether the connection is one with TLS. Found out
    /// anew by each call.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        match &self.origin {
            Origin::Connection { conn, .. } => conn.protocol(self.headers()),
            Origin::Built(built) => built.client.protocol,
        }
    }

    /// The URL that the client has used, as far as it is known here: [`protocol`](Request::protocol),
    /// [`host`](Request::host), path and query. `None` without a host, and for the targets of CONNECT and `OPTIONS *`, which
    /// have no path.
    ///
    /// The host is the client's word. Whoever sends links by it should check it first.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Protocol, Request};
    ///
    /// let request = Request::builder()
    ///     .target("/search?q=tea")
    ///     .header("Host", "example.org:8443")
    ///     .protocol(Protocol::Https)
    ///     .build()?;
    /// assert_eq!(request.full_url().as_deref(), Some("https://example.org:8443/search?q=tea"));
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn full_url(&self) -> Option<String> {
        let (host, path) = (self.host()?, self.path());
        let question = if self.query().is_some() { "?" } else { "" };
        let query = self.query().unwrap_or_default();
        path.starts_with('/').then(|| format!("{}://{host}{path}{question}{query}", self.protocol()))
    }

    /// What the handshake of TLS has negotiated, the certificates of the client included. `None` in plaintext, behind a
    /// proxy that ends TLS, and when the connection is closed already.
    ///
    /// Copies names and certificates: ask once for each connection, or when it matters.
    ///
    /// # Examples
    ///
    /// A service for clients with a certificate. What is in one takes a parser of X.509.
    ///
    /// ```
    /// use httpserver::{Request, Response, StatusCode};
    ///
    /// async fn members_only(request: Request) -> Response {
    ///     // Its signature was checked by the handshake.
    ///     let certificate = request.tls_info().and_then(|info| info.peer_certificates.into_iter().next());
    ///     match certificate {
    ///         Some(certificate) => Response::text(format!("{} bytes prove it\n", certificate.len())),
    ///         None => Response::new(StatusCode::FORBIDDEN),
    ///     }
    /// }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.conn()?.stream().tls_info()
    }
}
