use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    rc::{Rc, Weak},
    task::{Poll, Waker},
    time::Duration,
};

use iostream::{
    IOLoop, IOStream,
    ioloop::{self, signal},
    netutil::{self, AcceptHandle, BindOptions},
};
use slab::Slab;

use crate::{
    Limits, Result, Service,
    date::DateCache,
    http1::{channel::Channel, connection},
};

/// An HTTP/1.1 server: a [`Service`], the sockets it listens on, and its connections, on the current loop.
///
/// A handle: clones are the same server. Dropping handles stops nothing; the loop keeps what listens.
///
/// There are three ways to start, as in Tornado: [`listen`](HttpServer::listen) does everything;
/// [`bind`](HttpServer::bind) and [`start`](HttpServer::start) are its two halves, with room in between to give up
/// privileges; [`add_sockets`](HttpServer::add_sockets) takes sockets that come from elsewhere.
///
/// # Examples
///
/// ```
/// use httpserver::{HttpServer, IOLoop, IOStream, Request, Response};
///
/// let server = HttpServer::new(async |request: Request| Response::text(format!("Hello from {}\n", request.path())));
/// let addr = server.listen(("127.0.0.1", 0))?;
/// let answer = IOLoop::current().run_sync(async {
///     let client = IOStream::connect(addr).await?;
///     client.write("GET /there HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n").await?;
///     client.read_until_close().await
/// })?;
/// assert!(answer.ends_with(b"Hello from /there\n"));
/// # Ok::<_, httpserver::Error>(())
/// ```
pub struct HttpServer<S> {
    inner: Rc<Inner<S>>,
}

struct Inner<S> {
    service: Rc<S>,
    state: Rc<ServerState>,
    /// Bound, not yet started.
    bound: RefCell<Vec<TcpListener>>,
    listening: RefCell<Vec<Listening>>,
}

struct Listening {
    addr: SocketAddr,
    handle: AcceptHandle,
}

/// What a server's connections share, whatever the service.
pub(crate) struct ServerState {
    pub(crate) limits: Limits,
    /// Of the loop that the server runs on.
    pub(crate) date: DateCache,
    draining: Cell<bool>,
    connections: RefCell<Slab<Weak<Channel>>>,
    /// Who waits for the last connection's end.
    drained: RefCell<Vec<Waker>>,
}

/// What a drain did; see [`HttpServer::drain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that waited for a request and were closed at once.
    pub idle: usize,
    /// Connections that finished what they were doing.
    pub finished: usize,
    /// Connections that were cut at the deadline.
    pub cut: usize,
}

impl<S: Service> HttpServer<S> {
    /// A server with the default [`Limits`].
    pub fn new(service: S) -> HttpServer<S> {
        HttpServer::with_limits(service, Limits::default())
    }

    /// A server with limits of your own.
    pub fn with_limits(service: S, limits: Limits) -> HttpServer<S> {
        HttpServer {
            inner: Rc::new(Inner {
                service: Rc::new(service),
                state: Rc::new(ServerState::new(limits)),
                bound: RefCell::default(),
                listening: RefCell::default(),
            }),
        }
    }

    /// Listens on all addresses that `addr` stands for, with a backlog of 4,096, and serves them. Returns the first
    /// address, which tells the port when 0 was asked for. May be called several times.
    ///
    /// # Errors
    ///
    /// When the name does not resolve, an address is in use or needs privileges, or descriptors have run out.
    pub fn listen(&self, addr: impl ToSocketAddrs) -> Result<SocketAddr> {
        let addr = self.bind(addr)?;
        self.start()?;
        Ok(addr)
    }

    /// The first half of [`listen`](HttpServer::listen): clients can connect and are not served yet.
    ///
    /// # Errors
    ///
    /// As [`listen`](HttpServer::listen).
    pub fn bind(&self, addr: impl ToSocketAddrs) -> Result<SocketAddr> {
        let sockets = netutil::bind_sockets(addr, &BindOptions::default())?;
        let addr = sockets[0].local_addr().map_err(iostream::Error::from)?;
        self.inner.bound.borrow_mut().extend(sockets);
        Ok(addr)
    }

