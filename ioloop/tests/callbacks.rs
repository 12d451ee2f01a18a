//! Callbacks, and the order of things within one turn.

mod common;

use std::{cell::Cell, io::Write, rc::Rc, time::Duration};

use common::{Log, World, new_loop, pair, start, turn, virtual_loop};
use ioloop::{IOLoop, Interest, WorkKind};

#[test]
fn callbacks_run_in_the_order_in_which_they_were_added() {
    let ioloop = new_loop();
    let log = Log::new();
    for number in 0..100 {
        let log = log.clone();
        ioloop.add_callback(move || log.push(number));
    }
    let stop = ioloop.clone();
    ioloop.add_callback(move || stop.stop());
    start(&ioloop);
    assert_eq!(log.take(), (0..100).collect::<Vec<_>>());
}

#[test]
fn callback_added_by_a_callback_runs_in_the_next_turn() {
    let ioloop = new_loop();
    let log = Log::new();
    let (again, outer, inner) = (ioloop.clone(), log.clone(), log.clone());
    ioloop.add_callback(move || {
        outer.push(("first", turn()));
        let stop = again.clone();
        again.add_callback(move || {
            inner.push(("second", turn()));
            stop.stop();
        });
    });
    ioloop.start();
    assert_eq!(log.take(), [("first", 1), ("second", 2)]);
}

#[test]
fn one_turn_handles_events_then_timers_then_the_callbacks_both_have_queued() {
    let (ioloop, world) = virtual_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let log = Log::new();
    let note = {
        let (log, world) = (log.clone(), Rc::clone(&world));
        move |what| log.push((world.turn(), what))
    };
    let (again, said) = (ioloop.clone(), note.clone());
    ioloop.call_later(Duration::ZERO, move || {
        said("timer");
        let (stop, said) = (again.clone(), said.clone());
        again.add_callback(move || {
            said("callback of the timer");
            stop.stop();
        });
    });
    let again = ioloop.clone();
    ioloop
        .add_handler(ours, Interest::READABLE, move |event| {
            note("handler");
            again.remove_handler(event.token());
            let note = note.clone();
            again.add_callback(move || note("callback of the handler"));
        })
        .unwrap();
    ioloop.start();
    assert_eq!(
        log.take(),
        [(1, "handler"), (1, "timer"), (1, "callback of the handler"), (1, "callback of the timer"),]
    );
}

#[test]
fn what_is_queued_when_the_loop_is_stopped_still_runs_in_that_turn() {
    let ioloop = new_loop();
    let log = Log::new();
    let (stop, before, after) = (ioloop.clone(), log.clone(), log.clone());
    ioloop.add_callback(move || {
        before.push("stop");
        stop.stop();
    });
    ioloop.add_callback(move || after.push("queued before"));
    start(&ioloop);
    assert_eq!(log.take(), ["stop", "queued before"]);
}

/// A callback that adds itself again for ever, each run taking a millisecond.
fn spin(ioloop: &IOLoop, world: Rc<World>) {
    let again = ioloop.clone();
    ioloop.add_callback(move || {
        world.skip(Duration::from_millis(1));
        spin(&again, world);
    });
}

#[test]
fn callback_that_adds_itself_again_does_not_delay_a_timer_by_more_than_a_turn() {
    let (ioloop, world) = virtual_loop();
    spin(&ioloop, Rc::clone(&world));
    let stop = ioloop.clone();
    ioloop.call_later(Duration::from_millis(100), move || stop.stop());
    ioloop.start();
    assert!((100..=102).contains(&world.turn()), "{} turns", world.turn());
}

#[test]
fn callback_that_adds_itself_again_does_not_delay_an_event_by_more_than_a_turn() {
    let (ioloop, world) = virtual_loop();
    spin(&ioloop, Rc::clone(&world));
    let (ours, mut theirs) = pair();
    let (written_in, handled_in) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (noted, time, stop) = (Rc::clone(&handled_in), Rc::clone(&world), ioloop.clone());
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            noted.set(time.turn());
            stop.stop();
        })
        .unwrap();
    let (noted, time) = (Rc::clone(&written_in), Rc::clone(&world));
    ioloop.call_later(Duration::from_millis(50), move || {
        theirs.write_all(b"x").unwrap();
        noted.set(time.turn());
    });
    ioloop.start();
    assert_eq!(handled_in.get(), written_in.get() + 1);
}

