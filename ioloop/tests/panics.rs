//! Panics in every kind of user code: reported with the registration's line, and the loop goes on.

mod common;

use std::{
    cell::RefCell,
    future::{Future, pending, poll_fn},
    io::Write,
    os::unix::net::UnixStream,
    panic::panic_any,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use common::{Log, OnDrop, new_loop, pair, run, turns, until};
use ioloop::{CallbackException, IOLoop, Interest, JoinError, Source, WorkKind, run_in_executor};

/// A loop that keeps what is reported.
fn reporting() -> (IOLoop, Log<CallbackException>) {
    let ioloop = new_loop();
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push(report.clone()));
    (ioloop, reports)
}

/// Exactly one panic was reported: of this kind, registered at this line of this file.
#[track_caller]
fn assert_reported(reports: &Log<CallbackException>, kind: WorkKind, line: u32, message: &str) {
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = &reports[0];
    assert_eq!((report.kind(), report.message()), (kind, message));
    assert_eq!((report.location().file(), report.location().line()), (file!(), line));
    assert!(report.to_string().contains(message), "{report}");
    assert!(report.to_string().contains(&format!("{}:{line}", file!())), "{report}");
}

#[test]
fn callback() {
    let (ioloop, reports) = reporting();
    let line = line!() + 1;
    ioloop.add_callback(|| panic!("oh"));
    run(&ioloop, turns(2));
    assert_reported(&reports, WorkKind::Callback, line, "oh");
}

#[test]
fn timer() {
    let (ioloop, reports) = reporting();
    let line = line!() + 1;
    ioloop.call_later(Duration::ZERO, || panic!("oh"));
    run(&ioloop, turns(2));
    assert_reported(&reports, WorkKind::Timer, line, "oh");
    let line = line!() + 1;
    ioloop.call_at(ioloop.time(), || panic!("oh {}", 2));
    run(&ioloop, turns(2));
    assert_reported(&reports, WorkKind::Timer, line, "oh 2");
}

#[test]
fn handler_stays_registered_after_its_panic() {
    let (ioloop, reports) = reporting();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let panicking = |_| panic!("every turn");
    let line = line!() + 1;
    let token = ioloop.add_handler(ours, Interest::READABLE, panicking).unwrap();
    run(&ioloop, until(|| reports.len() == 3));
    assert!(ioloop.remove_handler(token));
    for report in reports.take() {
        assert_eq!((report.kind(), report.message()), (WorkKind::Handler, "every turn"));
        assert_eq!(report.location().line(), line);
    }
}

#[test]
fn panic_in_one_handler_does_not_take_the_events_of_others() {
    let (ioloop, reports) = reporting();
    let served = Log::new();
    let mut peers = Vec::new();
    for number in 0..5 {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"x").unwrap();
        peers.push(theirs);
        let (served, remove) = (served.clone(), ioloop.clone());
        ioloop
            .add_handler(ours, Interest::READABLE, move |event| {
                remove.remove_handler(event.token());
                served.push(number);
                assert!(number % 2 == 0, "odd");
            })
            .unwrap();
    }
    run(&ioloop, turns(1));
    let mut served = served.take();
    served.sort_unstable();
    assert_eq!(served, [0, 1, 2, 3, 4]);
    assert_eq!(reports.len(), 2);
}

#[test]
fn task() {
    let (ioloop, reports) = reporting();
    let line = line!() + 1;
    ioloop.spawn_detached(async { panic!("oh") });
    run(&ioloop, turns(2));
    assert_reported(&reports, WorkKind::Task, line, "oh");
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn destructor_of_a_task_that_completed() {
    let (ioloop, reports) = reporting();
    let guard = OnDrop(|| panic!("in drop"));
    let mut guard = Some(guard);
    let line = line!() + 1;
    ioloop.spawn_detached(poll_fn(move |_| {
        let _ = &mut guard;
        Poll::Ready(())
    }));
    run(&ioloop, turns(2));
    assert_reported(&reports, WorkKind::Task, line, "in drop");
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn destructor_of_a_task_that_is_aborted_is_not_the_aborters_business() {
    let (ioloop, reports) = reporting();
    let guard = OnDrop(|| panic!("in drop"));
    let line = line!() + 1;
    let task = ioloop.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    run(&ioloop, turns(2));
    task.abort();
    assert_reported(&reports, WorkKind::Task, line, "in drop");
    assert!(task.is_finished());
}

/// Work of every kind, none of which runs, with destructors that panic.
fn leave_bombs(ioloop: &IOLoop) -> UnixStream {
    let (ours, theirs) = pair();
    let [callback, timer, handler, task] =
        ["callback", "timer", "handler", "task"].map(|name| OnDrop(move || panic!("{name}")));
    ioloop.add_callback(move || drop(callback));
    ioloop.call_later(Duration::from_secs(60), move || drop(timer));
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            let _ = &handler;
        })
        .unwrap();
    ioloop.spawn_detached(async move {
        let _guard = task;
        pending().await
    });
    theirs
}

#[track_caller]
fn assert_all_reported(reports: &Log<CallbackException>) {
    let mut seen: Vec<_> =
        reports.take().iter().map(|report| (report.kind().to_string(), report.message().to_owned())).collect();
    seen.sort_unstable();
    let expected = ["callback", "handler", "task", "timer"].map(|name| (name.to_owned(), name.to_owned()));
    assert_eq!(seen, expected);
}

#[test]
fn destructors_of_everything_dropped_by_close() {
    let (ioloop, reports) = reporting();
    let _theirs = leave_bombs(&ioloop);
    ioloop.close();
    assert_all_reported(&reports);
}

