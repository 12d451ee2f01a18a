//! One message to many receivers.
//!
//! A channel keeps its latest messages in a ring, each once, however many receive it. Every [`Receiver`] has a place of its
//! own in the stream of messages and reads at its own pace. [`Sender::send`] never waits: a receiver that is slower than
//! the ring is long misses messages, and is told how many.
//!
//! Messages are numbered from 0. The number of the next message, a *cursor*, is all that a receiver has to remember: it
//! can be written down, sent to a client and come back with the client's next request, and
//! [`subscribe_from`](Sender::subscribe_from) goes on from there as long as the ring reaches back so far. That is long
//! polling in a few lines:
//!
//! ```
//! use std::{rc::Rc, time::Duration};
//! use ioloop::{IOLoop, sync::broadcast};
//!
//! /// Everything that happened since `cursor`, and the cursor for the next time. Waits for something to happen.
//! async fn news(room: &broadcast::Sender<String>, cursor: u64) -> (Vec<Rc<String>>, u64) {
//!     let mut receiver = room.subscribe_from(cursor);
//!     let mut messages = Vec::new();
//!     // When nothing happens for so long the answer is empty.
//!     if let Ok(Ok(first)) = ioloop::timeout(Duration::from_secs(25), receiver.recv()).await {
//!         messages.push(first);
//!         while let Ok(Some(next)) = receiver.try_recv() {
//!             messages.push(next);
//!         }
//!     }
//!     (messages, receiver.cursor())
//! }
//!
//! IOLoop::current().run_sync(async {
//!     let room = broadcast::Sender::new(100);
//!     let start = room.cursor();
//!     room.send("hello".to_owned());
//!     room.send("anybody here?".to_owned());
//!     let (messages, cursor) = news(&room, start).await;
//!     assert_eq!(messages.len(), 2);
//!     assert_eq!(cursor, room.cursor());
//! });
//! ```
//!
//! # Costs
//!
//! A receiver is 32 bytes. While it waits, the channel keeps 32 more for it. A message is one allocation when it is
//! sent, and a reference count for each that receives it. A send wakes all waiting receivers in one pass, in the order
//! in which they came to wait, without allocating. The channel keeps the memory of its waiters while they come back
//! after each message, and frees it when they stop doing so.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use super::wait_list::{Place, WaitList};
use crate::Waiter;

/// A channel that keeps its latest `capacity` messages, and one receiver of everything sent from now on.
///
/// For a channel without a first receiver see [`Sender::new`].
///
/// # Panics
///
/// When `capacity` is 0.
///
/// # Examples
///
/// A ticker with two listeners, of which one is too slow for it:
///
/// ```
/// use std::time::Duration;
/// use ioloop::{IOLoop, sleep, spawn, sync::broadcast::{self, Receiver, RecvError}};
///
/// /// How many prices it got, and how many it has missed.
/// async fn listen(mut prices: Receiver<u32>, pause: Duration) -> (u64, u64) {
///     let (mut got, mut missed) = (0, 0);
///     loop {
///         match prices.recv().await {
///             Ok(_price) => got += 1,
///             Err(RecvError::Lagged(count)) => missed += count,
///             Err(_closed) => return (got, missed),
///         }
///         if !pause.is_zero() {
///             sleep(pause).await;
///         }
///     }
/// }
///
/// fn main() {
///     let (ticker, prices) = broadcast::channel(4);
///     let quick = spawn(listen(prices.clone(), Duration::ZERO));
///     let slow = spawn(listen(prices, Duration::from_millis(10)));
///     IOLoop::current().run_sync(async move {
///         for price in 100..120 {
///             ticker.send(price);
///             sleep(Duration::from_micros(100)).await;
///         }
///         drop(ticker);
///         assert_eq!(quick.await.expect("it does not panic"), (20, 0));
///         let (got, missed) = slow.await.expect("it does not panic");
///         assert_eq!(got + missed, 20);
///     });
/// }
/// ```
#[track_caller]
pub fn channel<T: ?Sized>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Channel<T: ?Sized> {
    /// The latest messages, oldest first.
    ring: RefCell<VecDeque<Rc<T>>>,
    capacity: usize,
    /// The number of the next message; the last one in the ring has the number before it.
    next: Cell<u64>,
    /// When the last one is dropped, the channel is closed.
    senders: Cell<usize>,
    /// Receivers that have read everything.
    waiters: WaitList,
}

/// The sending side. Clones send to the same receivers; the channel is closed when all are dropped.
pub struct Sender<T: ?Sized> {
    channel: Rc<Channel<T>>,
}

impl<T: ?Sized> Sender<T> {
    /// A channel that keeps its latest `capacity` messages. Memory for them is taken as they come.
    ///
    /// # Panics
    ///
    /// When `capacity` is 0.
    #[track_caller]
    pub fn new(capacity: usize) -> Sender<T> {
        assert!(capacity > 0, "a broadcast channel that keeps no message");
        let (ring, waiters) = (RefCell::default(), WaitList::new());
        let channel = Channel { ring, capacity, next: Cell::new(0), senders: Cell::new(1), waiters };
        Sender { channel: Rc::new(channel) }
    }

    /// Sends a message to all receivers, wakes those that wait, and returns the message's number. The oldest message
    /// goes when the ring is full. Without a receiver the message is kept for
    /// [`subscribe_from`](Sender::subscribe_from).
    pub fn send(&self, message: T) -> u64
    where
        T: Sized,
    {
        self.send_rc(Rc::new(message))
    }

    /// [`send`](Sender::send), for a message that is shared already, or one without a fixed size: a `str`, a slice.
    pub fn send_rc(&self, message: Rc<T>) -> u64 {
        let channel = &*self.channel;
        let number = channel.next.get();
        // Dropped at the end: its destructor, and every waker, may send and receive on this channel.
        let _evicted = channel.push(message);
        channel.next.set(number + 1);
        channel.waiters.notify_all();
        number
    }

