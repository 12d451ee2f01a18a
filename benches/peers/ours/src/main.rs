//! The rows on `ioloop`.

use std::{
    future::Future,
    io::{ErrorKind, PipeReader, Read},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use ioloop::{Deadline, IOLoop, Interest, JoinHandle, LoopHandle, Ready, Source, sync::broadcast};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use peers_work::{Latch, Message, Peer, Remote};

fn main() {
    peers_work::main(&Ours(IOLoop::current()));
}

#[derive(Clone)]
struct Ours(IOLoop);

struct Sleep(Deadline);

struct Handle(LoopHandle);

impl Peer for Ours {
    type Task<T: 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Remote = Handle;
    type Sender = broadcast::Sender<str>;
    type Receiver = broadcast::Receiver<str>;

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.0.run_sync(future)
    }

    fn spawn<F: Future<Output: 'static> + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.0.spawn(future)
    }

    async fn join<T: 'static>(&self, task: JoinHandle<T>) -> T {
        task.await.expect("the task ends well")
    }

    fn detach(&self, future: impl Future<Output = ()> + 'static) {
        self.0.spawn_detached(future);
    }

    async fn yield_now(&self) {
        ioloop::yield_now().await;
    }

    fn sleep_until(&self, when: Instant) -> Sleep {
        let deadline = Deadline::new();
        deadline.set(when);
        Sleep(deadline)
    }

    fn renew(&self, sleep: Pin<&mut Sleep>, when: Instant) {
        sleep.0.set(when);
    }

    fn remote(&self) -> Handle {
        Handle(self.0.handle())
    }

    fn read_by_task(&self, pipe: PipeReader, arrivals: Rc<Latch>) -> bool {
        unblock(&pipe);
        let source = Source::new(pipe).expect("the loop watches a pipe");
        self.0.spawn_detached(async move {
            loop {
                source.readable().await;
                match source.get_ref().read(&mut [0; 16]) {
                    Ok(_) => {
                        // Fewer bytes than asked for: a plain pipe is empty then. tokio draws the same conclusion.
                        source.clear(Ready::READABLE);
                        arrivals.arrive();
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => source.clear(Ready::READABLE),
                    Err(error) => panic!("reading a pipe: {error}"),
                }
            }
        });
        true
    }

    fn read_by_handler(&self, pipe: PipeReader, arrivals: Rc<Latch>) -> bool {
        unblock(&pipe);
        let pipe = Rc::new(pipe);
        let reader = Rc::clone(&pipe);
        let handler = move |_| {
            (&*reader).read_exact(&mut [0]).expect("one byte is there");
            arrivals.arrive();
        };
        self.0.add_handler(pipe, Interest::READABLE, handler).expect("the loop watches a pipe");
        true
    }

    fn broadcast(&self) -> Self::Sender {
        broadcast::Sender::new(16)
    }

    fn subscribe(&self, sender: &Self::Sender) -> Self::Receiver {
        sender.subscribe()
    }

    fn send(&self, sender: &Self::Sender, message: Message) {
        sender.send_rc(message);
    }

    async fn receive(&self, receiver: &mut Self::Receiver) -> Message {
        receiver.recv().await.expect("nobody lags")
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_expired(cx)
    }
}

impl Remote for Handle {
    fn post(&self, callback: impl FnOnce() + Send + 'static) {
        self.0.add_callback(callback).expect("the loop runs");
    }
}

fn unblock(pipe: &PipeReader) {
    fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe can be told not to block");
}
