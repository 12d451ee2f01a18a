use std::{
    cell::Cell,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use super::waiters::{Place, WaitList};

/// A number of permits: at most so many tasks do something at the same time.
///
/// Permits are handed out in the order in which tasks came to wait. A released permit goes to the one who has waited
/// longest, so nobody can snatch it from them.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use ioloop::{IOLoop, spawn, sync::Semaphore, yield_now};
///
/// IOLoop::current().run_sync(async {
///     let connections = Rc::new(Semaphore::new(2));
///     let tasks: Vec<_> = (0..5)
///         .map(|_| {
///             let connections = Rc::clone(&connections);
///             spawn(async move {
///                 let _permit = connections.acquire().await;
///                 yield_now().await; // At most two at a time are here.
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.expect("the task does not panic");
///     }
///     assert_eq!(connections.available(), 2);
/// });
/// ```
#[derive(Debug)]
pub struct Semaphore {
    /// Invariant: 0 while somebody waits.
    available: Cell<usize>,
    /// `available` never gets above it.
    limit: usize,
    waiters: WaitList,
}

impl Semaphore {
    /// A semaphore with `permits` permits to begin with.
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore::limited(permits, usize::MAX)
    }

    const fn limited(permits: usize, limit: usize) -> Semaphore {
        Semaphore { available: Cell::new(permits), limit, waiters: WaitList::new() }
    }

    /// How many permits are free.
    pub fn available(&self) -> usize {
        self.available.get()
    }

    /// Waits for a permit. The place in line is taken when the future is first polled.
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire { semaphore: self, place: None }
    }

    /// A permit, if one is free.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.take().then(|| Permit { semaphore: self })
    }

    /// Adds a permit: one whose guard was [forgotten](Permit::forget), or a new one.
    pub fn release(&self) {
        if !self.waiters.notify_one() {
            self.available.set(self.available.get().saturating_add(1).min(self.limit));
        }
    }

    fn take(&self) -> bool {
        let available = self.available.get();
        self.available.set(available.saturating_sub(1));
        available > 0
    }
}

/// The right to go on, given back when it is dropped.
#[derive(Debug)]
#[must_use = "the permit is released as soon as it is dropped"]
pub struct Permit<'s> {
    semaphore: &'s Semaphore,
}

impl Permit<'_> {
    /// Keeps the permit taken. [`Semaphore::release`] can give it back, from anywhere.
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release();
    }
}

/// The future of [`Semaphore::acquire`].
///
/// # Cancel safety
///
/// Dropped while it waits, it leaves no trace. Dropped after a permit was handed to it and before its next poll, it passes
/// the permit on.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'s> {
    semaphore: &'s Semaphore,
    place: Option<Place>,
}

impl<'s> Future for Acquire<'s> {
    type Output = Permit<'s>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit<'s>> {
        let semaphore = self.semaphore;
        if self.place.is_none() && semaphore.take() {
            return Poll::Ready(Permit { semaphore });
        }
        let place = *self.place.get_or_insert_with(|| semaphore.waiters.join(()));
        semaphore.waiters.poll_notified(place, cx).map(|()| {
            self.place = None;
            Permit { semaphore }
        })
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else {
            return;
        };
        if self.semaphore.waiters.leave(place).is_none() {
            self.semaphore.release();
        }
    }
}

/// A [`Semaphore`] that never has more permits than it began with: releasing one too many is a mistake, and found.
///
/// # Examples
///
/// ```
/// use ioloop::sync::BoundedSemaphore;
///
/// let tickets = BoundedSemaphore::new(1);
/// tickets.try_acquire().expect("one is free").forget();
/// assert!(tickets.try_acquire().is_none());
/// tickets.release();
/// assert_eq!(tickets.available(), 1);
/// ```
#[derive(Debug)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
}

impl BoundedSemaphore {
    /// A semaphore with `permits` permits, now and at most.
    pub const fn new(permits: usize) -> BoundedSemaphore {
        BoundedSemaphore { semaphore: Semaphore::limited(permits, permits) }
    }

    /// How many permits are free.
    pub fn available(&self) -> usize {
        self.semaphore.available()
    }

    /// As [`Semaphore::acquire`].
    pub fn acquire(&self) -> Acquire<'_> {
        self.semaphore.acquire()
    }

    /// As [`Semaphore::try_acquire`].
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.semaphore.try_acquire()
    }

    /// Gives back a permit whose guard was [forgotten](Permit::forget).
    ///
    /// # Panics
    ///
    /// When all permits are free: it was released too many times.
    #[track_caller]
    pub fn release(&self) {
        assert!(self.available() < self.semaphore.limit, "semaphore released too many times");
        self.semaphore.release();
    }
}
