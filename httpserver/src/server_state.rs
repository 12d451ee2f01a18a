use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::{Rc, Weak},
    task::{Poll, Waker},
};

use iostream::Admitted;
use slab::Slab;

use crate::{Limits, date::DateCache};

/// What a server's connections share, whatever the service.
pub(crate) struct ServerState {
    pub(crate) limits: Limits,
    /// Of the loop that the server runs on.
    pub(crate) date: DateCache,
    draining: Cell<bool>,
    connections: RefCell<Slab<Weak<dyn Registered>>>,
    /// Who waits for the last connection's end.
    drained: RefCell<Vec<Waker>>,
}

/// What a server asks of its connections when it drains.
pub(crate) trait Registered {
    /// Whether it waits for a request, with nothing of one received and nothing of an answer left to send.
    fn is_idle(&self) -> bool;
    /// Ends it now, whatever it does.
    fn cut(&self);
}

impl ServerState {
    pub(crate) fn new(limits: Limits) -> ServerState {
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

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.connections.borrow().len()
    }

    /// `admitted`: the connection's place within the limits, if it has one.
    pub(crate) fn register(
        self: &Rc<Self>,
        connection: Weak<impl Registered + 'static>,
        admitted: Option<Admitted>,
    ) -> Registration {
        let key = self.connections.borrow_mut().insert(connection);
        Registration { state: Rc::clone(self), key, _admitted: admitted }
    }

    /// From now on connections end with the request in hand.
    pub(crate) fn begin_drain(&self) {
        self.draining.set(true);
    }

    /// Cuts the connections that are idle; returns how many there were.
    #[inline]
    pub(crate) fn cut_idle(&self) -> usize {
        let idle: Vec<_> = self.registered().into_iter().filter(|connection| connection.is_idle()).collect();
        idle.iter().for_each(|connection| connection.cut());
        idle.len()
    }

    /// Cuts all connections; returns how many there were.
    #[inline]
    pub(crate) fn cut_all(&self) -> usize {
        let connections = self.registered();
        connections.iter().for_each(|connection| connection.cut());
        connections.len()
    }

    #[inline]
    fn registered(&self) -> Vec<Rc<dyn Registered>> {
        self.connections.borrow().iter().filter_map(|(_, connection)| connection.upgrade()).collect()
    }

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

/// A connection's place in its server's list; given up when the connection's future ends or is dropped.
pub(crate) struct Registration {
    state: Rc<ServerState>,
    key: usize,
    _admitted: Option<Admitted>,
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
