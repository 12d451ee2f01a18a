//! The server: a service, its sockets, and what their connections share.
//!
//! A connection is accepted, admitted or turned away by the limits, wrapped into a stream, entered into the list of
//! connections, and spawned as one task. The task belongs to the loop. The server only keeps the list, by which a drain
//! reaches the connections.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use iostream::{
    Admitted, IOLoop, IOStream, Parsed, Peer, Refusal,
    ioloop::{Printable, on_ebb},
    netutil::{self, AcceptHandle, BindOptions, Listener, ToListenAddrs, UnixBindOptions},
    threads,
};

use crate::{
    Error, Limits, Result, ServerHandle, ServerOptions, Service,
    field_lines::check_header,
    http1::server::{Registration, ServerConn, as_peer, serve, serve_through},
    server_state::ServerState,
};

/// An HTTP/1.1 server: a [`Service`] and the sockets it listens on, on the current loop.
///
/// Clones are the same server. Dropping them stops nothing; the loop keeps what listens.
///
/// There are three ways to start, as in Tornado:
///
/// * [`listen`](HttpServer::listen) does everything, and [`listen_unix`](HttpServer::listen_unix) at a path.
/// * [`bind`](HttpServer::bind) and [`start`](HttpServer::start) are its two halves, with room in between to give up
///   privileges or to [fork](iostream::ioloop::process): then each of the processes starts, and they share
///   the connections.
/// * [`add_sockets`](HttpServer::add_sockets) takes sockets that come from elsewhere: bound with
///   [options](netutil::bind_sockets), [inherited](netutil::inherited_sockets), for Unix.
///
/// Each returns the [`ServerHandle`], by which the server is looked at and ended. For several threads there is
/// [`threads`].
///
/// # Examples
///
/// ```
/// use httpserver::{HttpServer, IOLoop, IOStream, Request, Response};
///
/// let server = HttpServer::new(async |request: Request| Response::text(format!("Hello from {}\n", request.path())));
/// let addr = server.listen(("127.0.0.1", 0))?.local_addr();
/// let answer = IOLoop::current().run_sync(async {
///     let client = IOStream::connect(addr).await?;
///     client.write("GET /there HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n").await?;
///     client.read_until_close().await
/// })?;
/// assert!(answer.ends_with(b"Hello from /there\n"));
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Clone)]
pub struct HttpServer {
    inner: Rc<Inner>,
}

/// What the clones of a server, its handles and its sockets share.
pub(crate) struct Inner {
    /// The service, its type forgotten.
    connector: Box<dyn Connector>,
    /// What each connection holds, too.
    pub(crate) state: Rc<ServerState>,
    /// Bound, not yet started.
    bound: RefCell<Vec<TcpListener>>,
    /// Started, not yet stopped.
    listening: RefCell<Vec<Listening>>,
}

/// A socket that is listened on.
struct Listening {
    /// `None` for a Unix socket.
    addr: Option<SocketAddr>,
    handle: AcceptHandle,
}

impl HttpServer {
    /// A server with the default [`Limits`].
    pub fn new(service: impl Service) -> HttpServer {
        HttpServer::with_limits(service, Limits::default())
    }

    /// A server with limits of your own.
    pub fn with_limits(service: impl Service, limits: Limits) -> HttpServer {
        HttpServer::with_options(service, limits.into())
    }

    /// A server with options of your own: HTTPS, proxies in front, limits.
    pub fn with_options(service: impl Service, options: ServerOptions) -> HttpServer {
        let state = Rc::new(ServerState::new(options));
        let holder = Rc::downgrade(&state);
        on_ebb(holder);
        HttpServer {
            inner: Rc::new(Inner {
                connector: Box::new(Rc::new(service)),
                state,
                bound: RefCell::default(),
                listening: RefCell::default(),
            }),
        }
    }

