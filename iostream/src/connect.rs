use std::{
    future::poll_fn,
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
};

use ioloop::{Ready, Source};
use nix::{
    errno::Errno,
    sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage},
};

use crate::{
    Error, IOStream, Result,
    transport::{Tcp, Transport},
};

impl IOStream {
    /// Connects to `addr` over TCP.
    ///
    /// Put [`ioloop::timeout`] around it to wait for less than the system's two minutes.
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
    pub async fn connect(addr: SocketAddr) -> Result<IOStream> {
        let socket = start_connect(addr).map_err(|errno| Error::connect(addr)(errno.into()))?;
        let source = Source::new(socket)?;
        // A new source counts as writable, which a socket is only once it is connected.
        source.clear(Ready::WRITABLE);
        poll_fn(|cx| source.poll_ready(cx, Ready::WRITABLE)).await;
        match source.get_ref().take_error() {
            Ok(None) => Ok(IOStream::from_transport(Transport::Tcp(Tcp::new(source)), true)),
            Ok(Some(error)) | Err(error) => Err(Error::connect(addr)(error)),
        }
    }
}

fn start_connect(addr: SocketAddr) -> nix::Result<TcpStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(family(addr), SockType::Stream, flags, None)?;
    match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(addr)) {
        // `EINTR`: the attempt goes on by itself.
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(TcpStream::from(socket)),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn family(addr: SocketAddr) -> AddressFamily {
    if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
