use std::{
    cell::Cell,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use super::wait_list::{Place, WaitList};

/// A number of permits: at most so many tasks do something at the same time.
///
/// Permits are handed out in the order in which tasks came to wait. A released permit goes to the task that has waited
/// longest; no other can take it first.
///
/// # Examples
///
/// Twenty requests to a server that is asked two at a time:
///
/// ```
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// use ioloop::{IOLoop, sleep, spawn, sync::Semaphore};
///
/// struct Client {
///     slots: Semaphore,
///     under_way: Cell<usize>,
///     most: Cell<usize>,
/// }
///
/// impl Client {
///     async fn fetch(&self, number: u32) -> u32 {
///         // Given back when it is dropped, also when this future is dropped half-way.
///         let _slot = self.slots.acquire().await;
///         self.under_way.set(self.under_way.get() + 1);
///         self.most.set(self.most.get().max(self.under_way.get()));
///         sleep(Duration::from_micros(200)).await;
///         self.under_way.set(self.under_way.get() - 1);
///         number * number
///     }
/// }
///
/// fn main() {
///     let client = Rc::new(Client { slots: Semaphore::new(2), under_way: Cell::new(0), most: Cell::new(0) });
///     let tasks: Vec<_> = (1..=20)
///         .map(|number| {
///             let client = Rc::clone(&client);
///             spawn(async move { client.fetch(number).await })
///         })
///         .collect();
///     IOLoop::current().run_sync(async {
///         for (task, number) in tasks.into_iter().zip(1..) {
///             assert_eq!(task.await.expect("it does not panic"), number * number);
///         }
///     });
///     assert_eq!((client.most.get(), client.slots.available()), (2, 2));
/// }
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
    #[inline]
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore::limited(permits, usize::MAX)
    }

    #[inline]
    const fn limited(permits: usize, limit: usize) -> Semaphore {
        Semaphore { available: Cell::new(permits), limit, waiters: WaitList::new() }
    }

    /// How many permits are free.
    #[inline]
    pub fn available(&self) -> usize {
        self.available.get()
    }

    /// Waits for a permit, which is given back when it is dropped. The place in line is taken when the future is first
    /// polled.
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire { semaphore: self, place: None }
    }

    /// A permit, if one is free. One that was released while a task waits belongs to that task and is not free.
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.take().then(|| Permit { semaphore: self })
    }

    /// Adds a permit: one whose guard was [forgotten](Permit::forget), or a new one.
    #[inline]
    pub fn release(&self) {
        if !self.waiters.notify_one() {
            self.available.set(self.available.get().saturating_add(1).min(self.limit));
        }
    }

    #[inline]
    fn take(&self) -> bool {
        let available = self.available.get();
        self.available.set(available.saturating_sub(1));
        available > 0
    }
}

/// The right to go on, given back when it is dropped.
///
/// It borrows the semaphore. To hand it to another task, [forget](Permit::forget) it there and
/// [release](Semaphore::release) it here.
#[derive(Debug)]
#[must_use = "the permit is released as soon as it is dropped"]
pub struct Permit<'s> {
    semaphore: &'s Semaphore,
}

impl Permit<'_> {
    /// Keeps the permit taken. [`Semaphore::release`] can give it back, from anywhere.
    #[inline]
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
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

    #[inline]
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
    #[inline]
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
/// A pool of buffers, of which a lent one may come back in another place than where it was taken:
///
/// ```
/// use std::{cell::RefCell, rc::Rc, time::Duration};
/// use ioloop::{IOLoop, sleep, spawn, sync::BoundedSemaphore};
///
/// struct Pool {
///     free: RefCell<Vec<Vec<u8>>>,
///     count: BoundedSemaphore,
/// }
///
/// impl Pool {
///     fn new(buffers: usize) -> Pool {
///         let free = (0..buffers).map(|_| Vec::with_capacity(1024)).collect();
///         Pool { free: RefCell::new(free), count: BoundedSemaphore::new(buffers) }
///     }
///
///     /// Waits while all are lent.
///     async fn take(&self) -> Vec<u8> {
///         self.count.acquire().await.forget();
///         self.free.borrow_mut().pop().expect("as many as there are permits")
///     }
///
///     /// Panics for a buffer too many, which is none of this pool's.
///     fn give_back(&self, mut buffer: Vec<u8>) {
///         buffer.clear();
///         self.free.borrow_mut().push(buffer);
///         self.count.release();
///     }
/// }
///
/// fn main() {
///     let pool = Rc::new(Pool::new(1));
///     IOLoop::current().run_sync(async {
///         let mut buffer = pool.take().await;
///         let lender = Rc::clone(&pool);
///         spawn(async move {
///             buffer.extend(b"sent by somebody else");
///             sleep(Duration::from_millis(1)).await;
///             lender.give_back(buffer);
///         });
///         assert!(pool.take().await.is_empty());
///     });
///     assert_eq!(pool.count.available(), 0);
/// }
/// ```
#[derive(Debug)]
pub struct BoundedSemaphore {
    semaphore: Semaphore,
}

impl BoundedSemaphore {
    /// A semaphore with `permits` permits, now and at most.
    #[inline]
    pub const fn new(permits: usize) -> BoundedSemaphore {
        BoundedSemaphore { semaphore: Semaphore::limited(permits, permits) }
    }

    /// How many permits are free.
    #[inline]
    pub fn available(&self) -> usize {
        self.semaphore.available()
    }

    /// As [`Semaphore::acquire`].
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        self.semaphore.acquire()
    }

    /// As [`Semaphore::try_acquire`].
    #[inline]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.semaphore.try_acquire()
    }

    /// Gives back a permit whose guard was [forgotten](Permit::forget).
    ///
    /// # Panics
    ///
    /// When all permits are free: it was released too many times.
    #[track_caller]
    #[inline]
    pub fn release(&self) {
        assert!(self.available() < self.semaphore.limit, "semaphore released too many times");
        self.semaphore.release();
    }
}
