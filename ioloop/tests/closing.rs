//! `close`, and what is left of a loop.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::pending,
    io::{self, Write},
    os::fd::BorrowedFd,
    rc::Rc,
    time::Duration,
};

use common::{Log, OnDrop, backend, drop_flag, is_closed_by_peer, new_loop, pair, run, turns};
use ioloop::{
    Clock, Error, Event, IOLoop, Interest, JoinError, MonotonicClock, Poller, Ready, Source, Token, Trigger, sleep,
};

#[test]
fn close_drops_callbacks_timers_handlers_and_tasks() {
    let ioloop = new_loop();
    let (ours, theirs) = pair();
    let log = Log::new();
    let note = |name| {
        let log = log.clone();
        OnDrop(move || log.push(name))
    };
    let [callback, timer, handler, task] = ["callback", "timer", "handler", "task"].map(note);
    ioloop.add_callback(move || drop(callback));
    ioloop.call_later(Duration::from_secs(60), move || drop(timer));
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            let _ = &handler;
        })
        .unwrap();
    let task = ioloop.spawn(async move {
        let _guard = task;
        pending::<()>().await;
    });
    ioloop.close();
    let mut dropped = log.take();
    dropped.sort_unstable();
    assert_eq!(dropped, ["callback", "handler", "task", "timer"]);
    assert!(is_closed_by_peer(&theirs));
    assert!(task.is_finished());
    assert!(matches!(run(&new_loop(), task), Err(JoinError::Cancelled)));
    ioloop.close();
}

#[test]
fn destructors_may_come_back_to_the_closing_loop() {
    let ioloop = new_loop();
    let other = ioloop.spawn(pending::<()>());
    let (late, late_guard) = drop_flag();
    let late_guard = RefCell::new(Some(late_guard));
    let inside = ioloop.clone();
    let guard = OnDrop(move || {
        other.abort();
        let guard = late_guard.take();
        inside.spawn_detached(async move {
            let _guard = guard;
            pending().await
        });
        inside.add_callback(|| {});
        let timer = inside.call_later(Duration::ZERO, || {});
        inside.remove_timeout(timer);
        assert!(inside.task_count() >= 1);
    });
    ioloop.spawn_detached(async move {
        let _guard = guard;
        pending().await
    });
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push(report.to_string()));
    ioloop.close();
    assert_eq!(reports.take(), [""; 0]);
    assert!(late.get(), "what a destructor spawned is dropped as well");
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn destructor_that_always_spawns_again_does_not_hang_the_close() {
    fn phoenix(ioloop: &IOLoop) {
        let inside = ioloop.clone();
        let guard = OnDrop(move || phoenix(&inside));
        ioloop.spawn_detached(async move {
            let _guard = guard;
            pending().await
        });
    }
    let ioloop = new_loop();
    phoenix(&ioloop);
    ioloop.close();
    // Its last life keeps the loop; that is the price of such a destructor.
    assert_eq!(ioloop.task_count(), 1);
}

#[test]
fn close_may_be_called_from_a_callback_a_timer_a_handler_and_a_task() {
    type Setup = fn(&IOLoop, Box<dyn FnOnce()>);
    let setups: [Setup; 4] = [
        |ioloop, close| ioloop.add_callback(close),
        |ioloop, close| {
            ioloop.call_later(Duration::ZERO, close);
        },
        |ioloop, close| {
            let (ours, mut theirs) = pair();
            theirs.write_all(b"x").unwrap();
            let mut close = Some((close, theirs));
            ioloop
                .add_handler(ours, Interest::READABLE, move |_| {
                    if let Some((close, _peer)) = close.take() {
                        close();
                    }
                })
                .unwrap();
        },
        |ioloop, close| ioloop.spawn_detached(async move { close() }),
    ];
    for setup in setups {
        let ioloop = new_loop();
        let inside = ioloop.clone();
        setup(&ioloop, Box::new(move || inside.close()));
        let (dropped, guard) = drop_flag();
        ioloop.spawn_detached(async move {
            let _guard = guard;
            pending().await
        });
        ioloop.add_callback(|| {});
        ioloop.start();
        assert!(dropped.get());
        assert_eq!(ioloop.task_count(), 0);
    }
}

