//! Layer: ioloop.
//!
//! A bell: any number of tasks wait for its next ring.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Wakes everybody who waits for the next ring.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Cell<u64>,
    next_place: Cell<u64>,
    /// By place rather than in a list, so that whoever stops waiting is gone at once.
    waiting: RefCell<HashMap<u64, Waker>>,
}

impl Bell {
    /// Resolves at the first ring after this call, also if that comes before the first poll.
    pub fn next_ring(&self) -> NextRing<'_> {
        let place = self.next_place.get();
        self.next_place.set(place + 1);
        NextRing { bell: self, heard: self.rings.get(), place }
    }

    /// Wakes everybody who waits now.
    pub fn ring(&self) {
        self.rings.set(self.rings.get() + 1);
        // A waker may run code that waits here again: the borrow ends before the first is woken.
        let waiting = mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_values().for_each(Waker::wake);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }
}

/// The future of [`Bell::next_ring`]; dropped, it gives its place back.
#[derive(Debug)]
pub struct NextRing<'b> {
    bell: &'b Bell,
    heard: u64,
    place: u64,
}

impl Future for NextRing<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.bell.rings.get() != self.heard {
            return Poll::Ready(());
        }
        let earlier = self.bell.waiting.borrow_mut().insert(self.place, cx.waker().clone());
        drop(earlier);
        Poll::Pending
    }
}

impl Drop for NextRing<'_> {
    fn drop(&mut self) {
        let waker = self.bell.waiting.borrow_mut().remove(&self.place);
        drop(waker);
    }
}