    /// Has every answer carry `Server: value`, unless the service sets a `Server` line of its own. Off by default: the line
    /// costs bytes in each answer, and tells an attacker more than a user.
    ///
    /// Holds for all clones of the server, from now on. Not for the 503 of a connection beyond the limits.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] when `value` has a control character.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, Request};
    ///
    /// let server = HttpServer::new(async |_: Request| "hello").server_header("example/1.0")?;
    /// assert!(server.server_header("two\r\nlines").is_err());
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn server_header(self, value: &str) -> Result<HttpServer> {
        check_header(b"Server", value.as_bytes())?;
        self.inner.state.date.set_server(value);
        Ok(self)
    }

    /// Listens on all addresses that `addr` stands for, with a backlog of 4,096, and serves them. May be called several
    /// times.
    ///
    /// # Errors
    ///
    /// When the name does not resolve, an address is in use or needs privileges, or descriptors have run out.
    pub fn listen(&self, addr: impl ToListenAddrs) -> Result<ServerHandle> {
        self.bind(addr)?;
        self.start()
    }

    /// Listens on a Unix socket at `path`, which only this user may connect to, and serves it. The file stays when the server
    /// goes; the next one takes its place. For other permissions see [`bind_unix_socket`](netutil::bind_unix_socket) and
    /// [`add_sockets`](HttpServer::add_sockets).
    ///
    /// A request has no [`peer_addr`](crate::Request::peer_addr) then. For a proxy in front, see
    /// [`ServerOptions::xheaders`].
    ///
    /// # Errors
    ///
    /// As [`bind_unix_socket`](netutil::bind_unix_socket): above all when another server listens there.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, IOLoop, IOStream, Request};
    ///
    /// let path = std::env::temp_dir().join(format!("http-{}.sock", std::process::id()));
    /// HttpServer::new(async |_: Request| "hello").listen_unix(&path)?;
    /// let answer = IOLoop::current().run_sync(async {
    ///     let proxy = IOStream::connect_unix(&path).await?;
    ///     proxy.write("GET / HTTP/1.0\r\n\r\n").await?;
    ///     proxy.read_until_close().await
    /// })?;
    /// assert!(answer.ends_with(b"hello"));
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn listen_unix(&self, path: impl AsRef<Path>) -> Result<ServerHandle> {
        self.add_sockets([netutil::bind_unix_socket(path, &UnixBindOptions::new())?])
    }

