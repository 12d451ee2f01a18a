use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::wait_list::{Bound, Place, WaitList};

/// A condition variable: tasks wait for a notification, and a notification wakes as many of the waiting tasks as its
/// sender says.
///
/// A notification is not kept for tasks that wait later; for that, see [`Event`](super::Event). Unlike between threads,
/// no lock goes with it: between two `await`s no other task runs, so check the state, and wait while it is not as it
/// should be.
///
/// # Examples
///
/// A server that ends when its last connection has:
///
/// ```
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// use ioloop::{IOLoop, sleep, spawn, sync::Condition};
///
/// #[derive(Default)]
/// struct Connections {
///     open: Cell<usize>,
///     changed: Condition,
/// }
///
/// impl Connections {
///     fn accept(self: &Rc<Self>, milliseconds: u64) {
///         self.open.set(self.open.get() + 1);
///         let this = Rc::clone(self);
///         spawn(async move {
///             sleep(Duration::from_millis(milliseconds)).await; // It is served.
///             this.open.set(this.open.get() - 1);
///             this.changed.notify_all();
///         });
///     }
///
///     /// Nobody runs between the look and the beginning of the wait: no change can be missed.
///     async fn no_more_than(&self, limit: usize) {
///         while self.open.get() > limit {
///             self.changed.wait().await;
///         }
///     }
/// }
///
/// fn main() {
///     let connections = Rc::new(Connections::default());
///     [3, 1, 2].iter().for_each(|time| connections.accept(*time));
///     IOLoop::current().run_sync(async {
///         connections.no_more_than(1).await;
///         println!("down to {}", connections.open.get());
///         connections.no_more_than(0).await;
///         assert_eq!(connections.changed.waiting(), 0);
///     });
/// }
/// ```
#[derive(Debug)]
pub struct Condition {
    waiters: WaitList,
    /// Who waited before this was told together with everybody else.
    told_all: Cell<Bound>,
}

impl Condition {
    /// A condition without waiting tasks.
    pub const fn new() -> Condition {
        Condition { waiters: WaitList::new(), told_all: Cell::new(Bound::START) }
    }

    /// Waits for a notification. The place in line is taken by this call, not by the first poll: a notification in
    /// between counts.
    #[inline]
    pub fn wait(&self) -> ConditionWait<'_> {
        ConditionWait { condition: self, place: Some(self.waiters.join(())) }
    }

    /// Notifies the `count` tasks that have waited longest, or all if there are fewer.
    #[inline]
    pub fn notify(&self, count: usize) {
        self.waiters.notify(count);
    }

    /// Notifies the task that has waited longest.
    #[inline]
    pub fn notify_one(&self) {
        self.waiters.notify_one();
    }

    /// Notifies all waiting tasks.
    #[inline]
    pub fn notify_all(&self) {
        // Known before the first is woken, who may drop another.
        self.told_all.set(self.waiters.now());
        self.waiters.notify_all();
    }

    /// How many wait.
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }
}

impl Default for Condition {
    #[inline]
    fn default() -> Condition {
        Condition::new()
    }
}

/// The future of [`Condition::wait`].
///
/// # Cancel safety
///
/// Dropped before it was notified, it leaves no trace: a later notification goes to the next in line. Dropped between
/// its notification and its next poll, it passes the notification on to the next in line, except one of
/// [`notify_all`](Condition::notify_all), which all got.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ConditionWait<'c> {
    condition: &'c Condition,
    /// `None` once it is done.
    place: Option<Place>,
}

impl Future for ConditionWait<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(place) = self.place else {
            return Poll::Ready(());
        };
        let notified = self.condition.waiters.poll_notified(place, cx);
        if notified.is_ready() {
            self.place = None;
        }
        notified
    }
}

impl Drop for ConditionWait<'_> {
    #[inline]
    fn drop(&mut self) {
        let Some(place) = self.place else {
            return;
        };
        let was_notified = self.condition.waiters.leave(place).is_none();
        if was_notified && !self.condition.told_all.get().includes(place) {
            self.condition.waiters.notify_one();
        }
    }
}
