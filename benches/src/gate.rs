//! A gate many futures wait at, which one call opens for all of them.

use std::{
    cell::{Cell, RefCell},
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// What `GET /park` waits at and `GET /release` opens. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Rc<State>);

#[derive(Debug, Default)]
struct State {
    /// How often the gate was opened: a waiter is through once this has moved on from what it saw when it came.
    opened: Cell<u64>,
    /// One place per waiter since the last opening; `None` where a waiter gave up.
    waiting: RefCell<Vec<Option<Waker>>>,
}

impl Gate {
    /// A gate nobody waits at.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Waits until the next [`open`](Gate::open).
    pub fn wait(&self) -> Wait {
        Wait { came: self.0.opened.get(), place: None, gate: self.0.clone() }
    }

    /// Lets everybody through who waits now, and returns how many that were.
    pub fn open(&self) -> usize {
        self.0.opened.set(self.0.opened.get() + 1);
        // Taken out first: a waker may run code that waits again.
        let waiting = mem::take(&mut *self.0.waiting.borrow_mut());
        waiting.into_iter().flatten().map(Waker::wake).count()
    }
}

/// The future of [`Gate::wait`].
#[derive(Debug)]
pub struct Wait {
    came: u64,
    place: Option<usize>,
    gate: Rc<State>,
}

impl Wait {
    fn is_through(&self) -> bool {
        self.gate.opened.get() != self.came
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_through() {
            return Poll::Ready(());
        }
        let gate = self.gate.clone();
        let mut waiting = gate.waiting.borrow_mut();
        let place = *self.place.get_or_insert_with(|| {
            waiting.push(None);
            waiting.len() - 1
        });
        waiting[place] = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if !self.is_through()
            && let Some(place) = self.place
        {
            let gone = self.gate.leave(place);
            drop(gone);
        }
    }
}

impl State {
    fn leave(&self, place: usize) -> Option<Waker> {
        let mut waiting = self.waiting.borrow_mut();
        let gone = waiting[place].take();
        // Given back at once, so that the gate does not show up in the memory a server keeps after its connections have closed.
        while let Some(None) = waiting.last() {
            waiting.pop();
        }
        if waiting.is_empty() {
            *waiting = Vec::new();
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_lets_through_who_waits_and_nobody_who_comes_later() {
        let gate = Gate::new();
        let (mut early, mut gone) = (gate.wait(), gate.wait());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut early).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut gone).poll(&mut cx).is_pending());
        drop(gone);

        assert_eq!(gate.open(), 1);
        let mut late = gate.wait();
        assert!(Pin::new(&mut early).poll(&mut cx).is_ready());
        assert!(Pin::new(&mut late).poll(&mut cx).is_pending());
    }
}
