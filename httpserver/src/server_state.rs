//! What a server's connections share: limits, `Date`, and the list by which a drain reaches them.
//!
//! A drain has three steps here. [`begin_drain`](ServerState::begin_drain) has answers say `Connection: close`,
//! [`cut_idle`](ServerState::cut_idle) ends those that wait for a request, and [`cut_all`](ServerState::cut_all) ends
//! the rest when its time is over. In between it waits until the list is empty.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::{Rc, Weak},
    task::{Poll, Waker},
    time::Duration,
};

use iostream::{
    Admission, ConnectionLimits,
    ioloop::{Ebb, move_ahead},
};
use slab::Slab;

use crate::{
    Limits, Protocol, ServerMetrics, ServerOptions, XHeaders, date::DateCache, draining::Waiting, http1::server::Front,
    metrics::Counters,
};

/// What a server's connections share, whatever the service.
pub(crate) struct ServerState {
    pub(crate) limits: Limits,
    /// Which peers are believed, if any.
    pub(crate) xheaders: Option<XHeaders>,
    /// What the program says of all its clients.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) front: Front,
    /// The limits of connections: all sockets of a server share them.
    pub(crate) admission: Admission,
    /// For how long a drain keeps connections that are idle.
    pub(crate) drain_grace: Duration,
    /// Of the loop that the server runs on.
    pub(crate) date: DateCache,
    pub(crate) counters: Counters,
    /// New clients are welcome, as far as the program says.
    ready: Cell<bool>,
    /// A drain has begun. Never taken back.
    draining: Cell<bool>,
    /// Who is to be told of that.
    pub(crate) waiting: Waiting,
    /// Connections end instead of waiting for a request.
    ends_idle: Cell<bool>,
    /// How many connections have ended.
    ended: Cell<usize>,
    /// All that there are, upgraded ones included. Weak: a connection lives as long as its future.
    connections: RefCell<Slab<Weak<dyn Registered>>>,
    /// Who waits for the last connection's end.
    drained: RefCell<Vec<Waker>>,
}

impl Ebb for ServerState {
    #[inline]
    fn ebb(&self) -> Box<dyn Any> {
        let connections = move_ahead(&mut self.connections.borrow_mut());
        Box::new((connections, self.waiting.move_ahead(), self.admission.move_ahead()))
    }
}

/// What a server asks of its connections when it drains.
pub(crate) trait Registered {
    /// Whether it waits for a request, with nothing of one received and nothing of an answer left to send.
    fn is_idle(&self) -> bool;
    /// Ends it now, whatever it does. False when that was said before.
    fn cut(&self) -> bool;
    /// A drain has come so far that open answers should end. For those that do not wait for [`Waiting`].
    #[inline]
    fn tell_draining(&self) {}
}

impl ServerState {
    /// The state of a server without connections.
    pub(crate) fn new(mut options: ServerOptions) -> ServerState {
        ServerState {
            front: Front::new(&mut options),
            admission: Admission::new(
                ConnectionLimits::new()
                    .max_connections(options.limits.max_connections)
                    .max_per_address(options.limits.max_connections_per_address),
            ),
            limits: options.limits,
            xheaders: options.xheaders,
            protocol: options.protocol,
            drain_grace: options.drain_grace,
            date: DateCache::new(),
            counters: Counters::new(),
            ready: Cell::new(true),
            draining: Cell::new(false),
            waiting: Waiting::default(),
            ends_idle: Cell::new(false),
            ended: Cell::new(0),
            connections: RefCell::default(),
            drained: RefCell::default(),
        }
    }

    /// Whether answers are to announce the end of their connection.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether new clients are welcome.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.get() && !self.is_draining()
    }

    /// Sets what [`is_ready`](ServerState::is_ready) says until a drain begins.
    #[inline]
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.set(ready);
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.connections.borrow().len()
    }

    /// How many connections there have been.
    pub(crate) fn served(&self) -> usize {
        self.ended.get().wrapping_add(self.connections())
    }

    /// What was counted, and how many connections there are.
    #[inline]
    pub(crate) fn metrics(&self) -> ServerMetrics {
        let busy_connections = self.registered().iter().filter(|connection| !connection.is_idle()).count();
        ServerMetrics {
            connections: self.connections(),
            busy_connections,
            connections_total: self.served(),
            ..self.counters.snapshot()
        }
    }

    /// Takes a connection into the list. Returns its place, to be given up by [`unregister`](ServerState::unregister).
    pub(crate) fn register(&self, connection: Weak<dyn Registered>) -> usize {
        let mut connections = self.connections.borrow_mut();
        let len = connections.len();
        if len == connections.capacity() {
            // By a quarter. Twice as many places would mostly be empty ones, and each counts beside the few bytes of a connection.
            connections.reserve_exact((len / 4).max(64));
        }
        connections.insert(connection)
    }

    /// Puts what a connection has become into its place.
    #[inline]
    pub(crate) fn replace(&self, key: usize, connection: Weak<dyn Registered>) {
        if let Some(place) = self.connections.borrow_mut().get_mut(key) {
            *place = connection;
        }
    }

    /// A connection has ended.
    pub(crate) fn unregister(&self, key: usize) {
        self.ended.set(self.ended.get().wrapping_add(1));
        let is_last = {
            let mut connections = self.connections.borrow_mut();
            connections.remove(key);
            if connections.is_empty() {
                // Gives back what a peak of connections needed.
                *connections = Slab::new();
            }
            connections.is_empty()
        };
        // The borrow has ended: waking is foreign code.
        if is_last {
            self.drained.take().into_iter().for_each(Waker::wake);
        }
    }

    /// From now on connections end with the request in hand, and the answers say so.
    #[inline]
    pub(crate) fn begin_drain(&self) {
        self.draining.set(true);
    }

    /// Whether a connection that has nothing in hand ends.
    pub(crate) fn ends_idle(&self) -> bool {
        self.ends_idle.get()
    }

    /// Cuts the connections that are idle, and lets none become idle again; returns how many there were. Then tells those
    /// that wait for it: an answer that ends because of this is not one of a connection that was idle.
    #[inline]
    pub(crate) fn cut_idle(&self) -> usize {
        self.ends_idle.set(true);
        // Told apart before any is cut: cutting one may change what the others are doing.
        let idle: Vec<_> = self.registered().into_iter().filter(|connection| connection.is_idle()).collect();
        let count = idle.iter().filter(|connection| connection.cut()).count();
        self.waiting.tell_all();
        self.registered().iter().for_each(|connection| connection.tell_draining());
        count
    }

    /// Cuts all connections; returns how many of them had not been cut before.
    #[inline]
    pub(crate) fn cut_all(&self) -> usize {
        self.registered().iter().filter(|connection| connection.cut()).count()
    }

    /// Those that still live, as handles: cutting one may end others, and run code of the user's.
    fn registered(&self) -> Vec<Rc<dyn Registered>> {
        self.connections.borrow().iter().filter_map(|(_, connection)| connection.upgrade()).collect()
    }

    /// Completes when there are no connections.
    #[inline]
    pub(crate) async fn wait_until_drained(&self) {
        poll_fn(|cx| {
            if self.connections.borrow().is_empty() {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            self.drained.borrow_mut().push(waker);
            Poll::Pending
        })
        .await;
    }
}
