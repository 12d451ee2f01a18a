//! [`Registry`]: who is to be told of what the poller reports. What a source keeps in it lies in `readiness`.

mod readiness;
#[cfg(test)]
mod tests;

use std::{
    os::fd::AsFd,
    panic::Location,
    ptr,
    rc::Rc,
    task::{RawWakerVTable, Waker},
};

use crate::{
    arena::{Arena, ArenaKey},
    poller::{Event, Ready, Token},
};

use readiness::{ENDS, Readiness};
pub(crate) use readiness::{Kept, Wait};

/// The loop's book of registered descriptors: who is to be told when one becomes ready, and what is already known.
pub(crate) struct Registry {
    slots: Arena<Slot>,
    /// That of the wakers of this loop's tasks. To clone one of these is to count up and runs nobody's code, so it need not
    /// be done between two borrows, which would take twenty instructions more for each wait.
    own_wakers: &'static RawWakerVTable,
}

/// One registered descriptor. Kept small: it exists once per connection.
enum Slot {
    Handler(Box<Handler>),
    Source(Readiness),
}

/// A callback registered with `add_handler`.
pub(crate) struct Handler {
    /// Keeps the descriptor open while it is registered.
    pub(crate) fd: Rc<dyn AsFd>,
    /// Out of its place while it runs, so that it can be removed or replaced from within.
    callback: Option<HandlerCallback>,
    pub(crate) location: &'static Location<'static>,
}

pub(crate) type HandlerCallback = Box<dyn FnMut(Event)>;

/// Who is to be told of an event.
pub(crate) enum Notify {
    /// A source's first waiter; the others have been moved to the list given to [`Registry::record`].
    Source(Option<Waker>),
    /// A handler, to be put back by [`Registry::put_back`] after its call.
    Handler(HandlerCallback, &'static Location<'static>),
    /// Nobody: the registration is gone, or its handler is running further up the stack.
    Nobody,
}

impl Registry {
    /// A registry for a loop whose tasks have wakers like `own`.
    pub(crate) fn new(own: &Waker) -> Registry {
        Registry { slots: Arena::new(), own_wakers: own.vtable() }
    }

    pub(crate) fn insert_source(&mut self) -> ArenaKey {
        self.slots.insert(Slot::Source(Readiness::new()))
    }

    pub(crate) fn insert_handler(
        &mut self,
        fd: Rc<dyn AsFd>,
        callback: HandlerCallback,
        location: &'static Location<'static>,
    ) -> ArenaKey {
        self.slots.insert(Slot::Handler(Box::new(Handler { fd, callback: Some(callback), location })))
    }

    /// Notes what an event says. Wakers to be woken beside the one returned are appended to `wakers`; the caller wakes
    /// them all after its borrow of the registry has ended, because a waker is foreign code.
    pub(crate) fn record(&mut self, key: ArenaKey, ready: Ready, wakers: &mut Vec<Waker>) -> Notify {
        match self.slots.get_mut(key) {
            Some(Slot::Source(readiness)) => Notify::Source(readiness.record(ready, wakers)),
            Some(Slot::Handler(handler)) => match handler.callback.take() {
                Some(callback) => Notify::Handler(callback, handler.location),
                None => Notify::Nobody,
            },
            None => Notify::Nobody,
        }
    }

    /// Returns the callback when its registration has gone meanwhile: the caller drops it outside of the borrow.
    pub(crate) fn put_back(&mut self, key: ArenaKey, callback: HandlerCallback) -> Option<HandlerCallback> {
        match self.slots.get_mut(key) {
            Some(Slot::Handler(handler)) => handler.callback.replace(callback),
            _ => Some(callback),
        }
    }

    pub(crate) fn handler_fd(&self, key: ArenaKey) -> Option<Rc<dyn AsFd>> {
        match self.slots.get(key)? {
            Slot::Handler(handler) => Some(Rc::clone(&handler.fd)),
            Slot::Source(_) => None,
        }
    }

