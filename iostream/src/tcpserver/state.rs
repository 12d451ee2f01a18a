//! What a server, its handles and its connections share.

use std::{
    any::Any,
    cell::RefCell,
    future::poll_fn,
    io, mem,
    net::{IpAddr, SocketAddr},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use ioloop::{Ebb, IOLoop, Printable, move_ahead, on_ebb};
use slab::Slab;

#[cfg(feature = "tls")]
use super::tls::serve_after;
use super::{ServerOptions, log_error};
use crate::{
    Admission, Admitted, IOStream, Peer, Refusal, Result,
    burst::Burst,
    contain::wake_all,
    iostream::Inner,
    netutil::{AcceptHandle, Listener, add_accept_handler, add_unix_accept_handler},
};

/// Spawns the handler.
type Serve = Box<dyn Fn(IOStream, Peer, Connection)>;

pub(super) struct ServerState {
    pub(super) serve: Serve,
    options: ServerOptions,
    admission: Admission,
    /// With the address, if the socket has one.
    accepting: RefCell<Vec<(Option<SocketAddr>, AcceptHandle)>>,
    open: RefCell<Slab<Weak<Inner>>>,
    /// The tasks that wait for the last connection's end.
    drained: RefCell<Vec<Waker>>,
    /// Connections that the loop would not watch.
    failures: Burst,
    /// Handshakes that have failed. A scanner, or a certificate that has expired, may fail one with every connection.
    #[cfg(feature = "tls")]
    pub(super) bad_handshakes: Burst,
}

impl ServerState {
    #[inline]
    pub(super) fn new(serve: Serve, options: ServerOptions) -> Rc<ServerState> {
        let state = Rc::new(ServerState {
            serve,
            admission: Admission::new(options.limits),
            options,
            accepting: RefCell::default(),
            open: RefCell::default(),
            drained: RefCell::default(),
            failures: Burst::default(),
            #[cfg(feature = "tls")]
            bad_handshakes: Burst::default(),
        });
        let holder = Rc::downgrade(&state);
        on_ebb(holder);
        state
    }

    /// Returns the first address, or that which stands for a Unix socket.
    #[inline]
    pub(super) fn accept_from(self: &Rc<Self>, sockets: Vec<Listener>) -> Result<SocketAddr> {
        let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "no socket to accept from");
        let first = sockets.first().ok_or_else(nothing)?.local_addr()?;
        let mut accepting = Vec::with_capacity(sockets.len());
        for socket in sockets {
            match self.accept_from_one(socket) {
                Ok(begun) => accepting.push(begun),
                Err(error) => {
                    accepting.iter().for_each(|(_, handle)| handle.stop());
                    return Err(error);
                }
            }
        }
        self.accepting.borrow_mut().append(&mut accepting);
        Ok(first.unwrap_or_else(|| Peer::Unix(None).socket_addr()))
    }

    #[inline]
    fn accept_from_one(self: &Rc<Self>, socket: Listener) -> Result<(Option<SocketAddr>, AcceptHandle)> {
        let addr = socket.local_addr()?;
        let state = Rc::clone(self);
        let handle = match socket {
            Listener::Tcp(socket) => add_accept_handler(socket, move |socket, peer| {
                state.accept(Peer::Inet(peer), || IOStream::from_nonblocking(socket));
            })?,
            Listener::Unix(socket) => add_unix_accept_handler(socket, move |socket, peer| {
                state.accept(peer.into(), || IOStream::from_accepted_unix(socket));
            })?,
        };
        Ok((addr, handle))
    }

    #[inline]
    fn accept(self: &Rc<Self>, peer: Peer, open: impl FnOnce() -> Result<IOStream>) {
        // Refused: the socket is closed on return. The reason has been logged.
        let Ok(admitted) = self.admit(&peer) else { return };
        match open() {
            Ok(stream) => self.begin(stream, peer, admitted),
            Err(error) => {
                if let Some(silent) = self.failures.note(IOLoop::current().turn_time()) {
                    log::error!(
                        "taking on the connection of {peer}, and {silent} before: {}",
                        Printable::display(&error)
                    );
                }
            }
        }
    }

    #[inline]
    pub(super) fn take_on(self: &Rc<Self>, stream: IOStream, peer: Peer) -> Result<(), Refusal> {
        // Closed also when others hold it.
        let admitted = self.admit(&peer).inspect_err(|_| stream.close())?;
        self.begin(stream, peer, admitted);
        Ok(())
    }

    /// A proxy is counted in all alone: its clients are counted by their own addresses.
    #[inline]
    fn admit(&self, peer: &Peer) -> Result<Admitted, Refusal> {
        match peer.ip() {
            Some(ip) if !self.is_proxy(peer) => self.admission.admit(ip),
            _ => self.admission.admit_without_address(),
        }
    }

    #[inline]
    fn is_proxy(&self, peer: &Peer) -> bool {
        self.options.proxy_protocol.as_ref().is_some_and(|proxies| proxies.trusts(peer))
    }

    #[inline]
    fn begin(self: &Rc<Self>, stream: IOStream, peer: Peer, admitted: Admitted) {
        let connection = Connection::open(self, &stream, admitted);
        if self.is_proxy(&peer) {
            // A task of its own, so that the tasks of other connections need no room for it.
            IOLoop::current().spawn_detached(proxied(Rc::clone(self), stream, peer, connection));
        } else {
            self.hand_over(stream, peer, connection);
        }
    }

    /// Gives a connection to the handler.
    #[inline]
    fn hand_over(self: &Rc<Self>, stream: IOStream, peer: Peer, connection: Connection) {
        if let Some(bytes) = self.options.max_buffer_size {
            stream.set_max_buffer_size(bytes);
        }
        if let Some(bytes) = self.options.max_write_buffer_size {
            stream.set_max_write_buffer_size(bytes);
        }
        #[cfg(feature = "tls")]
        if let Some(acceptor) = &self.options.tls {
            // A task of its own, until the handler's takes over.
            let handshake = stream.start_tls_server(acceptor);
            let state = Rc::clone(self);
            return IOLoop::current().spawn_detached(serve_after(handshake, state, stream, peer, connection));
        }
        (self.serve)(stream, peer, connection);
    }

    #[inline]
    pub(super) fn stop(&self) {
        let accepting = self.accepting.take();
        accepting.iter().for_each(|(_, handle)| handle.stop());
    }

    /// Stops behind the connections that wait in the backlog.
    #[inline]
    pub(super) fn stop_after_backlog(&self) {
        let accepting = self.accepting.take();
        accepting.iter().for_each(|(_, handle)| handle.drain());
    }

    #[inline]
    pub(super) fn local_addrs(&self) -> Vec<SocketAddr> {
        self.accepting.borrow().iter().filter_map(|(addr, _)| *addr).collect()
    }

    #[inline]
    pub(super) fn connections(&self) -> usize {
        self.open.borrow().len()
    }

    /// Closes what is open; returns how many there were.
    #[inline]
    pub(super) fn cut_all(&self) -> usize {
        // Collected first: closing runs user code, which may end connections.
        let open: Vec<Rc<Inner>> = self.open.borrow().iter().filter_map(|(_, stream)| stream.upgrade()).collect();
        open.iter().for_each(|stream| stream.close(None));
        open.len()
    }

    pub(super) async fn wait_until_drained(&self) {
        poll_fn(|cx| self.poll_drained(cx)).await;
    }

    #[inline]
    fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.connections() == 0 {
            return Poll::Ready(());
        }
        // Each task once: one that does other work beside waiting is polled many times.
        if self.drained.borrow().iter().any(|known| known.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        self.drained.borrow_mut().push(waker);
        // Cloning a waker is foreign code; the last connection may have ended meanwhile.
        if self.connections() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Ebb for ServerState {
    #[inline]
    fn ebb(&self) -> Box<dyn Any> {
        Box::new((move_ahead(&mut self.open.borrow_mut()), self.admission.move_ahead()))
    }
}

/// Reads what a proxy says of its client, then goes on with that client.
async fn proxied(state: Rc<ServerState>, stream: IOStream, proxy: Peer, mut connection: Connection) {
    let Some(proxies) = &state.options.proxy_protocol else { return };
    let header = match proxies.read_header(&stream).await {
        Ok(header) => header,
        // A proxy has to send one. A peer that says nothing may be somebody else's.
        Err(error) if error.is_timed_out() => {
            return log::warn!("connection of {proxy}: {}", Printable::display(&error));
        }
        Err(error) => return log_error(&proxy, &error),
    };
    let Some(client) = header.source else { return state.hand_over(stream, proxy, connection) };
    // Refused: the stream is closed on return. The reason has been logged.
    if client.ip().is_none_or(|ip| connection.assign(ip).is_ok()) {
        state.hand_over(stream, client, connection);
    }
}

/// A connection's place in its server. It lasts until the handler has returned and the descriptor is closed, whichever
/// comes later: a stream outlives its handler while bytes are queued.
pub(super) struct Connection(Option<Place>);

impl Connection {
    #[inline]
    fn open(state: &Rc<ServerState>, stream: &IOStream, admitted: Admitted) -> Connection {
        let key = state.open.borrow_mut().insert(stream.downgrade());
        Connection(Some(Place { state: Rc::clone(state), key, admitted }))
    }

    /// Counts it for an address that became known later.
    #[inline]
    fn assign(&mut self, ip: IpAddr) -> Result<(), Refusal> {
        self.0.as_mut().map_or(Ok(()), |place| place.admitted.assign(ip))
    }
}

impl Drop for Connection {
    #[inline]
    fn drop(&mut self) {
        let Some(place) = self.0.take() else { return };
        // Held weakly until now, because the handler's handle is to be the last one.
        let stream = place.state.open.borrow().get(place.key).and_then(Weak::upgrade);
        // Dropped at once when the stream is closed.
        if let Some(inner) = stream {
            IOStream { inner }.attach(place);
        }
    }
}

struct Place {
    state: Rc<ServerState>,
    key: usize,
    admitted: Admitted,
}

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        let is_last = {
            let mut open = self.state.open.borrow_mut();
            open.remove(self.key);
            if open.is_empty() {
                // Frees what a peak of connections needed.
                *open = Slab::new();
            }
            open.is_empty()
        };
        if is_last {
            wake_all(mem::take(&mut *self.state.drained.borrow_mut()));
        }
    }
}
