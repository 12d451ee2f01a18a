//! The rows on smol's parts: the `LocalExecutor` of async-executor, and async-io.

use std::{
    future::Future,
    io::{PipeReader, Read},
    pin::Pin,
    rc::Rc,
    time::Instant,
};

use async_executor::{LocalExecutor, Task};
use async_io::{Async, Timer};
use futures_lite::future;
use peers_work::{Latch, Message, Peer, Remote};

fn main() {
    // Leaked: a program is one executor, and a reference costs less than a count.
    peers_work::main(&Smol(Box::leak(Box::new(LocalExecutor::new()))));
}

#[derive(Clone)]
struct Smol(&'static LocalExecutor<'static>);

struct Sender(async_channel::Sender<Box<dyn FnOnce() + Send>>);

impl Peer for Smol {
    type Task<T: 'static> = Task<T>;
    type Sleep = Timer;
    type Remote = Sender;
    type Sender = (async_broadcast::Sender<Message>, async_broadcast::InactiveReceiver<Message>);
    type Receiver = async_broadcast::Receiver<Message>;

    fn run<F: Future>(&self, future: F) -> F::Output {
        async_io::block_on(self.0.run(future))
    }

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> Task<F::Output> {
        self.0.spawn(future)
    }

    async fn join<T: 'static>(&self, task: Task<T>) -> T {
        task.await
    }

    fn detach(&self, future: impl Future<Output = ()> + 'static) {
        self.0.spawn(future).detach();
    }

    async fn yield_now(&self) {
        future::yield_now().await;
    }

    fn sleep_until(&self, when: Instant) -> Timer {
        Timer::at(when)
    }

    fn renew(&self, sleep: Pin<&mut Timer>, when: Instant) {
        sleep.get_mut().set_at(when);
    }

    fn remote(&self) -> Sender {
        let (sender, receiver) = async_channel::unbounded::<Box<dyn FnOnce() + Send>>();
        self.detach(async move {
            while let Ok(callback) = receiver.recv().await {
                callback();
            }
        });
        Sender(sender)
    }

    fn read_by_task(&self, pipe: PipeReader, arrivals: Rc<Latch>) -> bool {
        let pipe = Async::new(pipe).expect("the reactor watches a pipe");
        self.detach(async move {
            loop {
                pipe.read_with(|mut pipe| pipe.read(&mut [0; 16])).await.expect("the pipe is open");
                arrivals.arrive();
            }
        });
        true
    }

    fn broadcast(&self) -> Self::Sender {
        let (sender, receiver) = async_broadcast::broadcast(16);
        (sender, receiver.deactivate())
    }

    fn subscribe(&self, sender: &Self::Sender) -> Self::Receiver {
        sender.0.new_receiver()
    }

    fn send(&self, sender: &Self::Sender, message: Message) {
        sender.0.try_broadcast(message).expect("there are receivers, and none lags");
    }

    async fn receive(&self, receiver: &mut Self::Receiver) -> Message {
        receiver.recv_direct().await.expect("nobody lags")
    }
}

impl Remote for Sender {
    fn post(&self, callback: impl FnOnce() + Send + 'static) {
        assert!(self.0.try_send(Box::new(callback)).is_ok(), "the executor runs");
    }
}
