use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::wait_list::{Place, WaitList};

/// A flag that tasks can wait for.
///
/// [`set`](Event::set) wakes all waiting tasks and lets later ones through, until [`clear`](Event::clear). To wake only
/// the tasks that wait at the moment, use a [`Condition`](super::Condition).
///
/// # Examples
///
/// Requests that come before the table is there wait for it; those that come later do not:
///
/// ```
/// use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};
/// use ioloop::{IOLoop, sleep, spawn, sync::Event};
///
/// #[derive(Default)]
/// struct Prices {
///     table: RefCell<HashMap<&'static str, u32>>,
///     loaded: Event,
/// }
///
/// impl Prices {
///     async fn load(&self) {
///         sleep(Duration::from_millis(2)).await; // Stands for a query.
///         self.table.borrow_mut().extend([("tea", 3), ("coffee", 4)]);
///         self.loaded.set();
///     }
///
///     async fn of(&self, thing: &str) -> Option<u32> {
///         self.loaded.wait().await;
///         self.table.borrow().get(thing).copied()
///     }
/// }
///
/// fn main() {
///     let prices = Rc::new(Prices::default());
///     IOLoop::current().run_sync(async {
///         let early = spawn({
///             let prices = Rc::clone(&prices);
///             async move { prices.of("tea").await }
///         });
///         prices.load().await;
///         assert_eq!(early.await.expect("it does not panic"), Some(3));
///         assert_eq!(prices.of("gold").await, None);
///     });
/// }
/// ```
#[derive(Debug)]
pub struct Event {
    is_set: Cell<bool>,
    waiters: WaitList,
}

impl Event {
    /// An event that is not set.
    #[inline]
    pub const fn new() -> Event {
        Event { is_set: Cell::new(false), waiters: WaitList::new() }
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.is_set.get()
    }

    /// Sets it and wakes all waiting tasks. Nothing happens when it is set already.
    #[inline]
    pub fn set(&self) {
        if !self.is_set.replace(true) {
            self.waiters.notify_all();
        }
    }

    /// Clears it: tasks that call [`wait`](Event::wait) from now on wait.
    pub fn clear(&self) {
        self.is_set.set(false);
    }

    /// Waits until the event is set. A task that waits when it is set gets through, even if it is cleared before the
    /// task runs.
    pub fn wait(&self) -> EventWait<'_> {
        EventWait { event: self, place: None }
    }
}

impl Default for Event {
    #[inline]
    fn default() -> Event {
        Event::new()
    }
}

/// The future of [`Event::wait`].
///
/// # Cancel safety
///
/// Dropping it leaves no trace.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct EventWait<'e> {
    event: &'e Event,
    place: Option<Place>,
}

impl Future for EventWait<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let event = self.event;
        if self.place.is_none() && event.is_set() {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| event.waiters.join(()));
        event.waiters.poll_notified(place, cx)
    }
}

impl Drop for EventWait<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.event.waiters.leave(place);
        }
    }
}
