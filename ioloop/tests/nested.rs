//! `run_once` and `as_fd`: a loop that another one drives.

mod common;

use std::{
    cell::{Cell, RefCell},
    io::{self, Read, Write},
    rc::Rc,
    sync::mpsc,
    thread,
    time::Duration,
};

use common::{Before, Log, World, new_loop, pair, start, virtual_loop};
use ioloop::{Epoll, Error, IOLoop, Interest, JoinHandle, Source};

#[test]
fn one_turn_runs_what_is_queued_and_says_that_more_is() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    let (again, outer, inner) = (ioloop.clone(), log.clone(), log.clone());
    ioloop.add_callback(move || {
        outer.push("first");
        again.add_callback(move || inner.push("second"));
    });
    assert_eq!(ioloop.run_once(None), Some(Duration::ZERO));
    assert_eq!(log.take(), ["first"]);
    assert_eq!(ioloop.run_once(None), None, "nothing to wait for");
    assert_eq!(log.take(), ["second"]);
    assert_eq!(world.turn(), 2);
}

#[test]
fn next_call_is_due_when_the_next_timer_is() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    let fired = log.clone();
    ioloop.call_later(Duration::from_millis(30), move || fired.push(()));
    assert_eq!(ioloop.run_once(Some(Duration::ZERO)), Some(Duration::from_millis(30)));
    assert_eq!(ioloop.run_once(Some(Duration::from_millis(20))), Some(Duration::from_millis(10)));
    assert_eq!((world.elapsed(), log.len()), (Duration::from_millis(20), 0));
    assert_eq!(ioloop.run_once(None), None);
    assert_eq!((world.elapsed(), log.len()), (Duration::from_millis(30), 1));
}

#[test]
fn stop_within_a_single_turn_ends_nothing_else() {
    let ioloop = new_loop();
    let stop = ioloop.clone();
    ioloop.add_callback(move || stop.stop());
    assert_eq!(ioloop.run_once(None), None);
    let (stop, log) = (ioloop.clone(), Log::new());
    let noted = log.clone();
    ioloop.add_callback(move || {
        noted.push(());
        stop.stop();
    });
    start(&ioloop);
    assert_eq!(log.len(), 1, "the old stop is forgotten");
}

#[test]
fn closed_loop_has_no_turn() {
    let (ioloop, world) = virtual_loop();
    ioloop.close();
    assert_eq!(ioloop.run_once(None), None);
    assert_eq!(world.turn(), 0);
}

#[test]
#[should_panic(expected = "already running")]
fn turn_within_a_turn_of_the_same_loop_panics() {
    let ioloop = new_loop();
    ioloop.run_sync(async { IOLoop::current().run_once(None) });
}

#[test]
fn turn_of_another_loop_fits_into_a_turn_and_gives_the_place_back() {
    let (outer, inner) = (new_loop(), new_loop());
    let task = inner.spawn(async { IOLoop::current().task_count() });
    outer.run_sync(async {
        inner.run_once(Some(Duration::ZERO));
        assert_eq!(IOLoop::current().task_count(), 0, "the outer loop is the current one again");
    });
    assert!(task.is_finished());
}

#[test]
fn poller_without_a_descriptor_cannot_be_nested() {
    let poller = Before::new(Box::new(Epoll::new().unwrap()), |_| {});
    let ioloop = IOLoop::builder().poller(poller).build().unwrap();
    let Err(Error::Io { source, .. }) = ioloop.as_fd() else { panic!("it has none") };
    assert_eq!(source.kind(), io::ErrorKind::Unsupported);
}

/// An outer loop that drives an inner one by its descriptor and its next timer.
struct Nested {
    outer: IOLoop,
    inner: IOLoop,
    timer: Cell<Option<ioloop::TimeoutHandle>>,
    turns: Cell<usize>,
}

