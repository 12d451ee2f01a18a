//! Who holds up the loop: [`IOLoop::on_slow_callback`](ioloop::IOLoop::on_slow_callback).

mod common;

use std::{io::Write, panic::Location, rc::Rc, time::Duration};

use common::{Log, World, pair, turns, virtual_loop};
use ioloop::{IOLoop, Interest, SlowCallback, WorkKind, yield_now};

const THRESHOLD: Duration = Duration::from_millis(100);
const BEYOND: Duration = Duration::from_millis(150);
const WITHIN: Duration = Duration::from_millis(99);

/// A loop that is watched, and what it has to say.
fn watched() -> (IOLoop, Rc<World>, Log<SlowCallback>) {
    let (ioloop, world) = virtual_loop();
    let reports = Log::new();
    let log = reports.clone();
    ioloop.on_slow_callback(THRESHOLD, move |slow| log.push(slow.clone()));
    (ioloop, world, reports)
}

/// The one report: what kind of work, on which line of this file, and that it took as long as it did.
fn only(reports: &Log<SlowCallback>) -> (WorkKind, u32) {
    let mut reports = reports.take();
    let report = reports.pop().expect("a report");
    assert!(reports.is_empty(), "one report, not {}", reports.len() + 1);
    assert_eq!(report.took(), BEYOND);
    assert_eq!(report.location().file(), file!());
    (report.kind(), report.location().line())
}

#[track_caller]
fn here() -> u32 {
    Location::caller().line()
}

#[test]
fn callback() {
    let (ioloop, world, reports) = watched();
    let line = here() + 1;
    ioloop.add_callback(move || world.skip(BEYOND));
    ioloop.run_sync(turns(1));
    assert_eq!(only(&reports), (WorkKind::Callback, line));
}

#[test]
fn timer() {
    let (ioloop, world, reports) = watched();
    let line = here() + 1;
    ioloop.call_later(Duration::ZERO, move || world.skip(BEYOND));
    ioloop.run_sync(turns(1));
    assert_eq!(only(&reports), (WorkKind::Timer, line));
}

#[test]
fn handler() {
    let (ioloop, world, reports) = watched();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let line = here() + 1;
    let token = ioloop.add_handler(ours, Interest::READABLE, move |_| world.skip(BEYOND)).unwrap();
    ioloop.run_sync(turns(1));
    ioloop.remove_handler(token);
    assert_eq!(only(&reports), (WorkKind::Handler, line));
}

#[test]
fn one_poll_of_a_task() {
    let (ioloop, world, reports) = watched();
    let line = here() + 1;
    let task = ioloop.spawn(async move {
        for _ in 0..10 {
            world.skip(WITHIN);
            yield_now().await;
        }
        world.skip(BEYOND);
    });
    ioloop.run_sync(task).unwrap();
    assert_eq!(only(&reports), (WorkKind::Task, line));
}

#[test]
fn future_of_run_sync() {
    let (ioloop, world, reports) = watched();
    let line = here() + 1;
    ioloop.run_sync(async { world.skip(BEYOND) });
    assert_eq!(only(&reports), (WorkKind::Task, line));
}

#[test]
fn work_that_panics_after_a_long_time() {
    let (ioloop, world, reports) = watched();
    ioloop.on_callback_exception(|_| {});
    let line = here() + 1;
    ioloop.add_callback(move || {
        world.skip(BEYOND);
        panic!("too late");
    });
    ioloop.run_sync(turns(1));
    assert_eq!(only(&reports), (WorkKind::Callback, line));
}

#[test]
fn destructor_of_a_task_that_is_aborted() {
    let (ioloop, world, reports) = watched();
    let slow = common::OnDrop(move || world.skip(BEYOND));
    let line = here() + 1;
    let task = ioloop.spawn(async move {
        let _slow = slow;
        std::future::pending::<()>().await;
    });
    ioloop.run_sync(async {
        turns(1).await;
        task.abort();
    });
    // The future that has called `abort` was held up as well.
    let reports = reports.take();
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[0].location().line(), line);
}

#[test]
fn what_stays_within_the_threshold_is_not_reported() {
    let (ioloop, world, reports) = watched();
    ioloop.add_callback(move || world.skip(WITHIN));
    ioloop.run_sync(turns(1));
    assert_eq!(reports.len(), 0);
}

#[test]
fn hook_may_come_back_to_the_loop_and_even_replace_itself() {
    let (ioloop, world) = virtual_loop();
    let later = Log::new();
    let (log, inner) = (later.clone(), ioloop.clone());
    ioloop.on_slow_callback(THRESHOLD, move |_| {
        let log = log.clone();
        inner.on_slow_callback(THRESHOLD, move |slow| log.push(slow.kind()));
        inner.add_callback(|| {});
    });
    for _ in 0..3 {
        let world = Rc::clone(&world);
        ioloop.add_callback(move || world.skip(BEYOND));
    }
    ioloop.run_sync(turns(2));
    assert_eq!(later.take(), [WorkKind::Callback; 2]);
}

#[test]
fn hook_that_panics_harms_nobody() {
    let (ioloop, world) = virtual_loop();
    let ran = Log::new();
    ioloop.on_slow_callback(THRESHOLD, |_| panic!("the hook"));
    for number in 0..2 {
        let (world, ran) = (Rc::clone(&world), ran.clone());
        ioloop.add_callback(move || {
            world.skip(BEYOND);
            ran.push(number);
        });
    }
    ioloop.run_sync(turns(1));
    assert_eq!(ran.take(), [0, 1]);
}

#[test]
fn report_reads_as_a_line_of_a_log() {
    let (ioloop, world, reports) = watched();
    ioloop.add_callback(move || world.skip(BEYOND));
    ioloop.run_sync(turns(1));
    let report = reports.take().pop().unwrap();
    let line = format!("the callback registered at {} held up the loop for 150ms", report.location());
    assert_eq!(report.to_string(), line);
}
