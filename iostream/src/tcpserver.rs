use std::{
    cell::{Cell, RefCell},
    fmt,
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    rc::Rc,
};

use ioloop::IOLoop;

use crate::{
    Error, IOStream, Result,
    netutil::{AcceptHandle, BindOptions, add_accept_handler, bind_sockets},
};

/// A server: calls an async function for every connection, each in a task of its own on the current loop.
///
/// When the function returns, its handle of the stream is dropped; what was written is still sent. Its error is logged
/// once: quietly (debug) when the peer has gone or time ran out, else as a warning. A panic ends that connection alone.
///
/// There are three ways to start one. [`listen`](TcpServer::listen) does it all. [`bind`](TcpServer::bind) and
/// [`start`](TcpServer::start) have a moment between them, to drop privileges for example.
/// [`add_sockets`](TcpServer::add_sockets) takes listening sockets from anywhere, such as
/// [`bind_sockets`] with options.
///
/// A handle: clones are the same server. Dropping all of them does not stop it, [`stop`](TcpServer::stop) does.
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
/// println!("listening on {}", server.listen(("127.0.0.1", 8888))?);
/// IOLoop::current().start();
/// # Ok(())
/// # }
/// ```
pub struct TcpServer<H> {
    shared: Rc<Shared<H>>,
}

struct Shared<H> {
    handler: H,
    /// Bound, and not yet started.
    bound: RefCell<Vec<TcpListener>>,
    accepting: RefCell<Vec<(SocketAddr, AcceptHandle)>>,
    connections: Cell<usize>,
}

impl<H> TcpServer<H>
where
    H: AsyncFn(IOStream, SocketAddr) -> Result<()> + 'static,
{
    /// A server that does not listen yet. `handler` is given each connection and the address of its peer.
    pub fn new(handler: H) -> Self {
        let shared = Shared {
            handler,
            bound: RefCell::new(Vec::new()),
            accepting: RefCell::new(Vec::new()),
            connections: Cell::new(0),
        };
        TcpServer { shared: Rc::new(shared) }
    }

    /// Listens on `addr`, with the defaults of [`bind_sockets`]. Gives the first address listened on, which tells the
    /// port when 0 was asked for.
    ///
    /// # Errors
    ///
    /// As [`bind_sockets`] and [`add_accept_handler`].
    pub fn listen(&self, addr: impl ToSocketAddrs) -> Result<SocketAddr> {
        let first = self.bind(addr)?;
        self.start()?;
        Ok(first)
    }

    /// Binds to `addr` and lets connections queue in the kernel, to be accepted after [`start`](TcpServer::start). Gives
    /// the first address.
    ///
    /// # Errors
    ///
    /// As [`bind_sockets`].
    pub fn bind(&self, addr: impl ToSocketAddrs) -> Result<SocketAddr> {
        let sockets = bind_sockets(addr, &BindOptions::new())?;
        // There is at least one, or there was an error.
        let first = sockets[0].local_addr()?;
        self.shared.bound.borrow_mut().extend(sockets);
        Ok(first)
    }

    /// Begins to accept from what [`bind`](TcpServer::bind) has bound.
    ///
    /// # Errors
    ///
    /// As [`add_accept_handler`].
    pub fn start(&self) -> Result<()> {
        let bound = self.shared.bound.take();
        self.add_sockets(bound)
    }

    /// Accepts from these listening sockets too.
    ///
    /// # Errors
    ///
    /// As [`add_accept_handler`].
    pub fn add_sockets(&self, sockets: Vec<TcpListener>) -> Result<()> {
        for socket in sockets {
            let addr = socket.local_addr()?;
            let shared = self.shared.clone();
            let handle = add_accept_handler(socket, move |stream, peer| shared.serve(stream, peer))?;
            self.shared.accepting.borrow_mut().push((addr, handle));
        }
        Ok(())
    }
}

impl<H> TcpServer<H> {
    /// Stops listening. Connections that have been accepted go on. Does nothing the second time; may be called by the
    /// handler.
    pub fn stop(&self) {
        self.shared.bound.take();
        let accepting = self.shared.accepting.take();
        accepting.iter().for_each(|(_, handle)| handle.stop());
    }

    /// The addresses that are accepted from.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.shared.accepting.borrow().iter().map(|(addr, _)| *addr).collect()
    }

    /// How many connections are being handled.
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }
}

impl<H> Shared<H>
where
    H: AsyncFn(IOStream, SocketAddr) -> Result<()> + 'static,
{
    fn serve(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let stream = match IOStream::from_accepted(stream) {
            Ok(stream) => stream,
            Err(error) => return log::error!("taking on the connection of {peer}: {error}"),
        };
        let counted = Counted::new(self.clone());
        IOLoop::current().spawn_detached(async move {
            if let Err(error) = (counted.0.handler)(stream, peer).await {
                log_error(peer, &error);
            }
        });
    }
}

/// Counts a connection for as long as it lives, also when its handler panics.
struct Counted<H>(Rc<Shared<H>>);

impl<H> Counted<H> {
    fn new(shared: Rc<Shared<H>>) -> Self {
        shared.connections.set(shared.connections.get() + 1);
        Counted(shared)
    }
}

impl<H> Drop for Counted<H> {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
    }
}

fn log_error(peer: SocketAddr, error: &Error) {
    let level = if error.is_closed() || error.is_timed_out() { log::Level::Debug } else { log::Level::Warn };
    log::log!(level, "connection of {peer}: {error}");
}

impl<H> Clone for TcpServer<H> {
    fn clone(&self) -> Self {
        TcpServer { shared: self.shared.clone() }
    }
}

impl<H> fmt::Debug for TcpServer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer")
            .field("local_addrs", &self.local_addrs())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
