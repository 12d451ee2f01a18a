use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{Bell, Latch, Peer, Sample, Stopwatch};

const MANY: usize = 10_000;

pub(super) async fn spawn_and_join(peer: &impl Peer, repetitions: usize) -> Sample {
    let mut watch = Stopwatch::new();
    let mut tasks = Vec::with_capacity(MANY);
    for _ in 0..repetitions {
        let part = watch.start();
        tasks.extend((0..MANY).map(|number| peer.spawn(async move { number })));
        let mut sum = 0;
        for task in tasks.drain(..) {
            sum += peer.join(task).await;
        }
        part.stop(MANY);
        assert_eq!(sum, MANY * (MANY - 1) / 2);
    }
    watch.total()
}

pub(super) async fn yield_ping_pong<P: Peer>(peer: &P, repetitions: usize) -> Sample {
    let rounds = repetitions * MANY;
    let mut watch = Stopwatch::new();
    let part = watch.start();
    let players = [(); 2].map(|()| peer.spawn(yield_often(peer.clone(), rounds)));
    for player in players {
        peer.join(player).await;
    }
    part.stop(2 * rounds);
    watch.total()
}

async fn yield_often(peer: impl Peer, times: usize) {
    for _ in 0..times {
        peer.yield_now().await;
    }
}

pub(super) async fn wake_one(peer: &impl Peer, repetitions: usize) -> Sample {
    let (back, asleep) = (Rc::new(Bell::new()), Rc::new(Latch::new(MANY)));
    let bells: Vec<_> = (0..MANY).map(|_| Rc::new(Bell::new())).collect();
    for bell in &bells {
        let (bell, back, asleep) = (Rc::clone(bell), Rc::clone(&back), Rc::clone(&asleep));
        peer.detach(async move {
            asleep.arrive();
            loop {
                bell.wait().await;
                back.ring();
            }
        });
    }
    asleep.wait().await;
    let mut watch = Stopwatch::new();
    let part = watch.start();
    for index in scattered(repetitions) {
        bells[index].ring();
        back.wait().await;
    }
    // There and back.
    part.stop(2 * repetitions * MANY);
    watch.total()
}

pub(super) async fn wake_all(peer: &impl Peer, repetitions: usize) -> Sample {
    let polled = Rc::new(Latch::new(MANY));
    let wakers = Rc::new(RefCell::new(Vec::with_capacity(MANY)));
    for _ in 0..MANY {
        peer.detach(Sleeper { wakers: Some(Rc::clone(&wakers)), polled: Rc::clone(&polled) });
    }
    polled.wait().await;
    let wakers = wakers.take();
    let mut watch = Stopwatch::new();
    for _ in 0..repetitions {
        polled.reset(MANY);
        let part = watch.start();
        wakers.iter().for_each(Waker::wake_by_ref);
        polled.wait().await;
        part.stop(MANY);
    }
    watch.total()
}

/// Does as little as a task can do, so that what is counted is the loop's own work.
struct Sleeper {
    wakers: Option<Rc<RefCell<Vec<Waker>>>>,
    polled: Rc<Latch>,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(wakers) = self.wakers.take() {
            wakers.borrow_mut().push(cx.waker().clone());
        }
        self.polled.arrive();
        Poll::Pending
    }
}

/// All of the tasks in an order that a cache cannot foresee, `repetitions` times.
fn scattered(repetitions: usize) -> impl Iterator<Item = usize> {
    (0..repetitions * MANY).map(|step| step * 7_919 % MANY)
}
