//! What a server, its handles and its connections share.

use std::{
    cell::RefCell,
    future::poll_fn,
    io, mem,
    net::{SocketAddr, TcpListener, TcpStream},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use ioloop::{IOLoop, Printable};
use slab::Slab;

use crate::{
    Admission, Admitted, ConnectionLimits, IOStream, Result,
    burst::Burst,
    iostream::Inner,
    netutil::{AcceptHandle, add_accept_handler},
};

pub(super) struct ServerState {
    serve: Box<dyn Fn(IOStream, SocketAddr, Connection)>,
    admission: Admission,
    accepting: RefCell<Vec<(SocketAddr, AcceptHandle)>>,
    open: RefCell<Slab<Weak<Inner>>>,
    /// The tasks that wait for the last connection's end.
    drained: RefCell<Vec<Waker>>,
    /// Connections that the loop would not watch.
    failures: Burst,
}

impl ServerState {
    #[inline]
    pub(super) fn new(
        serve: Box<dyn Fn(IOStream, SocketAddr, Connection)>,
        limits: ConnectionLimits,
    ) -> Rc<ServerState> {
        Rc::new(ServerState {
            serve,
            admission: Admission::new(limits),
            accepting: RefCell::default(),
            open: RefCell::default(),
            drained: RefCell::default(),
            failures: Burst::default(),
        })
    }

    /// Returns the first address.
    #[inline]
    pub(super) fn accept_from(self: &Rc<Self>, sockets: Vec<TcpListener>) -> Result<SocketAddr> {
        let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "no socket to accept from");
        let first = sockets.first().ok_or_else(nothing)?.local_addr()?;
        for socket in sockets {
            let addr = socket.local_addr()?;
            let state = Rc::clone(self);
            let handle = add_accept_handler(socket, move |socket, peer| state.accept(socket, peer))?;
            self.accepting.borrow_mut().push((addr, handle));
        }
        Ok(first)
    }

    #[inline]
    fn accept(self: &Rc<Self>, socket: TcpStream, peer: SocketAddr) {
        // Refused: the socket is closed on return. The reason has been logged.
        let Ok(admitted) = self.admission.admit(peer.ip()) else { return };
        match IOStream::from_accepted(socket) {
            Ok(stream) => {
                let connection = Connection::open(self, &stream, admitted);
                (self.serve)(stream, peer, connection);
            }
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
    pub(super) fn stop(&self) {
        let accepting = self.accepting.take();
        accepting.iter().for_each(|(_, handle)| handle.stop());
    }

    /// Stops behind the connections that wait in the backlog.
    pub(super) fn stop_after_backlog(&self) {
        let accepting = self.accepting.take();
        accepting.iter().for_each(|(_, handle)| handle.drain());
    }

    pub(super) fn local_addrs(&self) -> Vec<SocketAddr> {
        self.accepting.borrow().iter().map(|(addr, _)| *addr).collect()
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
        let waker = cx.waker().clone();
        self.drained.borrow_mut().push(waker);
        // Cloning a waker is foreign code; the last connection may have ended meanwhile.
        if self.connections() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A connection's place in its server. It lasts until the handler has returned and the descriptor is closed, whichever
/// comes later: a stream outlives its handler while bytes are queued.
pub(super) struct Connection(Option<Place>);

impl Connection {
    #[inline]
    fn open(state: &Rc<ServerState>, stream: &IOStream, admitted: Admitted) -> Connection {
        let key = state.open.borrow_mut().insert(stream.downgrade());
        Connection(Some(Place { state: Rc::clone(state), key, _admitted: admitted }))
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
    _admitted: Admitted,
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
            mem::take(&mut *self.state.drained.borrow_mut()).into_iter().for_each(Waker::wake);
        }
    }
}