    /// Whatever the slot held is returned, to be dropped outside of the borrow.
    pub(crate) fn remove(&mut self, key: ArenaKey) -> Option<impl Sized + use<>> {
        self.slots.remove(key)
    }

    /// Removes a source. Whoever waits for it is appended to `wakers`, to find out that it is gone.
    pub(crate) fn remove_source(&mut self, key: ArenaKey, wakers: &mut Vec<Waker>) {
        if let Some(Slot::Source(mut readiness)) = self.slots.remove(key) {
            let first = readiness.record(Ready::all(), wakers);
            wakers.extend(first);
        }
    }

    /// Takes everything out: handlers, to be dropped outside of the borrow, and whoever waits for a source.
    pub(crate) fn drain(&mut self) -> (Vec<(Token, Box<Handler>)>, Vec<Waker>) {
        let (mut handlers, mut wakers) = (Vec::new(), Vec::new());
        for (key, slot) in self.slots.drain() {
            match slot {
                Slot::Handler(handler) => handlers.push((Token::from_key(key), handler)),
                Slot::Source(mut readiness) => {
                    let first = readiness.record(Ready::all(), &mut wakers);
                    wakers.extend(first);
                }
            }
        }
        (handlers, wakers)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn ready(&self, key: ArenaKey) -> Ready {
        self.readiness(key).map_or(Ready::empty(), |readiness| readiness.ready)
    }

    /// Clears `what` unless one of `unless` is cached. False when it is.
    #[inline]
    pub(crate) fn clear_unless(&mut self, key: ArenaKey, what: Ready, unless: Ready) -> bool {
        match self.readiness_mut(key) {
            Some(readiness) if !readiness.ready.intersects(unless) => {
                readiness.ready.remove(what);
                true
            }
            _ => false,
        }
    }

    /// The cached bits when one of `wanted` is among them; otherwise `waker` is to be kept until one comes. One that is not
    /// the loop's own is not cloned here: the registry is borrowed, and the clone is foreign code.
    #[inline]
    pub(crate) fn ready_or_wait(&mut self, key: ArenaKey, wanted: Ready, waker: &Waker) -> Wait {
        // A source whose loop has been closed is reported as broken instead of waiting for ever.
        let own_wakers = self.own_wakers;
        let Some(readiness) = self.readiness_mut(key) else { return Wait::Ready(Ready::all()) };
        if readiness.ready.intersects(wanted | ENDS) {
            return Wait::Ready(readiness.ready);
        }
        // The waker was taken when it was last woken, so as good as always the place is empty.
        match &readiness.first {
            None if ptr::eq(own_wakers, waker.vtable()) => {
                readiness.wait_first(wanted, waker.clone());
                Wait::Pending
            }
            None => Wait::NeedsClone,
            Some(first) if first.will_wake(waker) => {
                readiness.wanted |= wanted;
                Wait::Pending
            }
            Some(_) => readiness.wait_beside_again(wanted, waker),
        }
    }

    /// Keeps `waker` until one of `wanted` comes.
    pub(crate) fn wait(&mut self, key: ArenaKey, wanted: Ready, waker: Waker, turn: u32) -> Kept {
        let Some(readiness) = self.readiness_mut(key).filter(|readiness| !readiness.ready.intersects(wanted | ENDS))
        else {
            return Kept::No(waker);
        };
        if readiness.first.is_some() {
            return readiness.wait_beside(wanted, waker, turn);
        }
        readiness.wait_first(wanted, waker);
        Kept::Yes
    }

    fn readiness(&self, key: ArenaKey) -> Option<&Readiness> {
        match self.slots.get(key)? {
            Slot::Source(readiness) => Some(readiness),
            Slot::Handler(_) => None,
        }
    }

    fn readiness_mut(&mut self, key: ArenaKey) -> Option<&mut Readiness> {
        match self.slots.get_mut(key)? {
            Slot::Source(readiness) => Some(readiness),
            Slot::Handler(_) => None,
        }
    }
}
