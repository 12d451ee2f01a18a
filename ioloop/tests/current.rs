//! Which loop is the thread's current one, and how loops are made.

mod common;

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    thread,
    time::Duration,
};

use common::{backend, drop_flag, new_loop, run, turns, waker};
use ioloop::{Clock, IOLoop, spawn};

/// Whether two handles name the same loop.
fn same(one: &IOLoop, other: &IOLoop) -> bool {
    let before = other.task_count();
    one.spawn_detached(async {});
    other.task_count() == before + 1
}

#[test]
fn thread_has_no_loop_before_somebody_asks_for_one() {
    thread::spawn(|| {
        assert!(IOLoop::try_current().is_none());
        let made = IOLoop::current();
        assert!(same(&IOLoop::try_current().unwrap(), &made));
    })
    .join()
    .unwrap();
}

#[test]
fn loop_made_current_is_what_is_spawned_on() {
    thread::spawn(|| {
        let ioloop = new_loop();
        assert!(ioloop.make_current().is_none());
        let task = spawn(async { 7 });
        assert_eq!(ioloop.task_count(), 1);
        assert_eq!(run(&ioloop, task).unwrap(), 7);
        assert!(same(&IOLoop::current(), &ioloop), "still, after it ran");
    })
    .join()
    .unwrap();
}

#[test]
fn loop_replaced_as_the_current_one_is_given_back_alive() {
    thread::spawn(|| {
        let (first, second) = (IOLoop::current(), new_loop());
        let previous = second.make_current().unwrap();
        assert!(same(&previous, &first));
        assert_eq!(run(&first, async { 1 }), 1);
        let cleared = IOLoop::clear_current().unwrap();
        assert!(same(&cleared, &second));
        assert!(IOLoop::try_current().is_none());
        assert!(IOLoop::clear_current().is_none());
        assert!(!same(&IOLoop::current(), &second), "a new one is made");
    })
    .join()
    .unwrap();
}

#[test]
fn end_of_the_thread_closes_the_loop_that_was_made_current() {
    let handles = thread::spawn(|| {
        let (replaced, current) = (IOLoop::current(), new_loop());
        current.make_current();
        let own = current.clone();
        current.spawn_detached(async move {
            let _held = own;
            std::future::pending().await
        });
        (replaced.handle(), current.handle())
    })
    .join()
    .unwrap();
    assert!(handles.0.stop().is_err(), "nobody holds it any more");
    assert!(handles.1.stop().is_err(), "closed, whatever its tasks hold");
}

#[test]
fn loop_that_runs_stays_the_current_one() {
    let (ioloop, other) = (new_loop(), new_loop());
    run(&ioloop, async {
        assert!(catch_unwind(AssertUnwindSafe(|| other.make_current())).is_err());
        assert!(catch_unwind(IOLoop::clear_current).is_err());
        assert!(same(&IOLoop::current(), &ioloop));
        turns(1).await;
    });
}

#[test]
fn waker_of_a_loop_that_is_not_the_current_one_still_wakes() {
    let (ioloop, other) = (new_loop(), new_loop());
    let polls = Rc::new(Cell::new(0));
    let count = Rc::clone(&polls);
    let (sender, receiver) = std::sync::mpsc::channel();
    ioloop.spawn_detached(async move {
        sender.send(waker().await).unwrap();
        std::future::poll_fn(|_| {
            count.set(count.get() + 1);
            if count.get() == 2 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    });
    run(&ioloop, turns(2));
    assert_eq!(polls.get(), 1);
    run(&other, async { receiver.recv().unwrap().wake() });
    run(&ioloop, turns(3));
    assert_eq!(polls.get(), 2);
}

#[test]
fn builder_takes_a_poller_and_a_clock() {
    struct Noon;
    impl Clock for Noon {
        fn now(&self) -> Duration {
            Duration::from_secs(12 * 3600)
        }
    }
    let ioloop = IOLoop::builder().clock(Noon).poller(backend()).build().unwrap();
    let (fired, guard) = drop_flag();
    ioloop.call_later(Duration::from_nanos(1), move || drop(guard));
    let before = ioloop.time();
    ioloop.run_sync(turns(5));
    assert_eq!(ioloop.time(), before);
    assert!(!fired.get(), "time stands still");
}

#[test]
fn builder_without_choices_makes_the_usual_loop() {
    let ioloop = IOLoop::builder().build().unwrap();
    assert_eq!(run(&ioloop, async { turns(2).await }), ());
}