impl Nested {
    fn new(outer: IOLoop) -> Rc<Nested> {
        let inner = IOLoop::builder().poller(Epoll::new().unwrap()).build().unwrap();
        let nested = Rc::new(Nested { outer, inner, timer: Cell::new(None), turns: Cell::new(0) });
        let driver = Rc::downgrade(&nested);
        let fd = nested.inner.as_fd().unwrap().try_clone_to_owned().unwrap();
        let drive = move |_| driver.upgrade().unwrap().drive();
        nested.outer.add_handler(fd, Interest::READABLE, drive).unwrap();
        nested
    }

    fn drive(self: &Rc<Nested>) {
        self.turns.set(self.turns.get() + 1);
        if let Some(timer) = self.timer.take() {
            self.outer.remove_timeout(timer);
        }
        if let Some(limit) = self.inner.run_once(Some(Duration::ZERO)) {
            let nested = Rc::clone(self);
            self.timer.set(Some(self.outer.call_later(limit, move || nested.drive())));
        }
    }
}

#[test]
fn inner_loop_lives_on_events_timers_tasks_and_other_threads() {
    let nested = Nested::new(new_loop());
    let (ours, mut theirs) = pair();
    let source = Source::with_loop(&nested.inner, ours).unwrap();
    let reader = nested.inner.spawn(async move {
        let mut text = [0; 4];
        for place in &mut text {
            source.readable().await;
            source.get_ref().read_exact(std::slice::from_mut(place)).unwrap();
            source.clear(ioloop::Ready::READABLE);
        }
        text
    });
    let handle = nested.inner.handle();
    let sender = thread::spawn(move || {
        for byte in b"ping" {
            let mut end = theirs.try_clone().unwrap();
            handle.add_callback(move || end.write_all(&[*byte]).unwrap()).unwrap();
        }
        theirs.flush().unwrap();
    });
    let stop = nested.outer.clone();
    let after = nested.inner.spawn(async move {
        ioloop::sleep(Duration::from_millis(2)).await;
        let text = reader.await.unwrap();
        stop.stop();
        text
    });
    nested.drive();
    start(&nested.outer);
    sender.join().unwrap();
    assert_eq!(&nested.inner.run_sync(after).unwrap(), b"ping");
}

#[test]
fn each_signal_of_another_thread_wakes_an_inner_loop_that_sleeps() {
    const ROUNDS: usize = 200;
    let nested = Nested::new(new_loop());
    let (handle, stop) = (nested.inner.handle(), nested.outer.handle());
    let sender = thread::spawn(move || {
        let (answer, answers) = mpsc::channel();
        for round in 0..ROUNDS {
            let answer = answer.clone();
            handle.add_callback(move || answer.send(round).unwrap()).unwrap();
            // Nothing else is sent before: the loop has to notice this one.
            assert_eq!(answers.recv(), Ok(round));
        }
        stop.stop().unwrap();
    });
    nested.drive();
    start(&nested.outer);
    sender.join().unwrap();
}

#[test]
fn idle_inner_loop_costs_the_outer_one_nothing() {
    let (outer, world) = virtual_loop();
    let nested = Nested::new(outer);
    nested.drive();
    let before = nested.turns.get();
    nested.outer.run_sync(until_elapsed(&world, Duration::from_secs(60)));
    assert_eq!(nested.turns.get(), before);
}

async fn until_elapsed(world: &World, limit: Duration) {
    while world.elapsed() < limit {
        ioloop::sleep(limit).await;
    }
}

#[test]
fn task_of_the_inner_loop_woken_by_the_outer_one_makes_the_descriptor_readable() {
    let nested = Nested::new(new_loop());
    let wakers = Rc::new(RefCell::new(None));
    let (kept, stop) = (Rc::clone(&wakers), nested.outer.clone());
    let task: JoinHandle<()> = nested.inner.spawn(async move {
        let mut polled = false;
        std::future::poll_fn(|cx| {
            *kept.borrow_mut() = Some(cx.waker().clone());
            if std::mem::replace(&mut polled, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        stop.stop();
    });
    nested.drive();
    let waker: std::task::Waker = wakers.take().unwrap();
    nested.outer.add_callback(move || waker.wake());
    start(&nested.outer);
    assert!(task.is_finished());
}
