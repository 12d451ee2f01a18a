//! The rows on tokio: a `current_thread` runtime with a `LocalSet`.

use std::{future::Future, io::PipeReader, pin::Pin, rc::Rc, time::Instant};

use peers_work::{Latch, Message, Peer, Remote};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    runtime::Builder,
    sync::{broadcast, mpsc},
    task::{JoinHandle, LocalSet, spawn_local},
    time,
};

fn main() {
    peers_work::main(&Tokio);
}

#[derive(Clone)]
struct Tokio;

struct Sender(mpsc::UnboundedSender<Box<dyn FnOnce() + Send>>);

impl Peer for Tokio {
    type Task<T: 'static> = JoinHandle<T>;
    type Sleep = time::Sleep;
    type Remote = Sender;
    type Sender = broadcast::Sender<Message>;
    type Receiver = broadcast::Receiver<Message>;

    fn run<F: Future>(&self, future: F) -> F::Output {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, future)
    }

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        spawn_local(future)
    }

    async fn join<T: 'static>(&self, task: JoinHandle<T>) -> T {
        task.await.expect("the task ends well")
    }

    fn detach(&self, future: impl Future<Output = ()> + 'static) {
        spawn_local(future);
    }

    async fn yield_now(&self) {
        tokio::task::yield_now().await;
    }

    fn sleep_until(&self, when: Instant) -> time::Sleep {
        time::sleep_until(time::Instant::from_std(when))
    }

    fn renew(&self, sleep: Pin<&mut time::Sleep>, when: Instant) {
        sleep.reset(time::Instant::from_std(when));
    }

    fn remote(&self) -> Sender {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Box<dyn FnOnce() + Send>>();
        spawn_local(async move {
            while let Some(callback) = receiver.recv().await {
                callback();
            }
        });
        Sender(sender)
    }

    fn read_by_task(&self, pipe: PipeReader, arrivals: Rc<Latch>) -> bool {
        let mut pipe = pipe::Receiver::from_owned_fd(pipe.into()).expect("the runtime watches a pipe");
        spawn_local(async move {
            loop {
                assert_eq!(pipe.read(&mut [0; 16]).await.ok(), Some(1), "the pipe is open");
                arrivals.arrive();
            }
        });
        true
    }

    fn broadcast(&self) -> Self::Sender {
        broadcast::Sender::new(16)
    }

    fn subscribe(&self, sender: &Self::Sender) -> Self::Receiver {
        sender.subscribe()
    }

    fn send(&self, sender: &Self::Sender, message: Message) {
        sender.send(message).expect("there are receivers");
    }

    async fn receive(&self, receiver: &mut Self::Receiver) -> Message {
        receiver.recv().await.expect("nobody lags")
    }
}

impl Remote for Sender {
    fn post(&self, callback: impl FnOnce() + Send + 'static) {
        assert!(self.0.send(Box::new(callback)).is_ok(), "the runtime runs");
    }
}
