use std::{
    mem,
    os::fd::AsFd,
    panic::Location,
    ptr,
    rc::Rc,
    task::{RawWakerVTable, Waker},
};

use crate::{
    arena::{Arena, Key},
    poller::{Event, Ready, Token},
};

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
    Source(Waiters),
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

/// What a [`Source`](crate::Source) keeps in the loop.
struct Waiters {
    /// Bits reported and not cleared since. An edge is reported once, so this is the only memory of it.
    ready: Ready,
    /// What the first waiter waits for.
    wanted: Ready,
    /// A single waiter is the common case and costs no allocation.
    first: Option<Waker>,
    /// Everybody else. The box keeps an idle source small.
    others: Option<Box<Others>>,
}

/// Waiters beyond the first.
struct Others {
    list: Vec<(Ready, Waker)>,
    /// The list is swept when it has grown to this length.
    limit: usize,
    /// The turn of the last sweep.
    swept_in: u32,
}

/// How many waiters beside the first are never swept.
const FEW: usize = 16;

/// Who is to be told of an event.
pub(crate) enum Notify {
    /// A source's first waiter; the others have been moved to the list given to [`Registry::record`].
    Waiters(Option<Waker>),
    /// A handler, to be put back by [`Registry::put_back`] after its call.
    Handler(HandlerCallback, &'static Location<'static>),
    /// Nobody: the registration is gone, or its handler is running further up the stack.
    Nobody,
}

/// What came of [`Registry::ready_or_wait`].
pub(crate) enum Wait {
    Ready(Ready),
    /// The waker is kept.
    Pending,
    /// A clone of the waker is to be given to [`Registry::wait`].
    MustWait,
}

/// What came of [`Registry::wait`].
#[must_use]
pub(crate) enum Kept {
    Yes,
    /// Yes, and these have waited so long that they are to be woken.
    Swept(Vec<Waker>),
    /// Cloning the waker was foreign code, which has changed what there is to wait for. Here it is, to be dropped.
    No(Waker),
}

/// Reading also ends with an error or a hang-up, so whoever waits for data wants to know.
const ENDS: Ready = Ready::HANGUP.union(Ready::ERROR);

impl Registry {
    /// A registry for a loop whose tasks have wakers like `own`.
    pub(crate) fn new(own: &Waker) -> Registry {
        Registry { slots: Arena::new(), own_wakers: own.vtable() }
    }

    pub(crate) fn insert_source(&mut self) -> Key {
        // A fresh socket has room to write. Whatever else is true of it, epoll reports as a first edge.
        let waiters = Waiters { ready: Ready::WRITABLE, wanted: Ready::empty(), first: None, others: None };
        self.slots.insert(Slot::Source(waiters))
    }

    pub(crate) fn insert_handler(
        &mut self,
        fd: Rc<dyn AsFd>,
        callback: HandlerCallback,
        location: &'static Location<'static>,
    ) -> Key {
        self.slots.insert(Slot::Handler(Box::new(Handler { fd, callback: Some(callback), location })))
    }

    /// Notes what an event says. Wakers to be woken beside the one returned are appended to `wakers`; the caller wakes
    /// them all after its borrow of the registry has ended, because a waker is foreign code.
    pub(crate) fn record(&mut self, key: Key, ready: Ready, wakers: &mut Vec<Waker>) -> Notify {
        match self.slots.get_mut(key) {
            Some(Slot::Source(waiters)) => Notify::Waiters(waiters.record(ready, wakers)),
            Some(Slot::Handler(handler)) => match handler.callback.take() {
                Some(callback) => Notify::Handler(callback, handler.location),
                None => Notify::Nobody,
            },
            None => Notify::Nobody,
        }
    }

    /// Returns the callback when its registration has gone meanwhile: the caller drops it outside of the borrow.
    pub(crate) fn put_back(&mut self, key: Key, callback: HandlerCallback) -> Option<HandlerCallback> {
        match self.slots.get_mut(key) {
            Some(Slot::Handler(handler)) => handler.callback.replace(callback),
            _ => Some(callback),
        }
    }

    pub(crate) fn handler_fd(&self, key: Key) -> Option<Rc<dyn AsFd>> {
        match self.slots.get(key)? {
            Slot::Handler(handler) => Some(Rc::clone(&handler.fd)),
            Slot::Source(_) => None,
        }
    }

    /// Whatever the slot held is returned, to be dropped outside of the borrow.
    pub(crate) fn remove(&mut self, key: Key) -> Option<impl Sized + use<>> {
        self.slots.remove(key)
    }

    /// Removes a source. Whoever waits for it is appended to `wakers`, to find out that it is gone.
    pub(crate) fn remove_source(&mut self, key: Key, wakers: &mut Vec<Waker>) {
        if let Some(Slot::Source(mut waiters)) = self.slots.remove(key) {
            let first = waiters.record(Ready::all(), wakers);
            wakers.extend(first);
        }
    }

