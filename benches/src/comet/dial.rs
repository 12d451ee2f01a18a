//! Connections from a source address of one's own: between two addresses there are 28,000 ports by default.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    os::fd::AsRawFd,
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

/// Connects, from `source` if that is given.
pub(super) fn dial(server: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let family = if server.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    if let (Some(source), true) = (source, server.is_ipv4()) {
        // Without it, the port is chosen before the kernel knows where to, and has to be free for all destinations.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddrV4::new(source, 0)))?;
    }
    connect(socket.as_raw_fd(), &SockaddrStorage::from(server))?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The source address of the client with this number: another one for every 10,000, if the server is on this machine.
pub(super) fn source(server: SocketAddr, client: usize) -> Option<Ipv4Addr> {
    const PER_ADDRESS: usize = 10_000;
    // Beginning with 127.1.0.1, which nothing else uses.
    let number = (client / PER_ADDRESS) as u32;
    server.ip().is_loopback().then(|| Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn clients_beyond_ten_thousand_have_another_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        for (client, expected) in [(0, [127, 1, 0, 1]), (9_999, [127, 1, 0, 1]), (10_000, [127, 1, 0, 2])] {
            let stream = dial(server, source(server, client)).unwrap();
            assert_eq!(stream.local_addr().unwrap().ip(), Ipv4Addr::from(expected));
        }
        assert_eq!(source("10.0.0.1:80".parse().unwrap(), 0), None);
    }
}
