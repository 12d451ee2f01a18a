use std::net::SocketAddr;

use super::{v1, v2};
use crate::{Error, Peer, Result};

/// What a proxy has said of a connection.
///
/// # Examples
///
/// A proxy that announces its client:
///
/// ```
/// use iostream::{IOLoop, IOStream, Peer, TcpServer, proxy_protocol::Header};
///
/// let backend = TcpServer::new(async |stream: IOStream, _peer| {
///     let line = stream.read_until(b"\r\n").await?;
///     stream.write(line).await
/// });
/// let backend = backend.listen(("127.0.0.1", 0))?.local_addr();
/// let client = ([192, 0, 2, 1], 50_000).into();
/// let line = IOLoop::current().run_sync(async {
///     let stream = IOStream::connect(backend).await?;
///     stream.write(Header::proxied(Peer::Inet(client), Peer::Inet(backend)).to_v1()).await?;
///     stream.read_until(b"\r\n").await
/// })?;
/// assert!(line.starts_with(b"PROXY TCP4 192.0.2.1 127.0.0.1 50000 "));
/// # Ok::<_, iostream::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Where the connection comes from. `None` when the proxy speaks for itself, as in a health check (LOCAL), or does not
    /// know (UNKNOWN, UNSPEC): then the connection's own addresses are all there is.
    pub source: Option<Peer>,
    /// What the client has connected to; there is one if and only if there is a source.
    pub destination: Option<Peer>,
    /// What else a header of version 2 says, in its order.
    pub tlvs: Vec<Tlv>,
}

/// A type and a value; see section 2.2 of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlv {
    /// What it is, for example [`Tlv::AUTHORITY`].
    pub kind: u8,
    /// Whatever the type says.
    pub value: Vec<u8>,
}

impl Tlv {
    /// The protocol that was negotiated by TLS (ALPN).
    pub const ALPN: u8 = 0x01;
    /// The host name that the client has asked for (SNI).
    pub const AUTHORITY: u8 = 0x02;
    /// The header's checksum. It has been verified.
    pub const CRC32C: u8 = 0x03;
    /// Padding.
    pub const NOOP: u8 = 0x04;
    /// An identifier of the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// What is known of TLS; has values of this kind inside.
    pub const SSL: u8 = 0x20;
    /// The name of the network namespace.
    pub const NETNS: u8 = 0x30;
}

impl Header {
    /// For a connection that is passed on.
    pub fn proxied(source: Peer, destination: Peer) -> Header {
        Header { source: Some(source), destination: Some(destination), tlvs: Vec::new() }
    }

    /// For a connection of the proxy's own.
    pub fn local() -> Header {
        Header::default()
    }

    /// Adds a value, which only version 2 sends.
    #[must_use]
    pub fn tlv(mut self, kind: u8, value: impl Into<Vec<u8>>) -> Self {
        self.tlvs.push(Tlv { kind, value: value.into() });
        self
    }

    /// The first value of a type.
    #[inline]
    pub fn value(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs.iter().find(|tlv| tlv.kind == kind).map(|tlv| &tlv.value[..])
    }

    /// As a line of version 1. `PROXY UNKNOWN` when it has no addresses, or others than two of IPv4 or two of IPv6.
    #[inline]
    pub fn to_v1(&self) -> Vec<u8> {
        v1::encode(self.inet())
    }

    /// As a header of version 2. Addresses of different families are sent as UNSPEC. A checksum among the values is computed
    /// anew.
    ///
    /// # Errors
    ///
    /// [`Error::ProxyHeader`] when addresses and values are longer than 65,535 bytes together.
    #[inline]
    pub fn to_v2(&self) -> Result<Vec<u8>> {
        v2::encode(self).map_err(|reason| Error::ProxyHeader { reason })
    }

    fn inet(&self) -> Option<(SocketAddr, SocketAddr)> {
        match (&self.source, &self.destination) {
            (Some(Peer::Inet(source)), Some(Peer::Inet(destination))) => Some((*source, *destination)),
            _ => None,
        }
    }
}