    /// Takes everything out: handlers, to be dropped outside of the borrow, and whoever waits for a source.
    pub(crate) fn drain(&mut self) -> (Vec<(Token, Box<Handler>)>, Vec<Waker>) {
        let (mut handlers, mut wakers) = (Vec::new(), Vec::new());
        for (key, slot) in self.slots.drain() {
            match slot {
                Slot::Handler(handler) => handlers.push((Token::from_key(key), handler)),
                Slot::Source(mut waiters) => {
                    let first = waiters.record(Ready::all(), &mut wakers);
                    wakers.extend(first);
                }
            }
        }
        (handlers, wakers)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn ready(&self, key: Key) -> Ready {
        self.waiters(key).map_or(Ready::empty(), |waiters| waiters.ready)
    }

    /// Clears `what` unless one of `unless` is cached. False when it is.
    #[inline]
    pub(crate) fn clear_unless(&mut self, key: Key, what: Ready, unless: Ready) -> bool {
        match self.waiters_mut(key) {
            Some(waiters) if !waiters.ready.intersects(unless) => {
                waiters.ready.remove(what);
                true
            }
            _ => false,
        }
    }

    /// The cached bits when one of `wanted` is among them; otherwise `waker` is to be kept until one comes. One that is not
    /// the loop's own is not cloned here: the registry is borrowed, and the clone is foreign code.
    #[inline]
    pub(crate) fn ready_or_wait(&mut self, key: Key, wanted: Ready, waker: &Waker) -> Wait {
        // A source whose loop has been closed is reported as broken instead of waiting for ever.
        let own_wakers = self.own_wakers;
        let Some(waiters) = self.waiters_mut(key) else { return Wait::Ready(Ready::all()) };
        if waiters.ready.intersects(wanted | ENDS) {
            return Wait::Ready(waiters.ready);
        }
        // The waker was taken when it was last woken, so as good as always the place is empty.
        match &waiters.first {
            None if ptr::eq(own_wakers, waker.vtable()) => {
                waiters.wait_first(wanted, waker.clone());
                Wait::Pending
            }
            None => Wait::MustWait,
            Some(first) if first.will_wake(waker) => {
                waiters.wanted |= wanted;
                Wait::Pending
            }
            Some(_) => waiters.wait_beside_again(wanted, waker),
        }
    }

    /// Keeps `waker` until one of `wanted` comes.
    pub(crate) fn wait(&mut self, key: Key, wanted: Ready, waker: Waker, turn: u32) -> Kept {
        let Some(waiters) = self.waiters_mut(key).filter(|waiters| !waiters.ready.intersects(wanted | ENDS)) else {
            return Kept::No(waker);
        };
        if waiters.first.is_some() {
            return waiters.wait_beside(wanted, waker, turn);
        }
        waiters.wait_first(wanted, waker);
        Kept::Yes
    }

    fn waiters(&self, key: Key) -> Option<&Waiters> {
        match self.slots.get(key)? {
            Slot::Source(waiters) => Some(waiters),
            Slot::Handler(_) => None,
        }
    }

    fn waiters_mut(&mut self, key: Key) -> Option<&mut Waiters> {
        match self.slots.get_mut(key)? {
            Slot::Source(waiters) => Some(waiters),
            Slot::Handler(_) => None,
        }
    }
}

impl Waiters {
    #[inline]
    fn record(&mut self, ready: Ready, wakers: &mut Vec<Waker>) -> Option<Waker> {
        self.ready |= ready;
        if let Some(others) = &mut self.others {
            wakers.extend(
                others.list.extract_if(.., |(wanted, _)| ready.intersects(*wanted | ENDS)).map(|(_, waker)| waker),
            );
            if others.list.is_empty() {
                self.others = None;
            }
        }
        if ready.intersects(self.wanted | ENDS) { self.first.take() } else { None }
    }

    /// For an empty place.
    #[inline]
    fn wait_first(&mut self, wanted: Ready, waker: Waker) {
        self.wanted = wanted;
        // Saying that it is empty saves what an assignment does to drop what was there.
        mem::forget(self.first.replace(waker));
    }

    #[cold]
    fn wait_beside_again(&mut self, wanted: Ready, waker: &Waker) -> Wait {
        let others =
            self.others.as_mut().and_then(|others| others.list.iter_mut().find(|(_, known)| known.will_wake(waker)));
        let Some((known_wanted, _)) = others else { return Wait::MustWait };
        *known_wanted |= wanted;
        Wait::Pending
    }

    #[cold]
    fn wait_beside(&mut self, wanted: Ready, waker: Waker, turn: u32) -> Kept {
        let others = self.others.get_or_insert_with(|| Box::new(Others::new(turn)));
        let swept = others.make_room(turn);
        others.list.push((wanted, waker));
        if swept.is_empty() { Kept::Yes } else { Kept::Swept(swept) }
    }
}

impl Others {
    fn new(turn: u32) -> Others {
        Others { list: Vec::new(), limit: FEW, swept_in: turn }
    }

    /// A waker does not tell whether its task still lives, and on a connection that lasts there may be no event for
    /// hours, while every request leaves another one behind. So a list that has grown long is given to the caller to be
    /// woken: those who live come back within a turn, and then the list may grow to twice their number before the next
    /// sweep.
    fn make_room(&mut self, turn: u32) -> Vec<Waker> {
        if self.list.len() < self.limit {
            return Vec::new();
        }
        if turn.wrapping_sub(self.swept_in) <= 1 {
            self.limit = 2 * self.list.len();
            return Vec::new();
        }
        self.limit = FEW;
        self.swept_in = turn;
        self.list.drain(..).map(|(_, waker)| waker).collect()
    }
}

#[cfg(test)]
mod tests;
