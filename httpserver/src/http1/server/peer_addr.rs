use std::{
    cell::Cell,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

use iostream::Peer;

/// The address of a client in 16 bytes, where a [`SocketAddr`] takes 32: every connection has one. What does not fit, which is
/// an address of IPv6 alone, is boxed. An address of IPv4 fits, also as sockets for both versions show it, mapped into IPv6.
///
/// The flow of an address of IPv6 is not kept. No socket tells one unless it was asked to, and servers ask none.
#[derive(Default)]
pub(super) struct PeerAddr {
    short: Cell<Option<Short>>,
    long: Cell<Option<Box<Long>>>,
}

#[derive(Clone, Copy)]
struct Short {
    ip: Ipv4Addr,
    port: u16,
    is_mapped: bool,
}

#[derive(Clone, Copy)]
struct Long {
    ip: Ipv6Addr,
    port: u16,
    /// In bytes, which need no room to be aligned: with the allocator's own it is 32.
    scope: [u8; 4],
}

/// The peer that has this address, with a Unix socket for whatever has none.
pub(crate) fn as_peer(addr: Option<SocketAddr>) -> Peer {
    addr.map_or(Peer::Unix(None), Peer::Inet)
}

impl PeerAddr {
    pub(super) fn new(addr: Option<SocketAddr>) -> PeerAddr {
        let peer = PeerAddr::default();
        peer.set(addr);
        peer
    }

    #[inline]
    pub(super) fn get(&self) -> Option<SocketAddr> {
        match self.short.get() {
            Some(Short { ip, port, is_mapped: false }) => Some((ip, port).into()),
            Some(Short { ip, port, is_mapped: true }) => Some((ip.to_ipv6_mapped(), port).into()),
            None => self.get_long(),
        }
    }

    fn get_long(&self) -> Option<SocketAddr> {
        let long = self.long.take()?;
        let Long { ip, port, scope } = *long;
        self.long.set(Some(long));
        Some(SocketAddrV6::new(ip, port, 0, u32::from_ne_bytes(scope)).into())
    }

    #[inline]
    pub(super) fn set(&self, addr: Option<SocketAddr>) {
        let (short, long) = match addr {
            None => (None, None),
            Some(SocketAddr::V4(addr)) => (Some(Short { ip: *addr.ip(), port: addr.port(), is_mapped: false }), None),
            Some(SocketAddr::V6(addr)) => match addr.ip().to_ipv4_mapped() {
                Some(ip) if addr.scope_id() == 0 => (Some(Short { ip, port: addr.port(), is_mapped: true }), None),
                _ => (None, Some(long(addr))),
            },
        };
        self.short.set(short);
        self.long.set(long);
    }
}

fn long(addr: SocketAddrV6) -> Box<Long> {
    Box::new(Long { ip: *addr.ip(), port: addr.port(), scope: addr.scope_id().to_ne_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_comes_back() {
        let addrs = [
            "192.0.2.1:80",
            "0.0.0.0:0",
            "[::ffff:192.0.2.1]:65535",
            "[::]:0",
            "[2001:db8::1]:443",
            "[fe80::1%7]:8080",
        ];
        let peer = PeerAddr::new(None);
        assert_eq!(peer.get(), None);
        for addr in addrs {
            let addr: SocketAddr = addr.parse().unwrap();
            peer.set(Some(addr));
            assert_eq!((peer.get(), peer.get()), (Some(addr), Some(addr)));
        }
        peer.set(None);
        assert_eq!(peer.get(), None);
    }

    #[test]
    fn it_is_small() {
        assert_eq!((size_of::<PeerAddr>(), size_of::<Long>()), (16, 22));
    }
}
