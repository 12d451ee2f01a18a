use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

use crate::{Error, Result};

/// What a server can be told to listen on.
///
/// As [`std::net::ToSocketAddrs`], with every address of the machine besides. That is written as a port alone (`8888`), or
/// with an empty host (`("", 8888)`, `":8888"`), and stands for `0.0.0.0` and `[::]`.
///
/// A host name is looked up by the system, which blocks: names belong to the start of a program. `localhost` usually stands
/// for `127.0.0.1` and `::1`. IPv4 comes first, whatever order the system prefers for clients.
///
/// # Examples
///
/// ```
/// use iostream::netutil::ToListenAddrs;
///
/// let any = 8888u16.to_listen_addrs()?;
/// assert_eq!(any, ["0.0.0.0:8888".parse().unwrap(), "[::]:8888".parse().unwrap()]);
/// assert_eq!(("", 8888).to_listen_addrs()?, any);
/// assert_eq!("192.0.2.1:80".to_listen_addrs()?, [([192, 0, 2, 1], 80).into()]);
/// # Ok::<_, iostream::Error>(())
/// ```
pub trait ToListenAddrs {
    /// The addresses, in the order in which they are to be bound.
    ///
    /// # Errors
    ///
    /// [`Error::Resolve`] when a name cannot be resolved or the text is not an address with a port.
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>>;
}

/// Every address of the machine. IPv4 first: with port 0 it is IPv4 that chooses.
#[inline]
fn any(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
}

#[inline]
fn resolve(host: &str, addrs: impl ToSocketAddrs) -> Result<Vec<SocketAddr>> {
    let (mut ipv4, mut ipv6) = (Vec::new(), Vec::new());
    // Within a family the system's order stays.
    for addr in addrs.to_socket_addrs().map_err(Error::resolve(host))? {
        if addr.is_ipv4() { ipv4.push(addr) } else { ipv6.push(addr) }
    }
    ipv4.append(&mut ipv6);
    Ok(ipv4)
}

impl ToListenAddrs for u16 {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        Ok(any(*self))
    }
}

impl ToListenAddrs for str {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        match self.strip_prefix(':').map(str::parse) {
            Some(Ok(port)) => Ok(any(port)),
            _ => resolve(self, self),
        }
    }
}

impl ToListenAddrs for String {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        self.as_str().to_listen_addrs()
    }
}

impl ToListenAddrs for (&str, u16) {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        match *self {
            ("", port) => Ok(any(port)),
            (host, _) => resolve(host, self),
        }
    }
}

impl ToListenAddrs for (String, u16) {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        (self.0.as_str(), self.1).to_listen_addrs()
    }
}

impl ToListenAddrs for [SocketAddr] {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl<const N: usize> ToListenAddrs for [SocketAddr; N] {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl ToListenAddrs for Vec<SocketAddr> {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        Ok(self.clone())
    }
}

impl<T: ToListenAddrs + ?Sized> ToListenAddrs for &T {
    #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
        (**self).to_listen_addrs()
    }
}

/// What is one address by itself.
macro_rules! one_address {
    ($($kind:ty),* $(,)?) => {$(
        impl ToListenAddrs for $kind {
            #[inline]
    fn to_listen_addrs(&self) -> Result<Vec<SocketAddr>> {
                Ok(vec![(*self).into()])
            }
        }
    )*};
}

one_address!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));
