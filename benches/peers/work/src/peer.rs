use std::{future::Future, io::PipeReader, pin::Pin, rc::Rc, time::Instant};

use crate::Latch;

/// What is broadcast: one text, shared by all who receive it.
pub type Message = Rc<str>;

/// A loop that runs the rows. Each method does what that loop's own users would write.
pub trait Peer: Clone + 'static {
    /// A spawned task.
    type Task<T: 'static>: 'static;
    /// A timer that can be awaited.
    type Sleep: Future<Output: 'static> + 'static;
    /// The way in from other threads.
    type Remote: Remote;
    /// The sending side of a broadcast.
    type Sender: 'static;
    /// A receiver of a broadcast.
    type Receiver: 'static;

    /// Runs the loop until `future` is done.
    fn run<F: Future>(&self, future: F) -> F::Output;

    /// Spawns a task that will be joined.
    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Self::Task<F::Output>;

    /// Waits for a task's result.
    fn join<T: 'static>(&self, task: Self::Task<T>) -> impl Future<Output = T>;

    /// Spawns a task that nobody joins.
    fn detach(&self, future: impl Future<Output = ()> + 'static);

    /// Lets the others run.
    fn yield_now(&self) -> impl Future<Output = ()>;

    /// A timer. It need not be known to the loop before it is polled.
    fn sleep_until(&self, when: Instant) -> Self::Sleep;

    /// Moves a timer that has been polled.
    fn renew(&self, sleep: Pin<&mut Self::Sleep>, when: Instant);

    /// The way in, ready to be sent to another thread.
    fn remote(&self) -> Self::Remote;

    /// Reads the pipe for ever, in a task, and reports each byte to `arrivals`. The other end writes one byte at a time.
    /// False when the loop has no way to do it.
    fn read_by_task(&self, pipe: PipeReader, arrivals: Rc<Latch>) -> bool;

    /// The same with a handler, where a loop has something cheaper than a task.
    fn read_by_handler(&self, pipe: PipeReader, arrivals: Rc<Latch>) -> bool {
        self.read_by_task(pipe, arrivals)
    }

    /// A broadcast channel that keeps 16 messages.
    fn broadcast(&self) -> Self::Sender;

    /// One more receiver.
    fn subscribe(&self, sender: &Self::Sender) -> Self::Receiver;

    /// Sends to all receivers.
    fn send(&self, sender: &Self::Sender, message: Message);

    /// The next message.
    fn receive(&self, receiver: &mut Self::Receiver) -> impl Future<Output = Message>;
}

/// Runs callbacks on the loop's thread.
pub trait Remote: Send + 'static {
    /// Hands over a callback.
    fn post(&self, callback: impl FnOnce() + Send + 'static);
}
