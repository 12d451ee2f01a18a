use std::{
    io,
    net::{Ipv6Addr, SocketAddr, TcpListener},
};

use nix::errno::Errno;
use socket2::SockRef;

use super::{Family, KeepAlive, ToListenAddrs};
use crate::{
    Error, Result,
    connect::new_socket,
    error::{errno, kind},
};

/// How often a port chosen by the system may turn out to be taken for another of the addresses.
const PORT_ATTEMPTS: usize = 8;

/// How [`bind_sockets`] binds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BindOptions {
    /// How many connections may wait to be accepted; 4096 by default. The system caps it at
    /// `/proc/sys/net/core/somaxconn`.
    pub backlog: u32,
    /// Whether other sockets, of this process or another of the same user, may be bound to the same address, each
    /// getting a share of the connections (`SO_REUSEPORT`); off by default.
    pub reuse_port: bool,
    /// Which of the addresses are bound; both families by default.
    pub family: Family,
    /// How accepted connections find out that their peer has vanished.
    pub keep_alive: KeepAlive,
}

impl BindOptions {
    /// The defaults.
    pub fn new() -> Self {
        BindOptions { backlog: 4096, reuse_port: false, family: Family::Any, keep_alive: KeepAlive::new() }
    }

    /// Sets [`backlog`](BindOptions::backlog).
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets [`reuse_port`](BindOptions::reuse_port).
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Sets [`family`](BindOptions::family).
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Sets [`keep_alive`](BindOptions::keep_alive).
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = keep_alive;
        self
    }
}

impl Default for BindOptions {
    fn default() -> Self {
        BindOptions::new()
    }
}

/// Listening, non-blocking sockets for every address that `addr` stands for: a port alone (`8888`) or with an empty host is
/// every address of the machine, `"localhost:8888"` usually the two loopback addresses. With port 0 the system chooses one,
/// the same for all. See [`ToListenAddrs`].
///
/// `SO_REUSEADDR` is set, so that a restarted server gets its port back at once. IPv6 sockets take IPv6 alone
/// (`IPV6_V6ONLY`); IPv4 has a socket of its own. [`KeepAlive`] is set for the connections to come. A host name is looked up
/// by the system, which may block.
///
/// An address that is this machine's and cannot be had is skipped in two cases, as long as another one is left: of a family
/// that the kernel does not know (`EAFNOSUPPORT`), and `::1` or `::` beside their like of IPv4 where IPv6 is turned off
/// (`EADDRNOTAVAIL`), which containers often do. Any other address that the machine does not have is probably a mistake in a
/// configuration, and an error.
///
/// # Errors
///
/// [`Error::Resolve`] when a name cannot be resolved. [`Error::Bind`] when an address cannot be bound. [`Error::Io`]
/// (`AddrNotAvailable`) when no address is left to bind, for example none of [`BindOptions::family`].
///
/// # Examples
///
/// ```
/// use iostream::netutil::{BindOptions, bind_sockets};
///
/// let sockets = bind_sockets(("127.0.0.1", 0), &BindOptions::new().backlog(128))?;
/// assert_ne!(sockets[0].local_addr()?.port(), 0);
/// # Ok::<_, iostream::Error>(())
/// ```
pub fn bind_sockets(addr: impl ToListenAddrs, options: &BindOptions) -> Result<Vec<TcpListener>> {
    let mut addrs: Vec<SocketAddr> = Vec::new();
    for addr in addr.to_listen_addrs()? {
        // The resolver may give one address several times.
        if options.family.matches(&addr) && !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    let mut attempt = 1;
    loop {
        match bind_all(&addrs, options) {
            Err(Error::Bind { addr, cause })
                if kind(&cause) == io::ErrorKind::AddrInUse
                    && attempt < PORT_ATTEMPTS
                    && addrs.contains(&SocketAddr::new(addr.ip(), 0)) =>
            {
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// Turns Nagle's algorithm off for every connection that `listener` accepts from now on.
///
/// Linux copies `TCP_NODELAY` from the listening socket, so this costs one system call in all, and
/// [`IOStream::set_nodelay`](crate::IOStream::set_nodelay) one per connection.
///
/// # Errors
///
/// [`Error::Io`] when the socket is not a TCP socket.
pub fn set_nodelay_for_accepted(listener: &TcpListener) -> Result<()> {
    Ok(SockRef::from(listener).set_tcp_nodelay(true)?)
}

fn bind_all(addrs: &[SocketAddr], options: &BindOptions) -> Result<Vec<TcpListener>> {
    let mut sockets: Vec<TcpListener> = Vec::with_capacity(addrs.len());
    let mut skipped = None;
    let mut chosen_port = 0;
    for &addr in addrs {
        let mut addr = addr;
        if addr.port() == 0 {
            addr.set_port(chosen_port);
        }
        match bind_one(addr, options) {
            Ok(socket) => {
                let port = socket.local_addr()?.port();
                if addr.port() == 0 {
                    chosen_port = port;
                }
                sockets.push(socket);
            }
            Err(error) if is_missing(addr, addrs, errno(&error)) => skipped = Some(Error::bind(addr)(error)),
            Err(error) => return Err(Error::bind(addr)(error)),
        }
    }
    match (sockets.is_empty(), skipped) {
        (false, _) => Ok(sockets),
        (true, Some(error)) => Err(error),
        (true, None) => Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to listen on").into()),
    }
}

/// Whether an address may be left out because the machine has no such family.
fn is_missing(addr: SocketAddr, addrs: &[SocketAddr], errno: Errno) -> bool {
    let with_ipv4 = |like: fn(&SocketAddr) -> bool| addrs.iter().any(|addr| addr.is_ipv4() && like(addr));
    match errno {
        Errno::EAFNOSUPPORT => true,
        // IPv6 can be turned off for addresses while its sockets remain.
        Errno::EADDRNOTAVAIL if addr.ip() == Ipv6Addr::LOCALHOST => with_ipv4(|addr| addr.ip().is_loopback()),
        Errno::EADDRNOTAVAIL if addr.ip() == Ipv6Addr::UNSPECIFIED => with_ipv4(|addr| addr.ip().is_unspecified()),
        _ => false,
    }
}

fn bind_one(addr: SocketAddr, options: &BindOptions) -> io::Result<TcpListener> {
    let socket = new_socket(addr)?;
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    options.keep_alive.apply(&socket)?;
    // Only now: the options count for what is bound after them.
    socket.bind(&addr.into())?;
    // listen(2) caps the number at somaxconn.
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}
