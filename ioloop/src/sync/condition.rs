use std::{
    any::Any,
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
        ConditionWait { condition: self, place: ConditionPlace(Some(self.waiters.join(()))) }
    }

    /// [`wait`](Condition::wait) for futures written by hand that reach the condition in some other way than by a reference:
    /// the place in line is taken by the first call, and is again after one that was ready.
    ///
    /// Such a future gives its place up by [`leave`](Condition::leave) when it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{future::Future, pin::Pin, rc::Rc, task::{Context, Poll}};
    /// use ioloop::{IOLoop, spawn, sync::{Condition, ConditionPlace}};
    ///
    /// struct Changed {
    ///     condition: Rc<Condition>,
    ///     place: ConditionPlace,
    /// }
    ///
    /// impl Future for Changed {
    ///     type Output = ();
    ///
    ///     fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
    ///         let this = &mut *self;
    ///         this.condition.poll_wait(&mut this.place, cx)
    ///     }
    /// }
    ///
    /// impl Drop for Changed {
    ///     fn drop(&mut self) {
    ///         self.condition.leave(&mut self.place);
    ///     }
    /// }
    ///
    /// let condition = Rc::new(Condition::new());
    /// let changed = Changed { condition: Rc::clone(&condition), place: ConditionPlace::default() };
    /// IOLoop::current().run_sync(async move {
    ///     spawn(async move { condition.notify_all() });
    ///     changed.await;
    /// });
    /// ```
    #[inline]
    pub fn poll_wait(&self, place: &mut ConditionPlace, cx: &mut Context<'_>) -> Poll<()> {
        let taken = *place.0.get_or_insert_with(|| self.waiters.join(()));
        let notified = self.waiters.poll_notified(taken, cx);
        if notified.is_ready() {
            place.0 = None;
        }
        notified
    }

    /// Gives a place up. A notification that came for it goes to the next in line, as when a [`ConditionWait`] is dropped.
    #[inline]
    pub fn leave(&self, place: &mut ConditionPlace) {
        let Some(place) = place.0.take() else { return };
        let was_notified = self.waiters.leave(place).is_none();
        if was_notified && !self.told_all.get().includes(place) {
            self.waiters.notify_one();
        }
    }

    /// Puts those who wait to memory that is allocated now, and returns what is left: for the [`Ebb`](crate::Ebb) of something
    /// for which thousands wait, and few for long. A condition whose waiters leave gives most of their memory back by itself.
    #[inline]
    pub fn move_ahead(&self) -> Box<dyn Any> {
        self.waiters.move_ahead()
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

/// A place in the line of a [`Condition`], for [`poll_wait`](Condition::poll_wait), or none, which is the default. Always of
/// the same condition.
#[derive(Debug, Default)]
pub struct ConditionPlace(Option<Place>);

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
    /// In no line once it is done.
    place: ConditionPlace,
}

impl Future for ConditionWait<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.place.0 {
            Some(_) => self.condition.poll_wait(&mut self.place, cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for ConditionWait<'_> {
    #[inline]
    fn drop(&mut self) {
        self.condition.leave(&mut self.place);
    }
}
