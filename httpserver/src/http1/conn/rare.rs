//! What few connections ever need.

use std::{cell::Cell, task::Waker};

use super::{Conn, incoming::Reading, outgoing::Stall};

/// What is kept for a body that does not come with its head, for a peer that does not take what is sent, and for a task
/// that cannot wait for the stream. Behind one pointer, which is all that other connections have of it.
///
/// Each is held only while it is in use; the place for the three, once made, stays with the connection.
#[derive(Default)]
pub(super) struct Rare {
    /// What a body needs that is chunked, has to be waited for, or has failed.
    pub(super) reading: Cell<Option<Box<Reading>>>,
    /// Set while somebody waits for the peer to take what is queued.
    pub(super) stall: Cell<Option<Box<Stall>>>,
    /// The connection's task, where it cannot wait for the stream.
    task: Cell<Option<Waker>>,
}

impl Conn {
    /// The place for them, made if there is none.
    #[cold]
    #[inline(never)]
    pub(super) fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// The body's, if there is one; out of its place.
    #[inline]
    pub(super) fn take_reading(&self) -> Option<Box<Reading>> {
        self.rare.get()?.reading.take()
    }

    #[inline]
    pub(super) fn take_stall(&self) -> Option<Box<Stall>> {
        self.rare.get()?.stall.take()
    }

    /// The task that was kept, if one was.
    #[inline]
    pub(crate) fn take_task(&self) -> Option<Waker> {
        self.rare.get()?.task.take()
    }

    /// Keeps a task for [`take_task`](Conn::take_task).
    #[inline]
    pub(crate) fn keep_task(&self, task: Waker) {
        self.rare().task.set(Some(task));
    }
}
