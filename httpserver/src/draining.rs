//! The news that a server drains, for requests that may wait for long.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use iostream::ioloop::{Waiter, move_ahead};
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
    /// Its place among those that wait, once it has been polled; [`NOWHERE`] before.
    place: u32,
}

/// No place: memory ends before there are so many.
const NOWHERE: u32 = u32::MAX;

impl Draining {
    /// The news of `server`.
    #[inline]
    pub(crate) fn new(server: Option<Rc<ServerState>>) -> Draining {
        Draining { server, place: NOWHERE }
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
        this.place = server.waiting.join(this.place, cx.waker());
        // Once more, because keeping a waker may have been foreign code.
        if server.waiting.is_told() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Draining {
    #[inline]
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.waiting.leave(self.place);
        }
    }
}

impl fmt::Debug for Draining {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draining")
    }
}

/// Those that wait for a drain: 16 bytes each, and nothing for a connection that does not ask.
#[derive(Default)]
pub(crate) struct Waiting {
    /// The drain has come so far.
    told: Cell<bool>,
    waiters: RefCell<Slab<Waiter>>,
}

impl Waiting {
    /// Has `waker` woken by [`tell_all`](Waiting::tell_all). Returns the place, which is `place` for one that has joined before.
    ///
    /// # Panics
    ///
    /// When there would be 2³² - 1, which is out of reach before memory is.
    #[inline]
    fn join(&self, place: u32, waker: &Waker) -> u32 {
        // There is nobody at `NOWHERE`.
        if self.waiters.borrow().get(place as usize).is_some_and(|kept| kept.will_wake(waker)) {
            return place;
        }
        // Keeping and dropping wakers may be foreign code: outside of the borrow.
        let waiter = Waiter::new(waker);
        self.leave(place);
        let place = self.waiters.borrow_mut().insert(waiter);
        u32::try_from(place).ok().filter(|&place| place != NOWHERE).expect("fewer than 2^32 - 1 wait")
    }

    #[inline]
    fn leave(&self, place: u32) {
        let waiter = self.waiters.borrow_mut().try_remove(place as usize);
        drop(waiter);
    }

    /// Puts those that wait to memory that is allocated now, and returns what is left.
    #[inline]
    pub(crate) fn move_ahead(&self) -> Slab<Waiter> {
        move_ahead(&mut self.waiters.borrow_mut())
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
        let waiting = self.waiters.take();
        waiting.into_iter().for_each(|(_, waiter)| waiter.wake());
    }
}