    /// A receiver of everything sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        self.subscribe_from(self.cursor())
    }

    /// A receiver of everything from the message with the number `cursor` on.
    ///
    /// If the ring does not reach back so far, the receiver is told by [`RecvError::Lagged`] how many messages it has
    /// missed. A cursor ahead of the channel, from another life of the program for example, is taken for the present.
    pub fn subscribe_from(&self, cursor: u64) -> Receiver<T> {
        Receiver { channel: Rc::clone(&self.channel), cursor: cursor.min(self.cursor()), place: None }
    }

    /// The number of the next message: where a receiver of new messages alone begins.
    pub fn cursor(&self) -> u64 {
        self.channel.next.get()
    }

    /// The number of the oldest message that can still be received.
    pub fn oldest(&self) -> u64 {
        self.channel.oldest()
    }

    /// How many receivers wait for a message at the moment.
    pub fn waiting(&self) -> usize {
        self.channel.waiters.len()
    }
}

impl<T: ?Sized> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.channel.senders.set(self.channel.senders.get() + 1);
        Sender { channel: Rc::clone(&self.channel) }
    }
}

impl<T: ?Sized> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.senders.set(self.channel.senders.get() - 1);
        if self.channel.is_closed() {
            self.channel.waiters.notify_all();
        }
    }
}

/// A receiver with its own place in the stream of messages. A clone goes on from the same place.
pub struct Receiver<T: ?Sized> {
    channel: Rc<Channel<T>>,
    /// The number of the message to be received next.
    cursor: u64,
    /// In the line of the channel, since it last found nothing.
    place: Option<Place>,
}

impl<T: ?Sized> Receiver<T> {
    /// The next message, waiting for it if necessary.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] when messages have been missed; the receiver goes on with the oldest there is.
    /// [`RecvError::Closed`] when there is nothing left and all senders are gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the future has received nothing and leaves no trace.
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self }
    }

    /// The next message if it is there, or else `None`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv).
    pub fn try_recv(&mut self) -> Result<Option<Rc<T>>, RecvError> {
        let channel = &*self.channel;
        if self.behind() == 0 {
            return if channel.is_closed() { Err(RecvError::Closed) } else { Ok(None) };
        }
        let ring = channel.ring.borrow();
        let oldest = channel.next.get() - ring.len() as u64;
        if self.cursor < oldest {
            let missed = oldest - self.cursor;
            self.cursor = oldest;
            return Err(RecvError::Lagged(missed));
        }
        let message = ring.get((self.cursor - oldest) as usize).cloned();
        self.cursor += 1;
        Ok(message)
    }

    /// [`recv`](Receiver::recv) for futures written by hand. The task is woken once, and until then the receiver counts as
    /// waiting.
    ///
    /// # Errors
    ///
    /// As [`recv`](Receiver::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Rc<T>, RecvError>> {
        if let Some(received) = self.try_recv().transpose() {
            self.stop_waiting();
            return Poll::Ready(received);
        }
        if let Some(place) = self.place
            && self.channel.waiters.poll_notified(place, cx).is_pending()
        {
            return Poll::Pending;
        }
        // Not in line: this is the first poll, or what came since has been received by `try_recv`.
        self.place = None;
        let waiter = Waiter::new(cx.waker());
        if self.behind() > 0 || self.channel.is_closed() {
            // The clone has sent something, or dropped the last sender.
            return self.poll_recv(cx);
        }
        self.place = Some(self.channel.waiters.join_with(waiter, ()));
        Poll::Pending
    }

    /// The number of the message that will be received next.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// How many messages have been sent that were not received yet, those included that are lost already.
    pub fn behind(&self) -> u64 {
        self.channel.next.get() - self.cursor
    }

    fn stop_waiting(&mut self) {
        if let Some(place) = self.place.take() {
            self.channel.waiters.leave(place);
        }
    }
}

impl<T: ?Sized> Clone for Receiver<T> {
    fn clone(&self) -> Receiver<T> {
        Receiver { channel: Rc::clone(&self.channel), cursor: self.cursor, place: None }
    }
}

impl<T: ?Sized> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

/// Why there is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// So many messages went out of the ring before this receiver came to read them: it is too slow, or comes back with an
    /// old cursor. The next message is the oldest there is.
    #[error("{0} messages were missed")]
    Lagged(u64),

    /// All senders are gone, and everything has been received.
    #[error("the channel is closed: all senders are gone")]
    Closed,
}

/// The future of [`Receiver::recv`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'r, T: ?Sized> {
    receiver: &'r mut Receiver<T>,
}

impl<T: ?Sized> Future for Recv<'_, T> {
    type Output = Result<Rc<T>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_recv(cx)
    }
}

impl<T: ?Sized> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.receiver.stop_waiting();
    }
}

impl<T: ?Sized> Channel<T> {
    fn is_closed(&self) -> bool {
        self.senders.get() == 0
    }

    fn oldest(&self) -> u64 {
        self.next.get() - self.ring.borrow().len() as u64
    }

    /// Returns the message that has to make room.
    fn push(&self, message: Rc<T>) -> Option<Rc<T>> {
        let mut ring = self.ring.borrow_mut();
        let evicted = if ring.len() == self.capacity { ring.pop_front() } else { None };
        ring.push_back(message);
        evicted
    }
}

impl<T: ?Sized> fmt::Debug for Sender<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("cursor", &self.cursor())
            .field("waiters", &self.channel.waiters)
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> fmt::Debug for Receiver<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("cursor", &self.cursor).field("behind", &self.behind()).finish_non_exhaustive()
    }
}
