//! The thread that accepts for the others.

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ioloop::IOLoop;

use super::{
    inbox::Inbox,
    worker::{Accepted, Message, Place, Worker},
};
use crate::{
    Result,
    netutil::{AcceptHandle, Listener, add_accept_handler, add_unix_accept_handler},
};

/// Accepts until it is told to stop. What waits in the backlog then is handed over before the workers are told.
pub(super) fn run(
    sockets: Vec<Listener>,
    workers: Vec<Worker>,
    inbox: &Inbox<Duration>,
    ready: impl FnOnce(),
) -> Result<()> {
    let _closing = inbox.close_at_end();
    let dealer = Rc::new(Dealer { workers, next: Cell::new(0) });
    let handles = sockets.into_iter().map(|socket| accept(socket, &dealer)).collect::<Result<Vec<_>>>()?;
    ready();
    let limit = IOLoop::current().try_run_sync(None, poll_fn(|cx| inbox.poll_recv(cx)))?;
    handles.iter().for_each(AcceptHandle::drain);
    dealer.stop(limit);
    Ok(())
}

#[inline]
fn accept(socket: Listener, dealer: &Rc<Dealer>) -> Result<AcceptHandle> {
    let dealer = Rc::clone(dealer);
    match socket {
        Listener::Tcp(socket) => {
            add_accept_handler(socket, move |stream, peer| dealer.deal(Accepted::Tcp(stream, peer)))
        }
        Listener::Unix(socket) => {
            add_unix_accept_handler(socket, move |stream, peer| dealer.deal(Accepted::Unix(stream, peer)))
        }
    }
}

struct Dealer {
    workers: Vec<Worker>,
    /// Where the search begins, so that among equals they take turns.
    next: Cell<usize>,
}

impl Dealer {
    /// Hands a connection to the thread with the fewest. A thread that has ended has none any more, and is passed over.
    #[inline]
    fn deal(&self, mut accepted: Accepted) {
        let count = self.workers.len();
        let first = self.next.replace((self.next.get() + 1) % count);
        let mut candidates: Vec<&Worker> = (0..count).map(|i| &self.workers[(first + i) % count]).collect();
        // Stable, so that the turns are kept.
        candidates.sort_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        for worker in candidates {
            let place = Place::new(&worker.connections);
            match worker.inbox.send(Message::Serve(accepted, place)) {
                Err(Message::Serve(refused, _place)) => accepted = refused,
                _ => return,
            }
        }
        log::error!("a connection is closed because all threads have ended");
    }

    #[inline]
    fn stop(&self, limit: Duration) {
        for worker in &self.workers {
            // Whoever has ended needs no word.
            let _ = worker.inbox.send(Message::Stop(limit));
        }
    }
}

/// How the acceptor is told to stop.
pub(super) type AcceptorInbox = Arc<Inbox<Duration>>;
