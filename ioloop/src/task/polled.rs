use std::{
    cell::Cell,
    ptr,
    task::{RawWakerVTable, Waker},
};

use crate::arena::ArenaKey;

/// The task that a loop polls now, and by which waker.
///
/// What the loop itself keeps for a task that waits, in its tables of descriptors and timers, is the name of the task and
/// no clone of its waker: half the room, no count to be changed by atomic operations, and a wake-up that is a push on the
/// queue. A task whose waker nobody clones needs none of its own; see [`Fresh`](super::Fresh).
pub(crate) struct Polled {
    task: Cell<ArenaKey>,
    waker: Cell<Option<Identity>>,
}

/// What tells a waker from others for as long as it lives.
type Identity = (*const (), &'static RawWakerVTable);

impl Polled {
    pub(crate) fn new() -> Polled {
        Polled { task: Cell::new(ArenaKey { index: 0, generation: 0 }), waker: Cell::new(None) }
    }

    /// `task` is about to be polled.
    #[inline]
    pub(crate) fn prepare(&self, task: ArenaKey) {
        self.task.set(task);
    }

    /// It is polled with `waker`.
    #[inline]
    pub(crate) fn begin(&self, waker: &Waker) {
        self.waker.set(Some((waker.data(), waker.vtable())));
    }

    /// The poll is over. From here on the waker may go, and another one come to be in its place.
    #[inline]
    pub(crate) fn end(&self) {
        self.waker.set(None);
    }

    /// The name of the task that is polled, if `waker` is the one that it is polled with.
    #[inline]
    pub(crate) fn task_of(&self, waker: &Waker) -> Option<ArenaKey> {
        let (data, vtable) = self.waker.get()?;
        (data == waker.data() && ptr::eq(vtable, waker.vtable())).then(|| self.task.get())
    }
}