    /// The second half of [`listen`](HttpServer::listen).
    ///
    /// # Errors
    ///
    /// When the loop cannot watch a socket.
    pub fn start(&self) -> Result<()> {
        let bound = self.inner.bound.take();
        self.add_sockets(bound)
    }

    /// Serves sockets that listen already.
    ///
    /// # Errors
    ///
    /// When the loop cannot watch a socket.
    pub fn add_sockets(&self, sockets: Vec<TcpListener>) -> Result<()> {
        for socket in sockets {
            let addr = socket.local_addr().map_err(iostream::Error::from)?;
            // Accepted sockets inherit it, so it costs no system call per connection. An answer is given to the kernel
            // in one piece; without this a streamed one could wait 40 ms for an acknowledgement (Nagle's algorithm).
            netutil::set_nodelay_for_accepted(&socket)?;
            let server = self.clone();
            let handle = netutil::add_accept_handler(socket, move |stream, peer| server.accept(stream, peer))?;
            self.inner.listening.borrow_mut().push(Listening { addr, handle });
        }
        Ok(())
    }

    /// The addresses it listens on.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner.listening.borrow().iter().map(|listening| listening.addr).collect()
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.inner.state.connections.borrow().len()
    }

    /// Stops listening. Connections go on. Does nothing the second time.
    pub fn stop(&self) {
        for listening in self.inner.listening.take() {
            listening.handle.stop();
        }
    }

    /// Ends the server in order: stops listening, closes the connections that wait for a request, lets the others finish
    /// the request in hand, whose answer carries `Connection: close`, and cuts what is left after `limit`.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.stop();
        let state = &self.inner.state;
        let idle = state.begin_drain();
        let in_flight = self.connections().saturating_sub(idle);
        let cut = match ioloop::timeout(limit, state.wait_until_drained()).await {
            Ok(()) => 0,
            Err(_) => state.cut_all(),
        };
        state.wait_until_drained().await;
        DrainReport { idle, finished: in_flight.saturating_sub(cut), cut }
    }

    /// Drains when SIGTERM or SIGINT arrives, then stops the loop.
    ///
    /// # Errors
    ///
    /// When the signal handlers cannot be installed.
    pub fn drain_on_signal(&self, limit: Duration) -> Result<()> {
        let mut signals = [signal::SIGTERM, signal::SIGINT]
            .into_iter()
            .map(signal::Signal::new)
            .collect::<ioloop::Result<Vec<_>>>()
            .map_err(iostream::Error::from)?;
        let server = self.clone();
        IOLoop::current().spawn_detached(async move {
            poll_fn(|cx| match signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            log::info!("draining {} connections", server.connections());
            let report = server.drain(limit).await;
            log::info!("drained: {} finished, {} idle, {} cut", report.finished, report.idle, report.cut);
            IOLoop::current().stop();
        });
        Ok(())
    }

    /// Serves one stream from anywhere as if it had been accepted by this server; completes when it is closed.
    pub async fn serve_stream(&self, stream: IOStream, peer: Option<SocketAddr>) {
        self.connection(stream, peer).await;
    }

    /// The size in bytes of the future that every connection is, the service's largest future included.
    pub fn connection_future_size(&self) -> usize {
        fn size<A, B, C, F>(_: fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        size(connection::serve::<S>)
    }

    fn accept(&self, stream: TcpStream, peer: SocketAddr) {
        match IOStream::from_accepted(stream) {
            Ok(stream) => IOLoop::current().spawn_detached(self.connection(stream, Some(peer))),
            Err(error) => log::error!("cannot serve {peer}: {error}"),
        }
    }

    fn connection(&self, stream: IOStream, peer: Option<SocketAddr>) -> impl Future<Output = ()> + use<S> {
        // A request that came before the client's FIN is answered; the connection decides when to close.
        stream.set_half_open(true);
        let state = &self.inner.state;
        let channel = Rc::new(Channel::new(stream, peer, Rc::clone(state)));
        let registration = state.register(&channel);
        connection::serve(channel, Rc::clone(&self.inner.service), registration)
    }
}

/// Serves HTTP on one stream, wherever it comes from, with the default limits; completes when the stream is closed.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use httpserver::{IOLoop, IOStream, Request, serve_stream};
/// use iostream::TcpServer;
///
/// // A port that speaks HTTP after a line of its own.
/// let service = Rc::new(async |request: Request| request.path().to_owned());
/// let server = TcpServer::new(async move |stream: IOStream, peer| {
///     stream.read_until(b"\n").max_bytes(100).await?;
///     serve_stream(stream, Some(peer), Rc::clone(&service)).await;
///     Ok(())
/// });
/// let addr = server.listen(("127.0.0.1", 0))?;
/// let answer = IOLoop::current().run_sync(async {
///     let client = IOStream::connect(addr).await?;
///     client.write("open sesame\nGET /cave HTTP/1.0\r\n\r\n").await?;
///     client.read_until_close().await
/// })?;
/// assert!(answer.ends_with(b"\r\n\r\n/cave"));
/// # Ok::<_, iostream::Error>(())
/// ```
pub async fn serve_stream<S: Service>(stream: IOStream, peer: Option<SocketAddr>, service: Rc<S>) {
    stream.set_half_open(true);
    // Streamed answers must not wait for acknowledgements (Nagle's algorithm). An error means that the stream has closed.
    let _ = stream.set_nodelay(true);
    let state = Rc::new(ServerState::new(Limits::default()));
    let channel = Rc::new(Channel::new(stream, peer, Rc::clone(&state)));
    let registration = state.register(&channel);
    connection::serve(channel, service, registration).await;
}

impl ServerState {
    fn new(limits: Limits) -> ServerState {
        ServerState {
            limits,
            date: DateCache::new(),
            draining: Cell::new(false),
            connections: RefCell::default(),
            drained: RefCell::default(),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    fn register(self: &Rc<Self>, channel: &Rc<Channel>) -> Registration {
        let key = self.connections.borrow_mut().insert(Rc::downgrade(channel));
        Registration { state: Rc::clone(self), key }
    }

    /// Closes idle connections; returns how many there were.
    fn begin_drain(&self) -> usize {
        self.draining.set(true);
        let idle: Vec<_> = self.channels().into_iter().filter(|channel| channel.is_idle()).collect();
        idle.iter().for_each(|channel| channel.stream().close());
        idle.len()
    }

    fn cut_all(&self) -> usize {
        let channels = self.channels();
        channels.iter().for_each(|channel| channel.cut());
        channels.len()
    }

    fn channels(&self) -> Vec<Rc<Channel>> {
        self.connections.borrow().iter().filter_map(|(_, channel)| channel.upgrade()).collect()
    }

    async fn wait_until_drained(&self) {
        poll_fn(|cx| {
            if self.connections.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.drained.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A connection's place in its server's list; given up when the connection's future ends or is dropped.
pub(crate) struct Registration {
    state: Rc<ServerState>,
    key: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let is_last = {
            let mut connections = self.state.connections.borrow_mut();
            connections.remove(self.key);
            if connections.is_empty() {
                // Gives back what a peak of connections needed.
                *connections = Slab::new();
            }
            connections.is_empty()
        };
        if is_last {
            self.state.drained.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl<S> Clone for HttpServer<S> {
    fn clone(&self) -> Self {
        HttpServer { inner: Rc::clone(&self.inner) }
    }
}

impl<S> fmt::Debug for HttpServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("connections", &self.inner.state.connections.borrow().len())
            .field("draining", &self.inner.state.is_draining())
            .finish_non_exhaustive()
    }
}
