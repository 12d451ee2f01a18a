use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use super::{Order, OrderedQueue};

/// The items of a queue, one after the other, for ever: what a worker loops over. From [`OrderedQueue::items`].
pub struct Items<'q, T, O: Order<T>> {
    queue: &'q OrderedQueue<T, O>,
}

impl<'q, T, O: Order<T>> Items<'q, T, O> {
    pub(super) fn new(queue: &'q OrderedQueue<T, O>) -> Self {
        Items { queue }
    }

    /// The next item, waiting for one if there is none.
    ///
    /// # Cancel safety
    ///
    /// As with [`Get`](super::Get), no item is lost.
    pub async fn next(&mut self) -> Item<'q, T, O> {
        let item = self.queue.get().await;
        Item { item, _done: Done { queue: self.queue } }
    }
}

impl<T, O: Order<T>> fmt::Debug for Items<'_, T, O> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("queue", self.queue).finish()
    }
}

/// An item being worked on. When it is dropped, also by a panic or because the task is aborted, it counts as
/// [done](OrderedQueue::task_done).
pub struct Item<'q, T, O: Order<T>> {
    // Dropped before it counts as done.
    item: T,
    _done: Done<'q, T, O>,
}

struct Done<'q, T, O: Order<T>> {
    queue: &'q OrderedQueue<T, O>,
}

impl<T, O: Order<T>> Item<'_, T, O> {
    /// The item by value. It counts as done now.
    pub fn into_inner(self) -> T {
        self.item
    }
}

impl<T, O: Order<T>> Deref for Item<'_, T, O> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T, O: Order<T>> DerefMut for Item<'_, T, O> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T: fmt::Debug, O: Order<T>> fmt::Debug for Item<'_, T, O> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.item, f)
    }
}

impl<T, O: Order<T>> Drop for Done<'_, T, O> {
    fn drop(&mut self) {
        // Somebody may have called `task_done` for it as well; a drop is no place to panic.
        if self.queue.unfinished.get() > 0 {
            self.queue.task_done();
        }
    }
}