    /// The first half of [`listen`](HttpServer::listen): clients can connect and are not served yet. Returns the first
    /// address, which tells the port when 0 was asked for.
    ///
    /// # Errors
    ///
    /// As [`listen`](HttpServer::listen).
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, Request};
    ///
    /// let server = HttpServer::new(async |_: Request| "hello");
    /// let addr = server.bind(("127.0.0.1", 0))?;
    /// // Here a program that began as root for the sake of port 80 becomes somebody else.
    /// let handle = server.start()?;
    /// assert_eq!(handle.local_addr(), addr);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    pub fn bind(&self, addr: impl ToListenAddrs) -> Result<SocketAddr> {
        let options = BindOptions::default().keep_alive(self.inner.state.limits.tcp_keep_alive);
        let sockets = netutil::bind_sockets(addr, &options)?;
        // There is at least one: none is an error.
        let addr = sockets[0].local_addr().map_err(iostream::Error::from)?;
        self.inner.bound.borrow_mut().extend(sockets);
        Ok(addr)
    }

    /// The second half of [`listen`](HttpServer::listen).
    ///
    /// # Errors
    ///
    /// When the loop cannot watch a socket.
    pub fn start(&self) -> Result<ServerHandle> {
        let bound = self.inner.bound.take();
        self.add_sockets(bound)
    }

    /// Serves sockets that listen already: handed over by a supervisor, inherited from a parent process, or bound with
    /// options of your own. TCP or Unix: `TcpListener`s, `UnixListener`s or
    /// [`Listener`](iostream::netutil::Listener)s. When it fails it serves none of them.
    ///
    /// # Errors
    ///
    /// When the loop cannot watch a socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use httpserver::{HttpServer, Request};
    ///
    /// let socket = TcpListener::bind(("127.0.0.1", 0))?;
    /// let addr = socket.local_addr()?;
    /// let handle = HttpServer::new(async |_: Request| "hello").add_sockets(vec![socket])?;
    /// assert_eq!(handle.local_addr(), addr);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A Unix socket that the proxy's group may connect to:
    ///
    /// ```
    /// use httpserver::{HttpServer, Request, iostream::netutil::{UnixBindOptions, bind_unix_socket}};
    ///
    /// let path = std::env::temp_dir().join(format!("proxied-{}.sock", std::process::id()));
    /// let socket = bind_unix_socket(&path, &UnixBindOptions::new().mode(0o660))?;
    /// HttpServer::new(async |_: Request| "hello").add_sockets([socket])?;
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    pub fn add_sockets<L: Into<Listener>>(&self, sockets: impl IntoIterator<Item = L>) -> Result<ServerHandle> {
        let mut begun: Vec<Listening> = Vec::new();
        for socket in sockets {
            match self.inner.listen_on(socket.into()) {
                Ok(listening) => begun.push(listening),
                Err(error) => {
                    begun.iter().for_each(|listening| listening.handle.stop());
                    return Err(error);
                }
            }
        }
        let first = begun.iter().find_map(|listening| listening.addr);
        self.inner.listening.borrow_mut().append(&mut begun);
        Ok(ServerHandle::new(Rc::clone(&self.inner), first))
    }

    /// The handle by which the server is looked at and ended.
    #[inline]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Rc::clone(&self.inner), self.inner.local_addrs().first().copied())
    }

    /// Serves one stream from anywhere, such as one end of [`iostream::memory::pair`], as if it had been accepted by this
    /// server. Completes when it is closed; after a panic of the service at once, while the loop sends what was answered
    /// and closes.
    ///
    /// It counts in [`ServerHandle::connections`], and a drain waits for it. It does not count against the limits of
    /// connections, which are about accepting.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{HttpServer, IOLoop, Request, iostream::memory};
    ///
    /// let (theirs, ours) = memory::pair(64 * 1024);
    /// let server = HttpServer::new(async |_: Request| "hello");
    /// let answer = IOLoop::current().run_sync(async {
    ///     IOLoop::current().spawn_detached(async move { server.serve_stream(theirs, None).await });
    ///     ours.write("GET / HTTP/1.0\r\n\r\n").await?;
    ///     ours.read_until_close().await
    /// })?;
    /// assert!(answer.ends_with(b"hello"));
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    pub async fn serve_stream(&self, stream: IOStream, peer: Option<SocketAddr>) {
        let mut registration = register(stream, peer, &self.inner.state, None);
        let front = &self.inner.state.front;
        // Boxed, because it is rare.
        if !front.is_before(&as_peer(peer)) || Box::pin(front.pass(&mut registration)).await {
            self.inner.connector.connect(registration).await;
        }
    }

    /// The size in bytes of the future that every connection is, the service's largest future included.
    pub fn connection_future_size(&self) -> usize {
        self.inner.connector.future_size()
    }
}

impl Inner {
    fn listen_on(self: &Rc<Self>, socket: Listener) -> Result<Listening> {
        let addr = socket.local_addr()?;
        let inner = Rc::clone(self);
        let handle = match socket {
            Listener::Tcp(socket) => {
                // Accepted sockets inherit it, so it costs no system call per connection. An answer is given to the kernel
                // in one piece; without this a streamed one could wait 40 ms for an acknowledgement (Nagle's algorithm).
                netutil::set_nodelay_for_accepted(&socket)?;
                netutil::add_accept_handler(socket, move |stream, peer| inner.accept(stream, peer))?
            }
            Listener::Unix(socket) => {
                netutil::add_unix_accept_handler(socket, move |stream, _unnamed| inner.accept_unix(stream))?
            }
            other => {
                let reason = format!("no way to serve {other:?}");
                return Err(iostream::Error::from(io::Error::new(io::ErrorKind::Unsupported, reason)).into());
            }
        };
        Ok(Listening { addr, handle })
    }

