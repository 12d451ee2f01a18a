use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::{self, ffi::OsStrExt},
    path::PathBuf,
};

use ioloop::Printable;

/// Who is at the other end of an accepted connection.
///
/// # Examples
///
/// ```
/// use iostream::Peer;
///
/// let peer = Peer::Inet(([192, 0, 2, 1], 50_000).into());
/// assert_eq!(peer.to_string(), "192.0.2.1:50000");
/// assert_eq!(Peer::Unix(None).to_string(), "a Unix socket");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// An address and port: the one that the connection came from or, with the
    /// [PROXY protocol](crate::proxy_protocol), the one that the proxy has announced.
    Inet(SocketAddr),
    /// A Unix socket, with its path if it is bound to one, which clients seldom are.
    Unix(Option<PathBuf>),
}

impl Peer {
    /// The address; `0.0.0.0:0` for a Unix socket, as in Tornado.
    pub fn socket_addr(&self) -> SocketAddr {
        match self {
            Peer::Inet(addr) => *addr,
            Peer::Unix(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }

    /// The IP address; `None` for a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Inet(addr) => Some(addr.ip()),
            Peer::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    #[inline]
    fn from(addr: SocketAddr) -> Peer {
        Peer::Inet(addr)
    }
}

impl From<unix::net::SocketAddr> for Peer {
    #[inline]
    fn from(addr: unix::net::SocketAddr) -> Peer {
        Peer::Unix(addr.as_pathname().map(ToOwned::to_owned))
    }
}

impl fmt::Display for Peer {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Inet(addr) => addr.fmt(f),
            Peer::Unix(None) => f.write_str("a Unix socket"),
            Peer::Unix(Some(path)) => Printable::bytes(path.as_os_str().as_bytes()).fmt(f),
        }
    }
}
