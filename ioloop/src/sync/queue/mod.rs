mod get;
mod items;
mod order;
mod put;

use std::{
    cell::{Cell, RefCell},
    fmt,
};

pub use self::{
    get::Get,
    items::{Item, Items},
    order::{Fifo, Lifo, Order, Priority},
    put::Put,
};
use super::{Event, EventWait, waiters::WaitList};

/// A queue between tasks that gives out its items in the order in which they were put.
///
/// See [`OrderedQueue`] for what it can do.
pub type Queue<T> = OrderedQueue<T, Fifo<T>>;

/// A queue between tasks that gives out the smallest item first, and of equal ones the oldest.
///
/// To give each item a priority put tuples, or wrap it in [`Reverse`](std::cmp::Reverse) for the greatest first. An `Ord` of
/// one's own must not use the queue that it orders: it panics there.
///
/// # Examples
///
/// ```
/// use ioloop::sync::PriorityQueue;
///
/// let queue = PriorityQueue::unbounded();
/// for job in [(2, "sweep"), (0, "alarm"), (1, "mail")] {
///     queue.try_put(job)?;
/// }
/// assert_eq!(queue.try_get(), Some((0, "alarm")));
/// # Ok::<_, ioloop::sync::Full<(i32, &str)>>(())
/// ```
pub type PriorityQueue<T> = OrderedQueue<T, Priority<T>>;

/// A queue between tasks that gives out the newest item first.
///
/// # Examples
///
/// ```
/// use ioloop::sync::LifoQueue;
///
/// let queue = LifoQueue::unbounded();
/// queue.try_put(1)?;
/// queue.try_put(2)?;
/// assert_eq!(queue.try_get(), Some(2));
/// # Ok::<_, ioloop::sync::Full<i32>>(())
/// ```
pub type LifoQueue<T> = OrderedQueue<T, Lifo<T>>;

/// What [`Queue`], [`PriorityQueue`] and [`LifoQueue`] have in common; they differ in the [`Order`] `O`.
///
/// Producers [`put`](OrderedQueue::put) and wait while a bounded queue is full; consumers [`get`](OrderedQueue::get) and wait
/// while it is empty. Both are served in the order in which they came to wait, and nobody who comes later, nor
/// [`try_put`](OrderedQueue::try_put) and [`try_get`](OrderedQueue::try_get), can snatch the place or the item that is meant
/// for one of them. Consumers that say when they are [done](OrderedQueue::task_done) let others wait, by
/// [`join`](OrderedQueue::join), for the work to be finished.
///
/// An item that is put while a consumer waits is set aside for it. So it counts neither in
/// [`len`](OrderedQueue::len) nor against the bound.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use ioloop::{IOLoop, spawn, sync::Queue};
///
/// IOLoop::current().run_sync(async {
///     let queue = Rc::new(Queue::bounded(2));
///     let worker = spawn({
///         let queue = Rc::clone(&queue);
///         async move {
///             let mut items = queue.items();
///             loop {
///                 let item = items.next().await;
///                 println!("working on {}", *item);
///             }
///         }
///     });
///     for item in 0..5 {
///         queue.put(item).await; // Waits whenever two are left to do.
///     }
///     queue.join().await;
///     worker.abort();
/// });
/// ```
pub struct OrderedQueue<T, O> {
    items: RefCell<O>,
    /// How many items there may be that are not set aside.
    max_len: usize,
    /// How many items are set aside for consumers that have been notified and have not run since.
    /// Invariant: not more than there are items.
    set_aside: Cell<usize>,
    /// Items that were put, less those that are done.
    unfinished: Cell<usize>,
    /// Set while nothing is unfinished.
    finished: Event,
    /// Invariant: somebody waits only while every item is set aside.
    getters: WaitList,
    /// With the items that they want to put. Invariant: somebody waits only while the queue is full.
    putters: WaitList<Option<T>>,
}

impl<T, O: Order<T>> OrderedQueue<T, O> {
    /// An empty queue for any number of items.
    pub fn unbounded() -> Self {
        Self::with_max_len(usize::MAX)
    }

