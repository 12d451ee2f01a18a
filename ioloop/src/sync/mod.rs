//! What tasks of one thread use to wait for each other.
//!
//! * [`Event`]: a flag that stays set. [`Condition`]: a notification for the tasks that wait now.
//! * [`Semaphore`] and [`BoundedSemaphore`]: at most so many at a time. [`Lock`]: a value for one at a time.
//! * [`Queue`], [`PriorityQueue`], [`LifoQueue`]: work from producers to consumers, bounded or not.
//! * [`broadcast`]: one message to many, each reading at its own pace. The heart of every server that pushes news.
//!
//! None of them is `Send`, and none needs the loop: they use nothing but wakers, so they work in every executor whose tasks
//! stay on one thread. For the way in from another thread see [`LoopHandle`](crate::LoopHandle).
//!
//! # Waiting
//!
//! The task that has waited longest comes first, and cannot be overtaken. A future takes its place in line when it is
//! first polled ([`Condition::wait`]: when it is made). To wait for a limited time wrap it in
//! [`timeout`](crate::timeout). Dropping a future, which is what a time-out does, takes it out of the line at once;
//! nothing is left behind, and nothing that was meant for it is lost: what had been handed over already, a
//! notification, a permit or an item, goes to the next in line.
//!
//! ```
//! use std::time::Duration;
//! use ioloop::{IOLoop, sync::Condition, timeout};
//!
//! IOLoop::current().run_sync(async {
//!     let condition = Condition::new();
//!     let result = timeout(Duration::from_millis(2), condition.wait()).await;
//!     assert!(result.unwrap_err().is_timed_out());
//!     assert_eq!(condition.waiting(), 0);
//! });
//! ```
//!
//! # Costs
//!
//! Items and messages apart, nothing here allocates until a task has to wait. A waiter is 32 bytes in a vector that its
//! `Event`, `Lock` or channel owns (a waiting [`put`](OrderedQueue::put) has its item there as well); to join and to
//! leave is a few loads and stores, wherever in the line. What is not waited for is a flag or a counter.
//!
//! # Re-entrance
//!
//! Wakers, and the destructors of items and messages, run after the state is in order and may use the same object again.

pub mod broadcast;
mod condition;
mod event;
mod lock;
mod queue;
mod semaphore;
mod wait_list;

pub use self::{
    condition::{Condition, ConditionPlace, ConditionWait},
    event::{Event, EventWait},
    lock::{Lock, LockGuard},
    queue::{Fifo, Full, Get, Item, Items, Lifo, LifoQueue, Order, OrderedQueue, Priority, PriorityQueue, Put, Queue},
    semaphore::{Acquire, BoundedSemaphore, Permit, Semaphore},
};
