//! What is accepted from, whatever its family.

use std::{
    io,
    net::{self, TcpListener, TcpStream},
    os::unix::{
        self,
        net::{UnixListener, UnixStream},
    },
    rc::Rc,
};

use nix::libc;
use socket2::SockRef;

/// A listening socket and what is done with its connections. Behind `dyn`, so that there is one copy of what is above.
pub(super) trait Listening {
    /// Accepts one connection and hands it over.
    fn accept(&mut self) -> io::Result<()>;

    /// Accepts one connection and closes it.
    fn turn_away(&self) -> io::Result<()>;
}

pub(super) struct Socket<L, F> {
    /// Shared with the loop, which watches it.
    pub(super) listener: Rc<L>,
    pub(super) on_accept: F,
}

impl<F: FnMut(TcpStream, net::SocketAddr)> Listening for Socket<TcpListener, F> {
    fn accept(&mut self) -> io::Result<()> {
        // Non-blocking from the start, for which the standard library would take an ioctl(2).
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let (stream, peer) = SockRef::from(&*self.listener).accept4(flags)?;
        // `None` when a socket of another family was made into a `TcpListener`.
        let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
        (self.on_accept)(stream.into(), peer);
        Ok(())
    }

    fn turn_away(&self) -> io::Result<()> {
        self.listener.accept().map(drop)
    }
}

impl<F: FnMut(UnixStream, unix::net::SocketAddr)> Listening for Socket<UnixListener, F> {
    fn accept(&mut self) -> io::Result<()> {
        let (stream, peer) = self.listener.accept()?;
        (self.on_accept)(stream, peer);
        Ok(())
    }

    fn turn_away(&self) -> io::Result<()> {
        self.listener.accept().map(drop)
    }
}
