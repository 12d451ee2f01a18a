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
        let (stream, peer) = self.listener.accept()?;
        (self.on_accept)(stream, peer);
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
