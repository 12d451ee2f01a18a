//! The news that a server drains, for requests that may wait for long.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use slab::Slab;

use crate::server_state::ServerState;

/// The future of [`Request::draining`](crate::Request::draining): completes when the server has stopped accepting and wants
/// the answers that are still open to end.
///
/// # Cancel safety
///
/// It consumes nothing; dropping it is harmless. Polled again after its end it is ready again.
#[must_use = "futures do nothing unless awaited"]
pub struct Draining {
    /// `None` for a request that comes from no server, which never drains.
    server: Option<Rc<ServerState>>,
    /// Its place among those that wait, once it has been polled.
    place: Option<usize>,
}

impl Draining {
    /// The news of `server`.
    #[inline]
    pub(crate) fn new(server: Option<Rc<ServerState>>) -> Draining {
        Draining { server, place: None }
    }
}

impl Future for Draining {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(server) = &this.server else { return Poll::Pending };
        if server.waiting.is_told() {
            return Poll::Ready(());
        }
        this.place = Some(server.waiting.join(this.place, cx.waker()));
        // Once more, because cloning the waker was foreign code.
        if server.waiting.is_told() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Draining {
    #[inline]
    fn drop(&mut self) {
        if let (Some(server), Some(place)) = (&self.server, self.place) {
            server.waiting.leave(place);
        }
    }
}

impl fmt::Debug for Draining {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draining")
    }
}

/// Those that wait for a drain: a waker each, and nothing for a connection that does not ask.
#[derive(Default)]
pub(crate) struct Waiting {
    /// The drain has come so far.
    told: Cell<bool>,
    wakers: RefCell<Slab<Waker>>,
}

impl Waiting {
    /// Has `waker` woken by [`tell_all`](Waiting::tell_all). Returns the place, which is `place` for one that has joined before.
    #[inline]
    fn join(&self, place: Option<usize>, waker: &Waker) -> usize {
        let kept = place.filter(|&place| self.wakers.borrow().get(place).is_some_and(|kept| kept.will_wake(waker)));
        if let Some(place) = kept {
            return place;
        }
        // Cloning and dropping wakers is foreign code: outside of the borrow.
        let waker = waker.clone();
        if let Some(place) = place {
            self.leave(place);
        }
        self.wakers.borrow_mut().insert(waker)
    }

    #[inline]
    fn leave(&self, place: usize) {
        let waker = self.wakers.borrow_mut().try_remove(place);
        drop(waker);
    }

    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        self.told.get()
    }

    /// Tells all that wait, and those that ask from now on. Nothing happens the second time.
    #[inline]
    pub(crate) fn tell_all(&self) {
        self.told.set(true);
        // Places of those that are dropped from here on are empty.
        let waiting = self.wakers.take();
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
