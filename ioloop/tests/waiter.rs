//! [`Waiter`]: who waits, kept without a waker.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use common::{Log, new_loop};
use ioloop::{IOLoop, Waiter, spawn, sync::Event, yield_now};

/// What tests wait for.
#[derive(Default)]
struct Later {
    is_there: Cell<bool>,
    waiter: RefCell<Option<Waiter>>,
}

impl Later {
    fn wait(self: &Rc<Self>) -> impl Future<Output = ()> + use<> {
        let later = Rc::clone(self);
        poll_fn(move |cx| {
            if later.is_there.get() {
                return Poll::Ready(());
            }
            let waiter = Waiter::new(cx.waker());
            assert!(waiter.will_wake(cx.waker()));
            drop(later.waiter.replace(Some(waiter)));
            Poll::Pending
        })
    }

    fn set(&self) {
        self.is_there.set(true);
        let waiter = self.waiter.take();
        waiter.expect("somebody waits").wake();
    }

    /// Wakes whoever waits, for nothing.
    fn disturb(&self) {
        let waiter = self.waiter.take();
        waiter.expect("somebody waits").wake();
    }
}

/// A task of `ioloop` that waits for `later`, and says so when it has come.
fn waiting(ioloop: &IOLoop, later: &Rc<Later>, log: &Log<&'static str>) {
    let (wait, noted) = (later.wait(), log.clone());
    ioloop.spawn_detached(async move {
        wait.await;
        noted.push("through");
    });
    ioloop.run_once(Some(Duration::ZERO));
    assert!(later.waiter.borrow().is_some());
}

#[test]
fn a_task_is_woken_by_another_one() {
    let (ioloop, later, log) = (new_loop(), Rc::new(Later::default()), Log::new());
    waiting(&ioloop, &later, &log);
    let set = Rc::clone(&later);
    ioloop.run_sync(async move {
        set.set();
        yield_now().await;
        yield_now().await;
    });
    assert_eq!(log.take(), ["through"]);
}

#[test]
fn the_future_of_run_sync_is_woken() {
    let later = Rc::new(Later::default());
    let (ioloop, set) = (new_loop(), Rc::clone(&later));
    ioloop.add_callback(move || set.set());
    ioloop.run_sync(later.wait());
}

#[test]
fn a_task_is_woken_while_its_loop_does_not_run() {
    let (ioloop, later, log) = (new_loop(), Rc::new(Later::default()), Log::new());
    waiting(&ioloop, &later, &log);
    later.set();
    ioloop.run_once(None);
    assert_eq!(log.take(), ["through"]);
}

#[test]
fn a_task_of_a_loop_is_woken_from_within_another_and_no_task_of_that_one() {
    let (ioloop, later, log) = (new_loop(), Rc::new(Later::default()), Log::new());
    waiting(&ioloop, &later, &log);
    // Its only task has the same place there, and its polls would be seen.
    let (other, polls) = (new_loop(), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&polls);
    other.spawn_detached(poll_fn(move |_| {
        counted.set(counted.get() + 1);
        Poll::Pending
    }));
    let set = Rc::clone(&later);
    other.add_callback(move || set.set());
    other.run_once(Some(Duration::ZERO));
    other.run_once(Some(Duration::ZERO));
    assert_eq!((polls.get(), log.len()), (1, 0));
    ioloop.run_once(None);
    assert_eq!(log.take(), ["through"]);
}

#[test]
fn a_task_is_woken_from_within_a_loop_that_it_drives() {
    let (outer, inner, later) = (new_loop(), new_loop(), Rc::new(Later::default()));
    let log = Log::new();
    waiting(&outer, &later, &log);
    let (driven, set) = (inner.clone(), Rc::clone(&later));
    inner.add_callback(move || set.set());
    outer.add_callback(move || {
        driven.run_once(Some(Duration::ZERO));
    });
    outer.run_once(None);
    outer.run_once(Some(Duration::ZERO));
    outer.run_once(Some(Duration::ZERO));
    assert_eq!(log.take(), ["through"]);
}

#[test]
fn nothing_comes_of_a_task_that_has_gone_nor_of_a_loop() {
    let (ioloop, later) = (new_loop(), Rc::new(Later::default()));
    let task = ioloop.spawn(later.wait());
    ioloop.run_once(Some(Duration::ZERO));
    task.abort();
    // In the place of the other.
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    ioloop.spawn_detached(poll_fn(move |_| {
        counted.set(counted.get() + 1);
        Poll::Pending
    }));
    ioloop.run_once(Some(Duration::ZERO));
    later.disturb();
    ioloop.run_once(Some(Duration::ZERO));
    assert_eq!(polls.get(), 1);

    ioloop.spawn_detached(later.wait());
    ioloop.run_once(Some(Duration::ZERO));
    drop(ioloop);
    later.disturb();
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn any_other_waker_is_kept_as_it_is() {
    let (count, later) = (Arc::new(Count::default()), Rc::new(Later::default()));
    let waker = Waker::from(Arc::clone(&count));
    // Outside of every loop, and within the poll of a task.
    let mut wait = pin!(later.wait());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    later.disturb();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    new_loop().run_sync(async {
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let waiter = Waiter::new(&waker);
        poll_fn(|cx| {
            assert!(waiter.will_wake(&waker) && !waiter.will_wake(cx.waker()));
            Poll::Ready(())
        })
        .await;
    });
    later.set();
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn a_task_that_waits_for_another_one_has_no_waker_of_its_own() {
    /// The waker that a task is polled with, told from others.
    async fn seen() -> usize {
        poll_fn(|cx| Poll::Ready(cx.waker().data() as usize)).await
    }
    let (event, ioloop) = (Rc::new(Event::new()), new_loop());
    let set = Rc::clone(&event);
    let (first, then) = ioloop.run_sync(async move {
        let waits = spawn(async move {
            let first = seen().await;
            event.wait().await;
            (first, seen().await)
        });
        yield_now().await;
        // The one that all have until they show it to somebody.
        let other = spawn(seen());
        set.set();
        let other = other.await.expect("it does not panic");
        let (first, then) = waits.await.expect("it does not panic");
        assert_eq!(first, other);
        (first, then)
    });
    assert_eq!(first, then);
}

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("as asked");
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    let ioloop = new_loop();
    let event = Rc::new(Event::new());
    let waker = Waker::from(Arc::new(Panicking));
    let mut foreign = Box::pin(event.wait());
    assert!(foreign.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let task = ioloop.spawn({
        let event = Rc::clone(&event);
        async move { event.wait().await }
    });
    ioloop.run_sync(yield_now());
    event.set();
    ioloop.run_sync(task).unwrap();
}
