use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, TcpStream},
};

use ioloop::{Ready, Source};
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use crate::{
    Error, IOStream, Result,
    error::errno,
    transport::{Tcp, Transport},
};

impl IOStream {
    /// Connects to `addr` over TCP.
    ///
    /// Put [`ioloop::timeout`] around it to wait for less than the system's two minutes. For the name of a host there is
    /// [`TcpClient`](crate::TcpClient).
    ///
    /// # Errors
    ///
    /// [`Error::Connect`], which names the address.
    ///
    /// # Cancel safety
    ///
    /// A dropped attempt is given up and its socket closed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use iostream::{IOLoop, IOStream, timeout};
    /// use std::time::Duration;
    ///
    /// # fn main() -> iostream::Result<()> {
    /// let stream = IOLoop::current().run_sync(async {
    ///     let addr = "127.0.0.1:7".parse().expect("an address");
    ///     timeout(Duration::from_secs(5), IOStream::connect(addr)).await?
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub async fn connect(addr: SocketAddr) -> Result<IOStream> {
        connect_from(addr, None).await
    }
}

/// Connects to `addr` from `source`, or from whatever address the system chooses.
pub(crate) async fn connect_from(addr: SocketAddr, source: Option<SocketAddr>) -> Result<IOStream> {
    let socket = start_connect(addr, source).map_err(Error::connect(addr))?;
    let source = Source::new(socket)?;
    // A new source counts as writable, which a socket is only once it is connected.
    source.clear(Ready::WRITABLE);
    poll_fn(|cx| source.poll_ready(cx, Ready::WRITABLE)).await;
    match source.get_ref().take_error() {
        Ok(None) => Ok(IOStream::from_transport(Transport::Tcp(Tcp::new(source)), true)),
        Ok(Some(error)) | Err(error) => Err(Error::connect(addr)(error)),
    }
}

#[inline]
fn start_connect(addr: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = new_socket(addr)?;
    if let Some(source) = source {
        bind_source(&socket, source)
            .map_err(|error| io::Error::new(error.kind(), format!("from {source}: {error}")))?;
    }
    match socket.connect(&addr.into()) {
        // `EINTR`: the attempt goes on by itself.
        Err(error) if !matches!(errno(&error), Errno::EINPROGRESS | Errno::EINTR) => Err(error),
        _ => Ok(socket.into()),
    }
}

#[inline]
fn bind_source(socket: &Socket, source: SocketAddr) -> io::Result<()> {
    // A port of one's own choice is used for several addresses, at the same time too.
    if source.port() != 0 {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&source.into())
}

/// A non-blocking TCP socket, closed on exec, of the family of `addr`.
#[inline]
pub(crate) fn new_socket(addr: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking().cloexec(), None)
}