#[test]
fn close_inside_run_sync_ends_it() {
    let ioloop = new_loop();
    let result = ioloop.try_run_sync(None, async {
        IOLoop::current().close();
        sleep(Duration::from_secs(3600)).await;
    });
    assert!(matches!(result, Err(Error::Stopped)));
}

#[test]
fn closed_loop_does_not_run_any_more() {
    let ioloop = new_loop();
    ioloop.close();
    ioloop.add_callback(|| unreachable!("the loop is closed"));
    for _ in 0..3 {
        ioloop.start();
        assert!(matches!(ioloop.try_run_sync(None, pending::<()>()), Err(Error::Stopped)));
    }
}

#[test]
fn shared_descriptor_of_a_handler_is_deregistered_by_close() {
    let deregistered = Rc::new(Cell::new(0));
    let (dropped, guard) = drop_flag();
    let poller = Watched { poller: backend(), removed: Rc::clone(&deregistered), _guard: guard };
    let ioloop = IOLoop::with_poller(Box::new(poller), Box::new(MonotonicClock)).unwrap();
    let (ours, _theirs) = pair();
    let ours = Rc::new(ours);
    ioloop.add_handler(Rc::clone(&ours), Interest::READABLE, |_| {}).unwrap();
    ioloop.close();
    assert_eq!(deregistered.get(), 1);
    assert_eq!(Rc::strong_count(&ours), 1);
    drop(ioloop);
    assert!(dropped.get());
}

struct Watched<G> {
    poller: Box<dyn Poller>,
    removed: Rc<Cell<usize>>,
    _guard: G,
}

impl<G> Poller for Watched<G> {
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.poller.add(fd, token, interest, trigger)
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.poller.modify(fd, token, interest, trigger)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.removed.set(self.removed.get() + 1);
        self.poller.remove(fd, token)
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.poller.poll(events, timeout)
    }

    fn needs_rearming(&self) -> bool {
        self.poller.needs_rearming()
    }

    fn rearm(&mut self, token: Token, what: Ready) {
        self.poller.rearm(token, what);
    }
}

/// A loop and a flag that is set when nothing of it is left.
fn mortal_loop() -> (IOLoop, Rc<Cell<bool>>) {
    let (gone, guard) = drop_flag();
    let poller = Watched { poller: backend(), removed: Rc::default(), _guard: guard };
    let ioloop = IOLoop::with_poller(Box::new(poller), Box::new(MonotonicClock)).unwrap();
    (ioloop, gone)
}

#[test]
fn closed_loop_is_freed_whatever_held_it_in_a_circle() {
    let (ioloop, gone) = mortal_loop();
    let [task, callback, timer, hook, handler] = [(); 5].map(|()| ioloop.clone());
    ioloop.spawn_detached(async move {
        let _held = task;
        pending().await
    });
    ioloop.add_callback(move || callback.stop());
    ioloop.call_later(Duration::from_secs(60), move || timer.stop());
    ioloop.on_callback_exception(move |_| hook.stop());
    let (ours, _theirs) = pair();
    ioloop.add_handler(ours, Interest::READABLE, move |_| handler.stop()).unwrap();
    let (ours, _theirs) = pair();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    ioloop.spawn_detached(async move {
        source.readable().await;
    });
    ioloop.close();
    assert!(!gone.get());
    drop(ioloop);
    assert!(gone.get());
}

#[test]
fn loop_without_circles_is_freed_without_close() {
    let (ioloop, gone) = mortal_loop();
    run(&ioloop, turns(2));
    let kept_waker = run(&ioloop, ioloop.spawn(common::waker())).unwrap();
    let kept_handle = ioloop.handle();
    drop(ioloop);
    assert!(gone.get());
    kept_waker.wake();
    assert!(kept_handle.stop().is_err());
}

#[test]
fn clock_and_poller_may_be_anything() {
    struct Zero;
    impl Clock for Zero {
        fn now(&self) -> Duration {
            Duration::ZERO
        }
    }
    let ioloop = IOLoop::with_poller(backend(), Box::new(Zero)).unwrap();
    assert_eq!(ioloop.run_sync(async { turns(3).await }), ());
}
