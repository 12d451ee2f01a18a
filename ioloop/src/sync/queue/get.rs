use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{Order, OrderedQueue};
use crate::sync::wait_list::Place;

/// The future of [`OrderedQueue::get`].
///
/// # Cancel safety
///
/// No item is lost: one that was set aside for this future goes to the next in line, or back among the others.
#[must_use = "futures do nothing unless awaited"]
pub struct Get<'q, T, O: Order<T>> {
    queue: &'q OrderedQueue<T, O>,
    place: Option<Place>,
}

impl<'q, T, O: Order<T>> Get<'q, T, O> {
    pub(super) fn new(queue: &'q OrderedQueue<T, O>) -> Self {
        Get { queue, place: None }
    }

    /// To be called once, after the notification.
    fn end_reservation(&self) {
        self.queue.set_aside.set(self.queue.set_aside.get() - 1);
    }
}

impl<T, O: Order<T>> Future for Get<'_, T, O> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let queue = self.queue;
        if self.place.is_none()
            && let Some(item) = queue.try_get()
        {
            return Poll::Ready(item);
        }
        let place = *self.place.get_or_insert_with(|| queue.getters.join(()));
        queue.getters.poll_notified(place, cx).map(|()| {
            self.place = None;
            self.end_reservation();
            queue.remove()
        })
    }
}

impl<T, O: Order<T>> Drop for Get<'_, T, O> {
    fn drop(&mut self) {
        let Some(place) = self.place else {
            return;
        };
        if self.queue.getters.leave(place).is_none() {
            self.end_reservation();
            self.queue.offer();
        }
    }
}

impl<T, O: Order<T>> fmt::Debug for Get<'_, T, O> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("queue", self.queue).finish_non_exhaustive()
    }
}
