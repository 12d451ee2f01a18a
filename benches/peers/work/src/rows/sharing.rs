use std::{hint::black_box, mem, rc::Rc, sync::mpsc, thread};

use crate::{Bell, Latch, Peer, Remote, Sample, Stopwatch};

const WAITERS: usize = 10_000;

thread_local! {
    /// The callback comes from another thread, so it can bring nothing that belongs to this one.
    static ARRIVED: Rc<Bell> = Rc::new(Bell::new());
}

pub(super) async fn thread_round_trip(peer: &impl Peer, repetitions: usize) -> Sample {
    let (request, requests) = mpsc::channel();
    let (remote, arrived) = (peer.remote(), ARRIVED.with(Rc::clone));
    let echo = thread::spawn(move || {
        for () in requests {
            remote.post(|| ARRIVED.with(|bell| bell.ring()));
        }
    });
    let mut watch = Stopwatch::new();
    let part = watch.start();
    for _ in 0..repetitions {
        request.send(()).expect("the other thread runs");
        arrived.wait().await;
    }
    part.stop(repetitions);
    drop(request);
    echo.join().expect("the other thread ends well");
    watch.total()
}

pub(super) async fn broadcast<P: Peer>(peer: &P, repetitions: usize) -> Sample {
    let (sender, latch) = (peer.broadcast(), Rc::new(Latch::new(WAITERS)));
    for _ in 0..WAITERS {
        peer.detach(receive_all(peer.clone(), peer.subscribe(&sender), Rc::clone(&latch)));
    }
    latch.wait().await;
    let mut watch = Stopwatch::new();
    for _ in 0..repetitions {
        latch.reset(WAITERS);
        let part = watch.start();
        peer.send(&sender, "news".into());
        latch.wait().await;
        part.stop(WAITERS);
    }
    // The receivers wait on until the process ends; a closed channel would be news to them.
    mem::forget(sender);
    watch.total()
}

async fn receive_all<P: Peer>(peer: P, mut receiver: P::Receiver, latch: Rc<Latch>) {
    loop {
        latch.arrive();
        black_box(peer.receive(&mut receiver).await);
    }
}
