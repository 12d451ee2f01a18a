use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use crate::{Latch, Peer, Sample, Stopwatch};

const TIMERS: usize = 100_000;
const FIRED: usize = 10_000;
const FAR: Duration = Duration::from_secs(3_600);

pub(super) async fn insert_and_cancel<P: Peer>(peer: &P, repetitions: usize) -> Sample {
    let start = Instant::now() + FAR;
    let mut timers: Vec<Pin<Box<P::Sleep>>> = Vec::with_capacity(TIMERS);
    let mut watch = Stopwatch::new();
    for _ in 0..repetitions {
        let part = watch.start();
        for index in 0..TIMERS {
            let mut timer = Box::pin(peer.sleep_until(start + scattered(index)));
            assert!(poll_once(timer.as_mut()).await, "an hour is not over");
            timers.push(timer);
        }
        timers.clear();
        // Some loops forget cancelled timers when they next turn.
        peer.yield_now().await;
        part.stop(TIMERS);
    }
    watch.total()
}

pub(super) async fn fire<P: Peer>(peer: &P, repetitions: usize) -> Sample {
    let mut watch = Stopwatch::new();
    let mut lead = Duration::from_millis(60);
    let mut done = 0;
    while done < repetitions {
        let when = Instant::now() + lead;
        let (asleep, fired) = (Rc::new(Latch::new(FIRED)), Rc::new(Latch::new(FIRED)));
        for _ in 0..FIRED {
            peer.detach(wait_for(peer.clone(), when, Rc::clone(&asleep), Rc::clone(&fired)));
        }
        asleep.wait().await;
        let part = watch.start();
        // On a busy machine the timers may be due before all are set: then once more, with more time.
        if Instant::now() >= when {
            lead *= 2;
            fired.wait().await;
            continue;
        }
        fired.wait().await;
        part.stop(FIRED);
        done += 1;
    }
    watch.total()
}

async fn wait_for(peer: impl Peer, when: Instant, asleep: Rc<Latch>, fired: Rc<Latch>) {
    asleep.arrive();
    peer.sleep_until(when).await;
    fired.arrive();
}

pub(super) async fn renew<P: Peer>(peer: &P, repetitions: usize) -> Sample {
    let start = Instant::now() + FAR;
    let mut timers: Vec<Pin<Box<P::Sleep>>> = Vec::with_capacity(TIMERS);
    for index in 0..TIMERS {
        let mut timer = Box::pin(peer.sleep_until(start + scattered(index)));
        assert!(poll_once(timer.as_mut()).await, "an hour is not over");
        timers.push(timer);
    }
    let mut watch = Stopwatch::new();
    for repetition in 1..=repetitions {
        // As with an idle time-out of a connection: the same distance from a present that has moved on.
        let moved = Duration::from_millis(repetition as u64 * 100);
        let part = watch.start();
        for step in 0..TIMERS {
            let index = step * 7_919 % TIMERS;
            peer.renew(timers[index].as_mut(), start + scattered(index) + moved);
        }
        peer.yield_now().await;
        part.stop(TIMERS);
    }
    watch.total()
}

/// Within a minute, in no order.
fn scattered(index: usize) -> Duration {
    Duration::from_micros((index * 48_271 % 60_000_000) as u64)
}

/// Makes the timer known to the loop. False when it is over.
async fn poll_once(mut timer: Pin<&mut impl Future>) -> bool {
    poll_fn(|cx| Poll::Ready(timer.as_mut().poll(cx).is_pending())).await
}
