//! [`Registry`]: what is to be woken or called for an event. What a source keeps in it is in `readiness`.

mod readiness;
#[cfg(test)]
mod tests;

use std::{os::fd::AsFd, panic::Location, rc::Rc, task::Waker};

use crate::{
    arena::{Arena, ArenaKey},
    poller::{Event, Ready, Token},
};

use readiness::{ENDS, Readiness};
pub(crate) use readiness::{Kept, Wait};

/// The loop's registered descriptors: what is to be woken or called when one becomes ready, and which readiness is
/// known.
pub(crate) struct Registry {
    slots: Arena<Slot>,
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

/// A handler that was taken out.
type Removed = (Token, Box<Handler>);

/// What is to be woken or called for an event.
pub(crate) enum Notify {
    /// The task of the loop that waits for a source.
    Task(ArenaKey),
    /// A task, perhaps, and wakers of others.
    Several(Box<(Option<ArenaKey>, Vec<Waker>)>),
    /// A handler, to be put back by [`Registry::put_back`] after its call.
    Handler(HandlerCallback, &'static Location<'static>),
    /// Nobody else: nobody waits, the registration is gone, or its handler is running further up the stack.
    Nobody,
}

impl Registry {
    pub(crate) fn new() -> Registry {
        Registry { slots: Arena::new() }
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

    /// Notes what an event says. The caller wakes when its borrow of the registry has ended, because a waker is foreign code.
    #[inline]
    pub(crate) fn record(&mut self, key: ArenaKey, ready: Ready) -> Notify {
        match self.slots.get_mut(key) {
            Some(Slot::Source(readiness)) if !readiness.has_others() => {
                readiness.record(ready).map_or(Notify::Nobody, Notify::Task)
            }
            Some(Slot::Source(readiness)) => {
                let mut wakers = Vec::new();
                let task = readiness.record_with_others(ready, &mut wakers);
                if wakers.is_empty() {
                    return task.map_or(Notify::Nobody, Notify::Task);
                }
                Notify::Several(Box::new((task, wakers)))
            }
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

    /// Removes a source. The task that waits is returned, and the wakers of others appended to `wakers`, so that these find
    /// out that it is gone.
    pub(crate) fn remove_source(&mut self, key: ArenaKey, wakers: &mut Vec<Waker>) -> Option<ArenaKey> {
        match self.slots.remove(key) {
            Some(Slot::Source(mut readiness)) => readiness.record_with_others(Ready::all(), wakers),
            Some(Slot::Handler(_)) | None => None,
        }
    }

    /// Does [`Arena::move_ahead`].
    #[cold]
    pub(crate) fn move_ahead(&mut self) -> impl Sized + use<> {
        self.slots.move_ahead()
    }

    /// Takes everything out: handlers, to be dropped outside of the borrow, and the wakers and tasks that wait for a source.
    pub(crate) fn drain(&mut self) -> (Vec<Removed>, Vec<Waker>, Vec<ArenaKey>) {
        let (mut handlers, mut wakers, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        self.slots.drain(|key, slot| match slot {
            Slot::Handler(handler) => handlers.push((Token::from_key(key), handler)),
            Slot::Source(mut readiness) => tasks.extend(readiness.record_with_others(Ready::all(), &mut wakers)),
        });
        (handlers, wakers, tasks)
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

    /// The cached bits when one of `wanted` is among them; otherwise whoever has `waker` is to be woken when one comes. A
    /// `task` of the loop is noted at once. The waker of somebody else is not cloned here: the registry is borrowed, and the
    /// clone is foreign code.
    #[inline]
    pub(crate) fn ready_or_wait(
        &mut self,
        key: ArenaKey,
        wanted: Ready,
        waker: &Waker,
        task: impl FnOnce() -> Option<ArenaKey>,
    ) -> Wait {
        // A source whose loop has been closed is reported as broken instead of waiting for ever.
        let Some(readiness) = self.readiness_mut(key) else { return Wait::Ready(Ready::all()) };
        if readiness.ready.intersects(wanted | ENDS) {
            return Wait::Ready(readiness.ready);
        }
        // It was taken when it was last woken, so as good as always the place is empty.
        match task() {
            Some(task) if readiness.wait(wanted, task) => Wait::Pending,
            _ => readiness.wait_beside_again(wanted, waker),
        }
    }

    /// Keeps `waker` until one of `wanted` comes.
    pub(crate) fn wait(&mut self, key: ArenaKey, wanted: Ready, waker: Waker, turn: u32) -> Kept {
        match self.readiness_mut(key).filter(|readiness| !readiness.ready.intersects(wanted | ENDS)) {
            Some(readiness) => readiness.wait_beside(wanted, waker, turn),
            None => Kept::No(waker),
        }
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
