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
use super::{Event, EventWait, wait_list::WaitList};

/// A queue between tasks that returns its items in the order in which they were put.
///
/// See [`OrderedQueue`] for what it can do, and for a program with workers.
///
/// # Examples
///
/// A pipeline, whose first stage waits when the second is slow:
///
/// ```
/// use std::{rc::Rc, time::Duration};
/// use ioloop::{IOLoop, sleep, spawn, sync::Queue};
///
/// async fn read(lines: Rc<Queue<Option<String>>>) {
///     for line in ["to be", "or not", "to be"] {
///         // Waits while two lines are left to do.
///         lines.put(Some(line.to_owned())).await;
///     }
///     lines.put(None).await; // The end.
/// }
///
/// async fn count(lines: &Queue<Option<String>>) -> usize {
///     let mut words = 0;
///     while let Some(line) = lines.get().await {
///         sleep(Duration::from_millis(1)).await;
///         words += line.split(' ').count();
///     }
///     words
/// }
///
/// fn main() {
///     let lines = Rc::new(Queue::bounded(2));
///     spawn(read(Rc::clone(&lines)));
///     assert_eq!(IOLoop::current().run_sync(count(&lines)), 6);
/// }
/// ```
pub type Queue<T> = OrderedQueue<T, Fifo<T>>;

/// A queue between tasks that returns the smallest item first, and of equal ones the oldest.
///
/// To give each item a priority put tuples, or wrap it in [`Reverse`](std::cmp::Reverse) for the greatest first. An `Ord` of
/// one's own must not use the queue that it orders: it panics there.
///
/// # Examples
///
/// What is urgent overtakes what has waited longer:
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use ioloop::{IOLoop, spawn, sync::PriorityQueue};
///
/// /// Compared field by field: the urgency first.
/// #[derive(PartialEq, Eq, PartialOrd, Ord)]
/// struct Job {
///     urgency: u8,
///     name: &'static str,
/// }
///
/// fn main() {
///     let jobs = Rc::new(PriorityQueue::unbounded());
///     let done = Rc::new(RefCell::new(Vec::new()));
///     for (urgency, name) in [(2, "sweep"), (0, "alarm"), (1, "mail"), (1, "bill")] {
///         jobs.try_put(Job { urgency, name }).ok().expect("there is no bound");
///     }
///     IOLoop::current().run_sync(async {
///         let (queue, noted) = (Rc::clone(&jobs), Rc::clone(&done));
///         let worker = spawn(async move {
///             let mut jobs = queue.items();
///             loop {
///                 let job = jobs.next().await;
///                 noted.borrow_mut().push(job.name);
///             }
///         });
///         jobs.join().await;
///         worker.abort();
///     });
///     assert_eq!(*done.borrow(), ["alarm", "bill", "mail", "sweep"]);
/// }
/// ```
pub type PriorityQueue<T> = OrderedQueue<T, Priority<T>>;

/// A queue between tasks that returns the newest item first.
///
/// # Examples
///
/// Idle connections: the one that was used last is the least likely to be closed by now, and those at the bottom may be:
///
/// ```
/// use std::rc::Rc;
/// use ioloop::{IOLoop, sync::LifoQueue};
///
/// struct Connection(u32);
///
/// struct Pool {
///     idle: LifoQueue<Connection>,
/// }
///
/// impl Pool {
///     /// Waits while all connections are in use.
///     async fn with<R>(&self, work: impl AsyncFnOnce(&Connection) -> R) -> R {
///         let connection = self.idle.get().await;
///         let result = work(&connection).await;
///         self.idle.put(connection).await;
///         result
///     }
/// }
///
/// fn main() {
///     let pool = Rc::new(Pool { idle: LifoQueue::unbounded() });
///     IOLoop::current().run_sync(async {
///         for number in 1..=3 {
///             pool.idle.put(Connection(number)).await;
///         }
///         for _request in 0..5 {
///             let used = pool.with(async |connection| connection.0).await;
///             assert_eq!(used, 3, "the warm one");
///         }
///     });
/// }
/// ```
pub type LifoQueue<T> = OrderedQueue<T, Lifo<T>>;

/// What [`Queue`], [`PriorityQueue`] and [`LifoQueue`] have in common; they differ in the [`Order`] `O`.
///
/// Producers [`put`](OrderedQueue::put) and wait while a bounded queue is full; consumers [`get`](OrderedQueue::get)
/// and wait while it is empty. Both are served in the order in which they came to wait. A later task,
/// [`try_put`](OrderedQueue::try_put) or [`try_get`](OrderedQueue::try_get) never takes the place or the item that is
/// meant for one of them. Consumers that say when they are [done](OrderedQueue::task_done) let others wait, by
/// [`join`](OrderedQueue::join), for the work to be finished.
///
/// An item that is put while a consumer waits is set aside for it. So it counts neither in
/// [`len`](OrderedQueue::len) nor against the bound.
///
/// # Examples
///
/// Three workers that follow links until every link has been followed:
///
/// ```
/// use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};
/// use ioloop::{IOLoop, sleep, spawn, sync::Queue};
///
/// /// What the page links to; stands for a download.
/// async fn links(page: u32) -> Vec<u32> {
///     sleep(Duration::from_micros(100)).await;
///     vec![page * 2 % 11, (page + 3) % 11]
/// }
///
/// async fn work(pages: Rc<Queue<u32>>, seen: Rc<RefCell<BTreeSet<u32>>>) {
///     let mut todo = pages.items();
///     loop {
///         // Counts as done when it is dropped, at the end of this round.
///         let page = todo.next().await;
///         for link in links(*page).await {
///             if seen.borrow_mut().insert(link) {
///                 pages.put(link).await;
///             }
///         }
///     }
/// }
///
/// fn main() {
///     let (pages, seen) = (Rc::new(Queue::unbounded()), Rc::<RefCell<BTreeSet<u32>>>::default());
///     IOLoop::current().run_sync(async {
///         let workers = [(); 3].map(|()| spawn(work(Rc::clone(&pages), Rc::clone(&seen))));
///         pages.put(1).await;
///         pages.join().await;
///         workers.iter().for_each(|worker| worker.abort());
///     });
///     assert_eq!(seen.borrow().len(), 11);
/// }
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

    /// The next item, if there is one that is not set aside for a waiting task.
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
    #[inline]
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