#[test]
fn callback_that_adds_itself_again_does_not_outrun_a_stop() {
    let (ioloop, world) = virtual_loop();
    spin(&ioloop, Rc::clone(&world));
    let stop = ioloop.clone();
    ioloop.add_callback(move || stop.stop());
    ioloop.start();
    assert_eq!(world.turn(), 1);
}

#[test]
fn idle_loop_sleeps_instead_of_turning() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    let noted = log.clone();
    ioloop.add_callback(move || noted.push(()));
    let stop = ioloop.clone();
    ioloop.call_later(Duration::from_secs(3600), move || stop.stop());
    ioloop.start();
    assert_eq!(log.len(), 1);
    assert_eq!(world.turn(), 2);
    assert_eq!(world.elapsed(), Duration::from_secs(3600));
}

#[test]
fn callback_dropped_unrun_with_its_loop_drops_what_it_holds() {
    let ioloop = new_loop();
    let (dropped, guard) = common::drop_flag();
    ioloop.add_callback(move || drop(guard));
    drop(ioloop);
    assert!(dropped.get());
}

#[test]
fn spawned_callback_queues_up_with_the_others() {
    let ioloop = new_loop();
    let log = Log::new();
    let (first, second, stop) = (log.clone(), log.clone(), ioloop.clone());
    ioloop.spawn_callback(move || first.push("spawned"));
    ioloop.add_callback(move || {
        second.push("added");
        stop.stop();
    });
    start(&ioloop);
    assert_eq!(log.take(), ["spawned", "added"]);
}

#[test]
fn callback_of_a_future_runs_in_a_later_turn_than_the_futures_last_poll() {
    let ioloop = new_loop();
    let log = Log::new();
    let (future, callback) = (log.clone(), log.clone());
    let stop = ioloop.clone();
    ioloop.add_future(
        async move {
            future.push(("done", turn()));
            7
        },
        move |value| {
            assert_eq!(value, 7);
            callback.push(("called", turn()));
            stop.stop();
        },
    );
    assert_eq!(log.len(), 0, "nothing happens within the call");
    ioloop.start();
    assert_eq!(log.take(), [("done", 1), ("called", 2)]);
}

#[test]
fn callback_of_a_task_learns_how_it_ended() {
    let ioloop = new_loop();
    ioloop.on_callback_exception(|_| {});
    let log = Log::new();
    let tasks = [
        ioloop.spawn(async { "done" }),
        ioloop.spawn(async { panic!("oops") }),
        ioloop.spawn(async { std::future::pending().await }),
    ];
    tasks[2].abort();
    for task in tasks {
        let (log, stop) = (log.clone(), ioloop.clone());
        ioloop.add_future(task, move |result| {
            log.push(match result {
                Ok(text) => text.to_owned(),
                Err(error) => error.to_string(),
            });
            if log.len() == 3 {
                stop.stop();
            }
        });
    }
    start(&ioloop);
    assert_eq!(log.take(), ["done", "the task panicked: oops", "the task was cancelled"]);
}

#[test]
fn panic_of_a_future_or_of_its_callback_is_reported_with_the_line_that_added_it() {
    let ioloop = new_loop();
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push((report.kind(), report.location().line())));
    let (dropped, guard) = common::drop_flag();
    let first = line!() + 1;
    ioloop.add_future(async { panic!("in the future") }, move |()| drop(guard));
    let second = line!() + 1;
    ioloop.add_future(async {}, |()| panic!("in the callback"));
    common::run(&ioloop, common::turns(3));
    assert_eq!(reports.take(), [(WorkKind::Task, first), (WorkKind::Callback, second)]);
    assert!(dropped.get(), "the callback of a future that panics is dropped");
}

#[test]
fn future_that_nobody_completes_does_not_keep_its_loop_alive() {
    let ioloop = new_loop();
    let (dropped, guard) = common::drop_flag();
    ioloop.add_future(std::future::pending::<()>(), move |()| drop(guard));
    common::run(&ioloop, common::turns(2));
    drop(ioloop);
    assert!(dropped.get());
}
