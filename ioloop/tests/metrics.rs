//! What a loop counts: [`Metrics`](ioloop::Metrics).

mod common;

use std::{cell::Cell, future::pending, io::Write, rc::Rc, time::Duration};

use common::{new_loop, pair, run, turns, virtual_loop};
use ioloop::{Deadline, IOLoop, Interest, Metrics, sleep, spawn, yield_now};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What `work` has added to the counters.
fn counted(ioloop: &IOLoop, work: impl FnOnce()) -> Metrics {
    let before = ioloop.metrics();
    work();
    let mut after = ioloop.metrics();
    after.turns -= before.turns;
    after.waits -= before.waits;
    after.events -= before.events;
    after.callbacks -= before.callbacks;
    after.polls -= before.polls;
    after.timers -= before.timers;
    after
}

#[test]
fn callbacks_polls_and_timers_are_counted_one_by_one() {
    let (ioloop, _world) = virtual_loop();
    let counted = counted(&ioloop, || {
        for _ in 0..3 {
            ioloop.add_callback(|| {});
        }
        ioloop.call_later(ms(1), || {});
        ioloop.spawn_detached(async {
            yield_now().await;
            sleep(ms(5)).await;
        });
        // Two polls of its own: the first, and one when its time has come.
        ioloop.run_sync(async { sleep(ms(10)).await });
    });
    assert_eq!(counted.callbacks, 3);
    assert_eq!(counted.timers, 3);
    assert_eq!(counted.polls, 3 + 2);
}

#[test]
fn panics_count_as_work_done() {
    let ioloop = new_loop();
    ioloop.on_callback_exception(|_| {});
    let counted = counted(&ioloop, || {
        ioloop.add_callback(|| panic!("a callback"));
        ioloop.spawn_detached(async { panic!("a task") });
        run(&ioloop, turns(1));
    });
    assert_eq!(counted.callbacks, 1);
    assert!(counted.polls >= 1);
}

#[test]
fn events_are_counted_as_the_poller_reports_them() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    // Nobody reads: level-triggered, it is reported by every wait.
    ioloop.add_handler(ours, Interest::READABLE, move |_| count.set(count.get() + 1)).unwrap();
    let counted = counted(&ioloop, || run(&ioloop, turns(5)));
    assert_eq!(counted.events, calls.get());
    assert_eq!(counted.waits, calls.get());
    assert!(counted.turns >= counted.waits, "every whole turn is a turn");
}

#[test]
fn turns_without_a_look_outside_are_turns_but_no_waits() {
    let (ioloop, _world) = virtual_loop();
    let counted = counted(&ioloop, || {
        ioloop.run_sync(async {
            for _ in 0..100 {
                yield_now().await;
            }
        });
    });
    assert_eq!((counted.turns, counted.waits), (100, 50));
}

#[test]
fn gauges_show_what_is_there_now() {
    let ioloop = new_loop();
    let empty = ioloop.metrics();
    assert_eq!((empty.live_tasks, empty.live_timers, empty.queued), (0, 0, 0));
    let (ours, _theirs) = pair();
    let token = ioloop.add_handler(ours, Interest::READABLE, |_| {}).unwrap();
    ioloop.spawn_detached(pending());
    let timer = ioloop.call_later(ms(60_000), || {});
    ioloop.add_callback(|| {});
    let full = ioloop.metrics();
    assert_eq!((full.live_tasks, full.live_timers, full.queued), (1, 1, 2));
    assert_eq!(full.descriptors, empty.descriptors + 1);
    ioloop.remove_timeout(timer);
    ioloop.remove_handler(token);
    ioloop.close();
    let closed = ioloop.metrics();
    assert_eq!((closed.live_tasks, closed.live_timers, closed.queued), (0, 0, 0));
}

#[test]
fn task_that_is_over_is_not_alive_while_its_handle_keeps_the_result() {
    let ioloop = new_loop();
    let task = ioloop.spawn(async { 7 });
    run(&ioloop, turns(1));
    assert!(task.is_finished());
    assert_eq!(ioloop.metrics().live_tasks, 0);
    assert_eq!(ioloop.run_sync(task).unwrap(), 7);
    assert_eq!(ioloop.metrics().live_tasks, 0);
}

#[test]
fn longest_turn_is_the_longest_time_without_a_look_at_events() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        world.skip(ms(30));
        sleep(ms(1)).await;
        world.skip(ms(70));
        sleep(ms(1)).await;
        world.skip(ms(50));
        sleep(ms(1)).await;
    });
    assert_eq!(ioloop.metrics().longest_turn, ms(70));
    ioloop.reset_peaks();
    ioloop.run_sync(async {
        world.skip(ms(20));
        sleep(ms(1)).await;
    });
    assert_eq!(ioloop.metrics().longest_turn, ms(20));
}

#[test]
fn time_while_the_loop_does_not_run_or_sleeps_is_no_turn() {
    let (ioloop, world) = virtual_loop();
    world.skip(ms(500));
    ioloop.run_sync(async { sleep(ms(3_000)).await });
    world.skip(ms(500));
    ioloop.run_sync(turns(1));
    assert_eq!(ioloop.metrics().longest_turn, Duration::ZERO);
}

#[test]
fn lag_is_how_late_timers_fire() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        sleep(ms(10)).await;
        assert_eq!(IOLoop::current().metrics().lag, Duration::ZERO, "in time");
        let late = spawn(sleep(ms(10)));
        yield_now().await;
        world.skip(ms(25));
        late.await.unwrap();
        assert_eq!(IOLoop::current().metrics().lag, ms(15));
        sleep(ms(10)).await;
    });
    let metrics = ioloop.metrics();
    assert_eq!((metrics.lag, metrics.longest_lag), (Duration::ZERO, ms(15)));
    ioloop.reset_peaks();
    assert_eq!(ioloop.metrics().longest_lag, Duration::ZERO);
}

/// Before its first wait a loop has no turn whose time it could go by.
#[test]
fn deadline_set_before_the_first_wait_counts_from_there() {
    let (ioloop, world) = virtual_loop();
    world.skip(ms(10_000));
    ioloop.run_sync(async {
        let deadline = Deadline::new();
        deadline.set_after(ms(5_000));
        turns(1).await;
        assert!(!deadline.is_expired());
    });
}
