mod handle;
mod options;
mod state;
#[cfg(feature = "tls")]
mod tls;

use std::{
    cell::RefCell,
    fmt,
    net::{SocketAddr, TcpListener},
    rc::Rc,
};

use ioloop::{IOLoop, Printable};

use self::state::{Connection, ServerState};
use crate::{
    ConnectionLimits, Error, IOStream, Peer, Refusal, Result,
    netutil::{BindOptions, Listener, ToListenAddrs, bind_sockets},
};

pub use self::{
    handle::{DrainReport, ServerHandle},
    options::ServerOptions,
};

/// A server: calls an async function for every connection, each in a task of its own on the current loop.
///
/// When the function returns, its handle of the stream is dropped; what was written is still sent. Its error is logged
/// once: quietly (debug) when the peer has gone or time ran out, else as a warning. A panic ends that connection alone.
///
/// There are three ways to start, as in Tornado:
///
/// * [`listen`](TcpServer::listen) does it all.
/// * [`bind`](TcpServer::bind) and [`start`](TcpServer::start) have a moment between them, to drop privileges or to
///   [fork](ioloop::process): then each of the processes starts, and they share the connections.
/// * [`add_sockets`](TcpServer::add_sockets) takes listening sockets from anywhere: [`bind_sockets`] with options,
///   [`bind_unix_socket`](crate::netutil::bind_unix_socket),
///   [`inherited_sockets`](crate::netutil::inherited_sockets).
///
/// Each of them returns a [`ServerHandle`], by which the server is asked and stopped. Dropping the server or its handles
/// does not stop it. Despite its name it serves Unix sockets too.
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
///
/// One process for each processor, which share a port:
///
/// ```no_run
/// # use iostream::{IOLoop, IOStream, TcpServer, ioloop::process::fork_processes};
/// # fn main() -> iostream::Result<()> {
/// let server = TcpServer::new(async |stream: IOStream, _peer| stream.write("hello\n").await);
/// server.bind(8888)?;
/// // Before anything uses the loop: a loop cannot be shared by two processes.
/// fork_processes(0, 100)?;
/// server.start()?;
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
    /// A server that does not listen yet, with the default [`ServerOptions`]. `handler` is given each connection and
    /// the address of its peer. A peer over a Unix socket has none and is shown as `0.0.0.0:0`, as in Tornado; see
    /// [`with_peers`](TcpServer::with_peers).
    pub fn new<H>(handler: H) -> TcpServer
    where
        H: AsyncFn(IOStream, SocketAddr) -> Result<()> + 'static,
    {
        TcpServer::with_options(handler, ServerOptions::new())
    }

    /// A server with limits of your own. A connection beyond them is closed at once.
    pub fn with_limits<H>(handler: H, limits: ConnectionLimits) -> TcpServer
    where
        H: AsyncFn(IOStream, SocketAddr) -> Result<()> + 'static,
    {
        TcpServer::with_options(handler, limits.into())
    }

    /// A server with options of your own.
    pub fn with_options<H>(handler: H, options: ServerOptions) -> TcpServer
    where
        H: AsyncFn(IOStream, SocketAddr) -> Result<()> + 'static,
    {
        TcpServer::from_handler(handler, |peer| peer.socket_addr(), options)
    }

    /// As [`with_options`](TcpServer::with_options), with a handler that tells TCP peers from those over a Unix socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOStream, Peer, ServerOptions, TcpServer, netutil::{UnixBindOptions, bind_unix_socket}};
    ///
    /// let greet = async |stream: IOStream, peer: Peer| stream.write(format!("hello, {peer}\n")).await;
    /// let server = TcpServer::with_peers(greet, ServerOptions::new());
    /// server.listen(("127.0.0.1", 0))?;
    /// server.add_sockets([bind_unix_socket("\0example.greetings", &UnixBindOptions::new())?])?;
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub fn with_peers<H>(handler: H, options: ServerOptions) -> TcpServer
    where
        H: AsyncFn(IOStream, Peer) -> Result<()> + 'static,
    {
        TcpServer::from_handler(handler, Peer::clone, options)
    }

    /// `show` makes of the peer what the handler is given.
    fn from_handler<H, P: 'static>(handler: H, show: fn(&Peer) -> P, options: ServerOptions) -> TcpServer
    where
        H: AsyncFn(IOStream, P) -> Result<()> + 'static,
    {
        let handler = Rc::new(handler);
        // The type of the handler ends here. It spawns by itself, so that its future needs no box beside the task.
        let serve = move |stream: IOStream, peer: Peer, connection: Connection| {
            let handler = Rc::clone(&handler);
            IOLoop::current().spawn_detached(async move {
                let _connection = connection;
                if let Err(error) = handler(stream, show(&peer)).await {
                    log_error(&peer, &error);
                }
            });
        };
        TcpServer { state: ServerState::new(Box::new(serve), options), bound: RefCell::default() }
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

    /// Accepts from these listening sockets too, TCP or Unix: `TcpListener`s, `UnixListener`s or [`Listener`]s. They keep
    /// the options they have. When it fails it accepts from none of them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] (`InvalidInput`) when there are none, [`Error::NotAListener`] when one is something else,
    /// [`Error::Loop`] when the loop cannot watch one.
    pub fn add_sockets<L: Into<Listener>>(&self, sockets: impl IntoIterator<Item = L>) -> Result<ServerHandle> {
        let sockets = sockets.into_iter().map(L::into).collect();
        self.state.accept_from(sockets).map(|first| ServerHandle::new(&self.state, first))
    }

    /// A handle of the server, whatever it listens on. Its [`local_addr`](ServerHandle::local_addr) is the first that it
    /// listens on now, or `0.0.0.0:0`.
    #[inline]
    pub fn handle(&self) -> ServerHandle {
        let first = self.state.local_addrs().first().copied();
        ServerHandle::new(&self.state, first.unwrap_or_else(|| Peer::Unix(None).socket_addr()))
    }

    /// Serves one stream from anywhere, such as one end of [`memory::pair`](crate::memory::pair), as if it had been accepted
    /// from `peer`. Returns at once: the handler runs in a task of its own.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when a limit is reached. The stream is closed.
    #[inline]
    pub fn serve_stream(&self, stream: IOStream, peer: Peer) -> Result<(), Refusal> {
        self.state.take_on(stream, peer)
    }
}

#[inline]
pub(super) fn log_error(peer: &Peer, error: &Error) {
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