    /// Takes a connection that a listening socket has accepted.
    fn accept(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        // The reason of a refusal has been logged.
        match self.admit(Some(peer)) {
            Ok(admitted) => self.begin(IOStream::from_nonblocking(stream), Some(peer), admitted),
            Err(_) if self.state.front.is_tls() => {}
            Err(_) => turn_away(stream, TcpStream::shutdown),
        }
    }

    fn accept_unix(self: &Rc<Self>, stream: UnixStream) {
        match self.admit(None) {
            Ok(admitted) => self.begin(IOStream::from_accepted_unix(stream), None, admitted),
            Err(_) if self.state.front.is_tls() => {}
            Err(_) if stream.set_nonblocking(true).is_ok() => turn_away(stream, UnixStream::shutdown),
            Err(_) => {}
        }
    }

    /// A proxy is counted in all alone: its clients are counted by their own addresses.
    fn admit(&self, peer: Option<SocketAddr>) -> std::result::Result<Admitted, Refusal> {
        match peer {
            Some(addr) if !self.state.front.is_proxy(&Peer::Inet(addr)) => self.state.admission.admit(addr.ip()),
            _ => self.state.admission.admit_without_address(),
        }
    }

    fn begin(self: &Rc<Self>, stream: iostream::Result<IOStream>, peer: Option<SocketAddr>, admitted: Admitted) {
        match stream {
            Ok(stream) => {
                let registration = register(stream, peer, &self.state, Some(admitted));
                match self.state.front.is_before(&as_peer(peer)) {
                    false => self.connector.spawn(registration),
                    true => IOLoop::current().spawn_detached(Rc::clone(self).begin_behind_front(registration)),
                }
            }
            Err(error) => log::error!("cannot serve {}: {}", as_peer(peer), Printable::display(&error)),
        }
    }

    async fn begin_behind_front(self: Rc<Self>, mut registration: Registration) {
        if self.state.front.pass(&mut registration).await {
            self.connector.spawn(registration);
        }
    }

    /// Where it listens now.
    #[inline]
    pub(crate) fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listening.borrow().iter().filter_map(|listening| listening.addr).collect()
    }

    /// Serves what waits in the backlog, then stops listening.
    #[inline]
    pub(crate) fn drain_backlog(&self) {
        self.bound.take();
        for listening in self.listening.take() {
            listening.handle.drain();
        }
    }

    /// Stops listening at once. What waits in the backlog is reset by the kernel.
    #[inline]
    pub(crate) fn stop(&self) {
        self.bound.take();
        for listening in self.listening.take() {
            listening.handle.stop();
        }
    }
}

/// For [`iostream::threads`]: one server for each thread.
impl threads::Server for HttpServer {
    #[inline]
    fn add_sockets(&self, sockets: Vec<Listener>) -> iostream::Result<()> {
        match HttpServer::add_sockets(self, sockets) {
            Ok(_handle) => Ok(()),
            Err(Error::Stream(error)) => Err(Arc::unwrap_or_clone(error)),
            Err(error) => Err(io::Error::other(error).into()),
        }
    }

    #[inline]
    fn serve_stream(&self, stream: IOStream, peer: Peer) {
        let _ = stream.set_nodelay(true);
        let inner = &self.inner;
        let addr = peer.ip().map(|_| peer.socket_addr());
        match inner.admit(addr) {
            Ok(admitted) => inner.begin(Ok(stream), addr, admitted),
            Err(_) if inner.state.front.is_tls() => {}
            Err(_) => turn_away_stream(&stream),
        }
    }

