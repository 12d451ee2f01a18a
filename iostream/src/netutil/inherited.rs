use std::{
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
};

use ioloop::process;
use socket2::{Domain, SockRef, Socket};

use super::KeepAlive;
use crate::{Error, Result, check};

/// A listening socket of either kind.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix stream socket.
    Unix(UnixListener),
}

impl Listener {
    /// The address; `None` for a Unix socket.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the system does not tell.
    pub fn local_addr(&self) -> Result<Option<SocketAddr>> {
        match self {
            Listener::Tcp(listener) => Ok(Some(listener.local_addr()?)),
            Listener::Unix(_) => Ok(None),
        }
    }

    /// Another handle of the same socket, with the same backlog: to keep one that is to be
    /// [passed on](ioloop::process::spawn_with_fds), for example, and to serve the other.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when descriptors have run out.
    #[inline]
    pub fn try_clone(&self) -> Result<Listener> {
        Ok(match self {
            Listener::Tcp(listener) => Listener::Tcp(listener.try_clone()?),
            Listener::Unix(listener) => Listener::Unix(listener.try_clone()?),
        })
    }
}

impl AsFd for Listener {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Listener {
        Listener::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Listener {
        Listener::Unix(listener)
    }
}

/// Finds out which kind it is, and makes it non-blocking. Fails with [`Error::NotAListener`] when it is none.
impl TryFrom<OwnedFd> for Listener {
    type Error = Error;

    #[inline]
    fn try_from(fd: OwnedFd) -> Result<Listener> {
        let socket = Socket::from(fd);
        check::listener(&socket)?;
        let domain = socket.domain()?;
        socket.set_nonblocking(true)?;
        match domain {
            Domain::IPV4 | Domain::IPV6 => Ok(Listener::Tcp(socket.into())),
            Domain::UNIX => Ok(Listener::Unix(socket.into())),
            _ => Err(Error::NotAListener { reason: "its family is neither IP nor Unix" }),
        }
    }
}

/// A listening socket that a service manager has opened for this process.
#[derive(Debug)]
#[non_exhaustive]
pub struct InheritedSocket {
    /// The socket; non-blocking, and closed in programs that this one starts.
    pub listener: Listener,
    /// Its name: systemd's `FileDescriptorName=`, by default the name of the socket unit.
    pub name: String,
}

/// The listening sockets that a service manager has opened for this process (socket activation), in order. None when the
/// process was started in another way.
///
/// They are those of [`process::inherited_fds`], which can be taken once in the life of a process and before it forks.
/// [`KeepAlive::new`] is set on TCP sockets for the connections to come, unless the manager has set `SO_KEEPALIVE` itself
/// (`KeepAlive=` in systemd's unit).
///
/// # Errors
///
/// [`Error::Loop`] for a second call, and when the environment makes no sense. [`Error::NotAListener`] when one of the
/// descriptors is something else: take a mixture apart with [`process::inherited_fds`] and [`Listener::try_from`].
///
/// # Examples
///
/// ```
/// use iostream::{IOStream, TcpServer, netutil::inherited_sockets};
///
/// let server = TcpServer::new(async |stream: IOStream, _peer| stream.write("hello\n").await);
/// let inherited = inherited_sockets()?;
/// if inherited.is_empty() {
///     // Started by hand.
///     server.listen("127.0.0.1:0")?;
/// } else {
///     server.add_sockets(inherited.into_iter().map(|socket| socket.listener))?;
/// }
/// # Ok::<_, iostream::Error>(())
/// ```
#[inline]
pub fn inherited_sockets() -> Result<Vec<InheritedSocket>> {
    process::inherited_fds()?
        .into_iter()
        .map(|inherited| {
            let listener = Listener::try_from(inherited.fd)?;
            if let Listener::Tcp(socket) = &listener
                && !SockRef::from(socket).keepalive()?
            {
                KeepAlive::new().apply(socket)?;
            }
            Ok(InheritedSocket { listener, name: inherited.name })
        })
        .collect()
}
