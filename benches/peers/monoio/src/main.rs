//! The rows on monoio with its epoll driver, the "legacy" one. It has no way to read a pipe.

use std::{future::Future, io::PipeReader, pin::Pin, rc::Rc, time::Instant};

use futures_lite::future;
use monoio::{LegacyDriver, RuntimeBuilder, task::JoinHandle, time};
use peers_work::{Latch, Message, Peer, Remote};

fn main() {
    peers_work::main(&Monoio);
}

#[derive(Clone)]
struct Monoio;

struct Sender(async_channel::Sender<Box<dyn FnOnce() + Send>>);

impl Peer for Monoio {
    type Task<T: 'static> = JoinHandle<T>;
    type Sleep = time::Sleep;
    type Remote = Sender;
    type Sender = (async_broadcast::Sender<Message>, async_broadcast::InactiveReceiver<Message>);
    type Receiver = async_broadcast::Receiver<Message>;

    fn run<F: Future>(&self, future: F) -> F::Output {
        let builder = RuntimeBuilder::<LegacyDriver>::new().enable_timer();
        builder.build().expect("a runtime").block_on(future)
    }

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        monoio::spawn(future)
    }

    async fn join<T: 'static>(&self, task: JoinHandle<T>) -> T {
        task.await
    }

    fn detach(&self, future: impl Future<Output = ()> + 'static) {
        monoio::spawn(future);
    }

    async fn yield_now(&self) {
        future::yield_now().await;
    }

    fn sleep_until(&self, when: Instant) -> time::Sleep {
        time::sleep_until(time::Instant::from_std(when))
    }

    fn renew(&self, sleep: Pin<&mut time::Sleep>, when: Instant) {
        sleep.reset(time::Instant::from_std(when));
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

    fn read_by_task(&self, _: PipeReader, _: Rc<Latch>) -> bool {
        false
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
        assert!(self.0.try_send(Box::new(callback)).is_ok(), "the runtime runs");
    }
}