    #[inline]
    fn drain(&self, limit: Duration) -> Pin<Box<dyn Future<Output = usize>>> {
        let drain = self.handle().drain(limit);
        Box::pin(async move { drain.await.cut })
    }
}

/// A service behind which its type is forgotten: once per connection there is a virtual call, and none per request.
trait Connector {
    /// Serves a connection by a task of the current loop.
    fn spawn(&self, registration: Registration);
    /// Serves a connection by a future that the caller polls.
    fn connect(&self, registration: Registration) -> Pin<Box<dyn Future<Output = ()>>>;
    /// The size of either's future in bytes.
    fn future_size(&self) -> usize;
}

impl<S: Service> Connector for Rc<S> {
    fn spawn(&self, registration: Registration) {
        IOLoop::current().spawn_detached(serve(registration, Rc::clone(self)));
    }

    fn connect(&self, registration: Registration) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(serve_through(registration, Rc::clone(self)))
    }

    fn future_size(&self) -> usize {
        // The type of the future has no name, but that of a function which returns it can be inferred.
        fn size<A, B, F>(_: fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        size(serve::<S>)
    }
}

/// Makes a connection of `stream` and enters it into the list.
fn register(
    stream: IOStream,
    peer: Option<SocketAddr>,
    state: &Rc<ServerState>,
    admitted: Option<Admitted>,
) -> Registration {
    Registration::new(Rc::new(ServerConn::new(stream, peer, Rc::clone(state))), admitted.map(Admitted::into_entry))
}

const NO_ROOM: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Tells a client beyond the limit of connections that there is no room, and closes. As far as that can be done without
/// waiting: the limit is there because the server has no more to give.
fn turn_away<S: Read + Write>(mut stream: S, shutdown: fn(&S, Shutdown) -> io::Result<()>) {
    // A request that has come and is left unread would turn the close into a reset, which may take the answer with it
    // (RFC 9112 9.6). One read, because a client sends a head in one piece. Whatever fails here, there is nothing more
    // to be done for it.
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write(NO_ROOM);
    let _ = shutdown(&stream, Shutdown::Write);
}

/// [`turn_away`] for what another thread has accepted.
#[cold]
#[inline]
fn turn_away_stream(stream: &IOStream) {
    // Nobody is there to be woken: what cannot be done at once is left.
    let mut cx = Context::from_waker(Waker::noop());
    let _ = stream.poll_read_with(&mut cx, |bytes| match bytes.len() {
        0 => Parsed::Incomplete,
        count => Parsed::Done { consumed: count, value: () },
    });
    drop(stream.write(NO_ROOM));
    let _ = stream.poll_shutdown(&mut cx);
}

/// Serves HTTP on one stream, wherever it comes from, with the default limits. Completes when the stream is closed; after a
/// panic of the service at once, while the loop sends what was answered and closes.
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
/// let addr = server.listen(("127.0.0.1", 0))?.local_addr();
/// let answer = IOLoop::current().run_sync(async {
///     let client = IOStream::connect(addr).await?;
///     client.write("open sesame\nGET /cave HTTP/1.0\r\n\r\n").await?;
///     client.read_until_close().await
/// })?;
/// assert!(answer.ends_with(b"\r\n\r\n/cave"));
/// # Ok::<_, iostream::Error>(())
/// ```
pub async fn serve_stream<S: Service>(stream: IOStream, peer: Option<SocketAddr>, service: Rc<S>) {
    // Streamed answers must not wait for acknowledgements (Nagle's algorithm). An error means that the stream has closed,
    // or that it is none of TCP.
    let _ = stream.set_nodelay(true);
    let registration = register(stream, peer, &Rc::new(ServerState::new(ServerOptions::new())), None);
    serve_through(registration, service).await;
}

impl fmt::Debug for HttpServer {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("local_addrs", &self.inner.local_addrs())
            .field("connections", &self.inner.state.connections())
            .finish_non_exhaustive()
    }
}
