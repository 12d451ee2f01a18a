mod handle;
mod state;

use std::{
    cell::RefCell,
    fmt,
    net::{SocketAddr, TcpListener},
    rc::Rc,
};

use ioloop::{IOLoop, Printable};

use self::state::{Connection, ServerState};
use crate::{
    ConnectionLimits, Error, IOStream, Result,
    netutil::{BindOptions, ToListenAddrs, bind_sockets},
};

pub use self::handle::{DrainReport, ServerHandle};

/// A server: calls an async function for every connection, each in a task of its own on the current loop.
///
/// When the function returns, its handle of the stream is dropped; what was written is still sent. Its error is logged
/// once: quietly (debug) when the peer has gone or time ran out, else as a warning. A panic ends that connection alone.
///
/// There are three ways to start. [`listen`](TcpServer::listen) does it all. [`bind`](TcpServer::bind) and
/// [`start`](TcpServer::start) have a moment between them, to drop privileges for example.
/// [`add_sockets`](TcpServer::add_sockets) takes listening sockets from anywhere, such as [`bind_sockets`] with options.
/// Each of them returns a [`ServerHandle`], by which the server is asked and stopped. Dropping the server or its handles
/// does not stop it.
///
/// # Examples
///
/// A server that sends every line back:
///
/// ```no_run
/// use iostream::{IOLoop, IOStream, TcpServer};
/// use std::net::SocketAddr;
///
/// # fn main() -> iostream::Result<()> {
/// let server = TcpServer::new(async |stream: IOStream, _peer: SocketAddr| -> iostream::Result<()> {
///     loop {
///         let line = stream.read_until(b"\n").max_bytes(4096).await?;
///         stream.write(line).await?;
///     }
/// });
/// println!("listening on {}", server.listen(("127.0.0.1", 8888))?.local_addr());
/// IOLoop::current().start();
/// # Ok(())
/// # }
/// ```
pub struct TcpServer {
    state: Rc<ServerState>,
    /// Bound, and not yet started.
    bound: RefCell<Vec<TcpListener>>,
}

impl TcpServer {
    /// A server that does not listen yet, with the default [`ConnectionLimits`]. `handler` is given each connection and
    /// the address of its peer.
    pub fn new<H>(handler: H) -> TcpServer
    where
        H: AsyncFn(IOStream, SocketAddr) -> Result<()> + 'static,
    {
        TcpServer::with_limits(handler, ConnectionLimits::new())
    }

    /// A server with limits of your own. A connection beyond them is closed at once.
    pub fn with_limits<H>(handler: H, limits: ConnectionLimits) -> TcpServer
    where
        H: AsyncFn(IOStream, SocketAddr) -> Result<()> + 'static,
    {
        let handler = Rc::new(handler);
        // The type of the handler ends here. It spawns by itself, so that its future needs no box beside the task.
        let serve = move |stream: IOStream, peer: SocketAddr, connection: Connection| {
            let handler = Rc::clone(&handler);
            IOLoop::current().spawn_detached(async move {
                let _connection = connection;
                if let Err(error) = handler(stream, peer).await {
                    log_error(peer, &error);
                }
            });
        };
        TcpServer { state: ServerState::new(Box::new(serve), limits), bound: RefCell::default() }
    }

    /// Listens on all addresses that `addr` stands for, with the defaults of [`bind_sockets`]. May be called several
    /// times.
    ///
    /// # Errors
    ///
    /// As [`bind`](TcpServer::bind) and [`start`](TcpServer::start).
    pub fn listen(&self, addr: impl ToListenAddrs) -> Result<ServerHandle> {
        self.add_sockets(bind_sockets(addr, &BindOptions::new())?)
    }

    /// Binds to `addr` and lets connections queue in the kernel, to be accepted after [`start`](TcpServer::start). Returns
    /// the first address, which tells the port when 0 was asked for.
    ///
    /// # Errors
    ///
    /// As [`bind_sockets`].
    pub fn bind(&self, addr: impl ToListenAddrs) -> Result<SocketAddr> {
        let sockets = bind_sockets(addr, &BindOptions::new())?;
        // There is at least one, or there was an error.
        let first = sockets[0].local_addr()?;
        self.bound.borrow_mut().extend(sockets);
        Ok(first)
    }

    /// Begins to accept from what [`bind`](TcpServer::bind) has bound.
    ///
    /// # Errors
    ///
    /// As [`add_sockets`](TcpServer::add_sockets).
    #[inline]
    pub fn start(&self) -> Result<ServerHandle> {
        let bound = self.bound.take();
        self.add_sockets(bound)
    }

    /// Accepts from these listening sockets too.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] (`InvalidInput`) when there are none, [`Error::Loop`] when the loop cannot watch one.
    #[inline]
    pub fn add_sockets(&self, sockets: Vec<TcpListener>) -> Result<ServerHandle> {
        self.state.accept_from(sockets).map(|first| ServerHandle::new(&self.state, first))
    }
}

#[inline]
fn log_error(peer: SocketAddr, error: &Error) {
    let level = if error.is_closed() || error.is_timed_out() { log::Level::Debug } else { log::Level::Warn };
    // The text may be the handler's own, made from what the peer sent.
    log::log!(level, "connection of {peer}: {}", Printable::display(&error));
}

impl fmt::Debug for TcpServer {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer")
            .field("local_addrs", &self.state.local_addrs())
            .field("connections", &self.state.connections())
            .finish_non_exhaustive()
    }
}
