use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use super::{Full, Order, OrderedQueue};
use crate::sync::wait_list::Place;

/// The future of [`OrderedQueue::put`].
///
/// # Cancel safety
///
/// Dropped before the queue took the item, it drops the item. To keep it, use [`OrderedQueue::try_put`].
#[must_use = "futures do nothing unless awaited"]
pub struct Put<'q, T, O: Order<T>> {
    queue: &'q OrderedQueue<T, O>,
    state: PutState<T>,
}

enum PutState<T> {
    New(T),
    /// The item is in the line.
    Waiting(Place),
    Done,
}

impl<'q, T, O: Order<T>> Put<'q, T, O> {
    pub(super) fn new(queue: &'q OrderedQueue<T, O>, item: T) -> Self {
        Put { queue, state: PutState::New(item) }
    }
}

// The item is only ever moved, never pinned.
impl<T, O: Order<T>> Unpin for Put<'_, T, O> {}

impl<T, O: Order<T>> Future for Put<'_, T, O> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let queue = self.queue;
        let place = match mem::replace(&mut self.state, PutState::Done) {
            PutState::Done => return Poll::Ready(()),
            PutState::Waiting(place) => place,
            PutState::New(item) => match queue.try_put(item) {
                Ok(()) => return Poll::Ready(()),
                Err(Full(item)) => queue.putters.join(Some(item)),
            },
        };
        let taken = queue.putters.poll_notified(place, cx);
        if taken.is_pending() {
            self.state = PutState::Waiting(place);
        }
        taken
    }
}

impl<T, O: Order<T>> Drop for Put<'_, T, O> {
    fn drop(&mut self) {
        if let PutState::Waiting(place) = self.state {
            drop(self.queue.putters.leave(place));
        }
    }
}

impl<T, O: Order<T>> fmt::Debug for Put<'_, T, O> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("queue", self.queue).finish_non_exhaustive()
    }
}