#[test]
fn destructors_of_everything_that_goes_with_the_last_handle() {
    let (ioloop, reports) = reporting();
    let _theirs = leave_bombs(&ioloop);
    let letter = OnDrop(|| panic!("letter"));
    ioloop.handle().add_callback(move || drop(letter)).unwrap();
    drop(ioloop);
    assert_all_reported(&reports);
}

#[test]
fn hooks_that_panic_when_the_loop_drops_them() {
    let ioloop = new_loop();
    let [exception, slow] = ["exception", "slow"].map(|name| OnDrop(move || panic!("{name}")));
    ioloop.on_callback_exception(move |_| {
        let _ = &exception;
    });
    ioloop.on_slow_callback(Duration::MAX, move |_| {
        let _ = &slow;
    });
    drop(ioloop);
}

/// A waker of somebody else's executor.
struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

#[test]
fn foreign_waker_of_a_source_does_not_take_the_wake_up_of_others() {
    let (ioloop, _reports) = reporting();
    let (ours, mut theirs) = pair();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    let foreign = Waker::from(Arc::new(Panicking));
    assert!(source.poll_ready(&mut Context::from_waker(&foreign), ioloop::Ready::READABLE).is_pending());
    theirs.write_all(b"x").unwrap();
    run(&ioloop, async {
        source.readable().await;
    });
}

#[test]
fn foreign_waker_of_a_sleep_does_not_stop_the_loop() {
    let (ioloop, _reports) = reporting();
    let foreign = Waker::from(Arc::new(Panicking));
    run(&ioloop, async {
        let mut sleep = ioloop::sleep(Duration::from_millis(1));
        assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(&foreign)).is_pending());
        ioloop::sleep(Duration::from_millis(2)).await;
    });
}

#[test]
fn hook_that_panics_stops_nothing() {
    let ioloop = new_loop();
    ioloop.on_callback_exception(|_| panic!("in the hook"));
    let done = Log::new();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let (first, last) = (done.clone(), done.clone());
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            first.push("handler");
            panic!("in the handler");
        })
        .unwrap();
    ioloop.spawn_detached(async { panic!("in a task") });
    ioloop.add_callback(|| panic!("in a callback"));
    ioloop.add_callback(move || last.push("callback"));
    run(&ioloop, turns(2));
    assert_eq!(done.take(), ["handler", "callback", "handler"]);
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn hook_may_come_back_to_the_loop() {
    let ioloop = new_loop();
    let log = Log::new();
    let (inside, noted) = (ioloop.clone(), log.clone());
    ioloop.on_callback_exception(move |report| {
        noted.push(report.message().to_owned());
        let noted = noted.clone();
        inside.spawn_detached(async move { noted.push("spawned by the hook".to_owned()) });
        inside.on_callback_exception(|_| {});
    });
    ioloop.add_callback(|| panic!("first"));
    ioloop.add_callback(|| panic!("second"));
    run(&ioloop, turns(3));
    assert_eq!(log.take(), ["first", "spawned by the hook"]);
    ioloop.close();
}

#[test]
fn panic_without_a_text_is_reported_too() {
    let (ioloop, reports) = reporting();
    ioloop.add_callback(|| panic_any(7));
    run(&ioloop, turns(2));
    assert_eq!(reports.take()[0].message(), "<not a string>");
}

#[test]
fn without_a_hook_the_loop_goes_on_as_well() {
    let ioloop = new_loop();
    ioloop.add_callback(|| panic!("nobody listens"));
    let task = ioloop.spawn(async { 1 });
    assert_eq!(run(&ioloop, task).unwrap(), 1);
}

#[test]
fn join_handle_outlives_a_panic_in_the_destructor_of_its_result() {
    struct Bomb(Rc<RefCell<bool>>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            *self.0.borrow_mut() = true;
            panic!("in the result");
        }
    }
    let (ioloop, reports) = reporting();
    let dropped = Rc::new(RefCell::new(false));
    let bomb = Bomb(Rc::clone(&dropped));
    // Nobody takes the result: it goes with the task.
    drop(ioloop.spawn(async move { bomb }));
    run(&ioloop, turns(2));
    assert!(*dropped.borrow());
    assert_eq!(reports.take()[0].kind(), WorkKind::Task);
    assert_eq!(ioloop.task_count(), 0);
}

/// A payload whose destructor panics with another one like it.
struct Hydra(usize);

impl Drop for Hydra {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Hydra(self.0 - 1));
        }
    }
}

#[test]
fn payload_that_panics_when_it_is_dropped_stops_nothing() {
    let (ioloop, reports) = reporting();
    ioloop.add_callback(|| panic_any(Hydra(3)));
    ioloop.call_later(Duration::ZERO, || panic_any(Hydra(3)));
    ioloop.spawn_detached(async { panic_any(Hydra(3)) });
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let token = ioloop.add_handler(ours, Interest::READABLE, |_| panic_any(Hydra(3))).unwrap();
    let joined = ioloop.spawn(async { panic_any(Hydra(3)) });
    let result: Result<(), _> = run(&ioloop, joined);
    assert!(matches!(result, Err(JoinError::Panicked { message }) if message == "<not a string>"));
    ioloop.remove_handler(token);
    let mut kinds: Vec<_> = reports.take().iter().map(|report| report.kind().to_string()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["callback", "handler", "task", "timer"]);

    let job: Result<(), _> = run(&ioloop, async { run_in_executor(|| panic_any(Hydra(3))).await });
    assert!(matches!(job, Err(JoinError::Panicked { .. })));

    ioloop.on_callback_exception(|_| panic_any(Hydra(3)));
    ioloop.add_callback(|| panic!("reported to a hook that panics"));
    run(&ioloop, turns(2));
}
