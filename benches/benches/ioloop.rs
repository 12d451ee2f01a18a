//! `ioloop` by itself: timers, tasks, callbacks, descriptors, and the way in from another thread.
//!
//! Run with `cargo bench -p benches --bench ioloop`.

use std::{
    cell::Cell,
    future::poll_fn,
    hint::black_box,
    io::{Read, Write},
    os::unix::net::UnixStream,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use benches::gate::Gate;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ioloop::{
    Deadline, IOLoop, Interest, LoopHandle,
    sync::{Queue, broadcast},
    yield_now,
};

const MANY: u64 = 10_000;

criterion_main!(layer);
criterion_group!(layer, timers, tasks, callbacks, descriptors, threads, sync);

fn timers(c: &mut Criterion) {
    let ioloop = IOLoop::current();
    let mut group = c.benchmark_group("timers");
    group.throughput(Throughput::Elements(MANY));
    group.bench_function("insert and cancel 10,000", |b| {
        b.iter(|| {
            let handles: Vec<_> =
                (0..MANY).map(|i| ioloop.call_later(Duration::from_secs(60 + i % 7), || {})).collect();
            for handle in handles {
                assert!(ioloop.remove_timeout(handle));
            }
            // The loop forgets cancelled timers when it next turns.
            ioloop.run_sync(yield_now());
        });
    });
    group.bench_function("fire 10,000", |b| {
        let fired = Rc::new(Cell::new(0));
        b.iter(|| {
            fired.set(0);
            for _ in 0..MANY {
                let fired = fired.clone();
                ioloop.call_later(Duration::ZERO, move || fired.set(fired.get() + 1));
            }
            turn_until(&ioloop, || fired.get() == MANY);
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("move a deadline", |b| {
        let deadline = Deadline::new();
        b.iter(|| deadline.set_after(black_box(Duration::from_secs(60))));
    });
    group.finish();
}

fn tasks(c: &mut Criterion) {
    let ioloop = IOLoop::current();
    let mut group = c.benchmark_group("tasks");
    group.throughput(Throughput::Elements(MANY));
    group.bench_function("spawn and finish 10,000", |b| {
        let done = Rc::new(Cell::new(0));
        b.iter(|| {
            done.set(0);
            for _ in 0..MANY {
                let done = done.clone();
                ioloop.spawn_detached(async move { done.set(done.get() + 1) });
            }
            turn_until(&ioloop, || done.get() == MANY);
        });
    });
    group.bench_function("wake and poll 10,000 that wait", |b| {
        let (gate, polled) = (Gate::new(), Rc::new(Cell::new(0)));
        let waiting: Vec<_> = (0..MANY).map(|_| ioloop.spawn(pass_repeatedly(gate.clone(), polled.clone()))).collect();
        ioloop.run_sync(yield_now());
        b.iter(|| {
            polled.set(0);
            gate.open();
            turn_until(&ioloop, || polled.get() == MANY);
        });
        waiting.iter().for_each(|task| task.abort());
        ioloop.run_sync(yield_now());
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("one turn with one task", |b| b.iter(|| ioloop.run_sync(yield_now())));
    group.finish();
}

async fn pass_repeatedly(gate: Gate, passed: Rc<Cell<u64>>) {
    loop {
        gate.wait().await;
        passed.set(passed.get() + 1);
    }
}

fn callbacks(c: &mut Criterion) {
    let ioloop = IOLoop::current();
    let mut group = c.benchmark_group("callbacks");
    group.throughput(Throughput::Elements(MANY));
    group.bench_function("add and run 10,000", |b| {
        let ran = Rc::new(Cell::new(0));
        b.iter(|| {
            ran.set(0);
            for _ in 0..MANY {
                let ran = ran.clone();
                ioloop.add_callback(move || ran.set(ran.get() + 1));
            }
            turn_until(&ioloop, || ran.get() == MANY);
        });
    });
    group.finish();
}

fn descriptors(c: &mut Criterion) {
    let ioloop = IOLoop::current();
    let (mut here, there) = UnixStream::pair().expect("a socket pair");
    there.set_nonblocking(true).expect("a non-blocking socket");
    let (there, received) = (Rc::new(there), Rc::new(Cell::new(0)));
    let (reader, count) = (there.clone(), received.clone());
    let token = ioloop.add_handler(there, Interest::READABLE, move |_| {
        let got = (&*reader).read(&mut [0; 16]).expect("one byte is there");
        count.set(count.get() + got);
    });
    let token = token.expect("the loop watches a socket");
    c.bench_function("descriptors/one byte through a handler", |b| {
        b.iter(|| {
            received.set(0);
            here.write_all(b"x").expect("the pair is open");
            turn_until(&ioloop, || received.get() == 1);
        });
    });
    ioloop.remove_handler(token);
}

fn threads(c: &mut Criterion) {
    let ioloop = IOLoop::current();
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let ioloop = IOLoop::current();
        sender.send(ioloop.handle()).expect("the receiver waits");
        ioloop.start();
    });
    let other = receiver.recv().expect("the thread sends its handle");
    c.bench_function("threads/round trip to another loop", |b| {
        b.iter_custom(|times| {
            let started = Instant::now();
            ioloop.run_sync(async {
                for _ in 0..times {
                    round_trip(&other).await;
                }
            });
            started.elapsed()
        });
    });
    other.stop().expect("the other loop still runs");
    thread.join().expect("the other loop ended well");
}

/// A callback over there wakes the task here.
async fn round_trip(other: &LoopHandle) {
    let arrived = Arc::new(AtomicBool::new(false));
    let mut sent = false;
    poll_fn(|cx| {
        if arrived.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !sent {
            sent = true;
            let (arrived, waker) = (arrived.clone(), cx.waker().clone());
            let callback = move || {
                arrived.store(true, Ordering::Release);
                waker.wake();
            };
            other.add_callback(callback).expect("the other loop runs");
        }
        Poll::Pending
    })
    .await;
}

fn sync(c: &mut Criterion) {
    let ioloop = IOLoop::current();
    let mut group = c.benchmark_group("sync");
    group.throughput(Throughput::Elements(MANY));
    group.bench_function("broadcast one message to 10,000 that wait", |b| {
        let (sender, received) = (broadcast::Sender::new(16), Rc::new(Cell::new(0)));
        let receive = |_| ioloop.spawn(receive_all(sender.subscribe(), received.clone()));
        let receivers: Vec<_> = (0..MANY).map(receive).collect();
        ioloop.run_sync(yield_now());
        b.iter(|| {
            received.set(0);
            sender.send(black_box(7));
            turn_until(&ioloop, || received.get() == MANY);
        });
        receivers.iter().for_each(|task| task.abort());
        ioloop.run_sync(yield_now());
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("there and back through two queues", |b| {
        let (there, back) = (Rc::new(Queue::bounded(1)), Rc::new(Queue::bounded(1)));
        let echo = ioloop.spawn(pass_on(there.clone(), back.clone()));
        b.iter_custom(|times| {
            let started = Instant::now();
            ioloop.run_sync(async {
                for number in 0..times {
                    there.put(number).await;
                    assert_eq!(back.get().await, number);
                }
            });
            started.elapsed()
        });
        echo.abort();
        ioloop.run_sync(yield_now());
    });
    group.finish();
}

async fn receive_all(mut receiver: broadcast::Receiver<u64>, received: Rc<Cell<u64>>) {
    while let Ok(message) = receiver.recv().await {
        black_box(message);
        received.set(received.get() + 1);
    }
}

async fn pass_on(from: Rc<Queue<u64>>, to: Rc<Queue<u64>>) {
    loop {
        to.put(from.get().await).await;
    }
}

/// Lets the loop turn; the task that looks is itself one wake-up per turn.
fn turn_until(ioloop: &IOLoop, done: impl Fn() -> bool) {
    ioloop.run_sync(async {
        while !done() {
            yield_now().await;
        }
    });
}