    /// An empty queue for `max_len` items.
    ///
    /// # Panics
    ///
    /// When `max_len` is 0: such a queue would never take anything.
    #[track_caller]
    pub fn bounded(max_len: usize) -> Self {
        assert!(max_len > 0, "a queue for no items");
        Self::with_max_len(max_len)
    }

    fn with_max_len(max_len: usize) -> Self {
        let finished = Event::new();
        finished.set();
        OrderedQueue {
            items: RefCell::default(),
            max_len,
            set_aside: Cell::new(0),
            unfinished: Cell::new(0),
            finished,
            getters: WaitList::new(),
            putters: WaitList::new(),
        }
    }

    /// How many items can be had at once.
    pub fn len(&self) -> usize {
        self.items.borrow().len() - self.set_aside.get()
    }

    /// Whether there is nothing to get without waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing can be put without waiting.
    pub fn is_full(&self) -> bool {
        self.len() >= self.max_len
    }

    /// The bound; `usize::MAX` for none.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Puts `item`, waiting for room if there is none. The place in line is taken when the future is first polled; from
    /// then on the queue holds the item, and takes it in as soon as there is room, even before this task runs again.
    pub fn put(&self, item: T) -> Put<'_, T, O> {
        Put::new(self, item)
    }

    /// Puts `item` if there is room.
    ///
    /// # Errors
    ///
    /// [`Full`], with the item in it.
    pub fn try_put(&self, item: T) -> Result<(), Full<T>> {
        if self.is_full() {
            return Err(Full(item));
        }
        self.insert(item);
        Ok(())
    }

    /// The next item, waiting for one if there is none. The place in line is taken when the future is first polled. Which
    /// item it is is decided when the task runs.
    pub fn get(&self) -> Get<'_, T, O> {
        Get::new(self)
    }

    /// The next item, if there is one that is not meant for somebody who has waited for it.
    pub fn try_get(&self) -> Option<T> {
        if self.is_empty() { None } else { Some(self.remove()) }
    }

    /// The items one after the other, each counted as done when it is dropped.
    pub fn items(&self) -> Items<'_, T, O> {
        Items::new(self)
    }

    /// Says that the work on an item that was got is done.
    ///
    /// # Panics
    ///
    /// When it is called more often than items were put.
    #[track_caller]
    pub fn task_done(&self) {
        let unfinished = self.unfinished.get();
        assert!(unfinished > 0, "task_done called too many times");
        self.unfinished.set(unfinished - 1);
        if unfinished == 1 {
            self.finished.set();
        }
    }

    /// Waits until all items that were put are [done](OrderedQueue::task_done); at once when none was put.
    pub fn join(&self) -> EventWait<'_> {
        self.finished.wait()
    }

    /// Takes in an item for which there is room, and notifies the consumer it is for.
    fn insert(&self, item: T) {
        self.items.borrow_mut().push(item);
        self.unfinished.set(self.unfinished.get() + 1);
        self.finished.clear();
        self.offer();
    }

    /// Sets an item aside for the consumer who has waited longest.
    fn offer(&self) {
        if self.is_empty() {
            return;
        }
        if let Some(getter) = self.getters.pop() {
            self.set_aside.set(self.set_aside.get() + 1);
            getter.wake();
        }
    }

    /// Takes out an item, of which there is one, and fills the room with what producers wait to put.
    fn remove(&self) -> T {
        let item = self.items.borrow_mut().pop();
        while !self.is_full() {
            let Some(mut putter) = self.putters.pop() else { break };
            if let Some(item) = putter.payload.take() {
                self.insert(item);
            }
            putter.wake();
        }
        item.expect("an order gives as many items as it counts")
    }
}

impl<T, O> fmt::Debug for OrderedQueue<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedQueue")
            .field("max_len", &self.max_len)
            .field("unfinished", &self.unfinished)
            .field("getters", &self.getters)
            .field("putters", &self.putters)
            .finish_non_exhaustive()
    }
}

/// The error of [`OrderedQueue::try_put`]: there is no room. The item is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct Full<T>(pub T);
