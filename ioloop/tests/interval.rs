//! `interval`: regular ticks for a task.

mod common;

use std::time::Duration;

use common::{Log, poll_once, turns, virtual_loop};
use ioloop::{interval, sleep, spawn};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn ticks_come_every_period_and_tell_when_they_were_due() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        let begin = ioloop.time();
        let mut ticks = interval(s(10));
        assert_eq!(ticks.period(), s(10));
        for number in 1..=3 {
            assert_eq!(ticks.tick().await, begin + s(10) * number);
            assert_eq!(world.elapsed(), s(10) * number);
        }
    });
}

#[test]
fn slots_missed_are_skipped_and_the_phase_is_kept() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        let begin = ioloop.time();
        let mut ticks = interval(s(10));
        let mut seen = Vec::new();
        for busy in [0, 9, 15, 35, 0, 0] {
            let due = ticks.tick().await;
            seen.push((world.elapsed().as_secs(), (due - begin).as_secs()));
            world.skip(s(busy));
            turns(1).await;
        }
        // The third call takes until 45, so its next tick is due at 40 and comes at 45; the fourth until 80, and 60, 70
        // and 80 are skipped.
        assert_eq!(seen, [(10, 10), (20, 20), (30, 30), (45, 40), (80, 50), (90, 90)]);
    });
}

#[test]
fn tick_given_up_is_not_lost() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        let mut ticks = interval(s(10));
        assert!(poll_once(ticks.tick()).is_pending());
        sleep(s(12)).await;
        ticks.tick().await;
        assert_eq!(world.elapsed(), s(12), "at once");
        ticks.tick().await;
        assert_eq!(world.elapsed(), s(20));
    });
}

#[test]
fn reset_begins_a_new_phase() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        let mut ticks = interval(s(10));
        sleep(s(4)).await;
        ticks.reset();
        ticks.tick().await;
        assert_eq!(world.elapsed(), s(14));
    });
}

#[test]
fn ticks_of_two_tasks_interleave() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    for period in [2, 3] {
        let (log, world) = (log.clone(), std::rc::Rc::clone(&world));
        ioloop.add_callback(move || {
            spawn(async move {
                let mut ticks = interval(s(period));
                loop {
                    ticks.tick().await;
                    log.push((world.elapsed().as_secs(), period));
                }
            });
        });
    }
    ioloop.run_sync(async {
        turns(2).await;
        sleep(s(7)).await;
    });
    // At 6 the ticker of 3 comes first: its tick was set at 3, the other's at 4.
    assert_eq!(log.take(), [(2, 2), (3, 3), (4, 2), (6, 3), (6, 2)]);
}

#[test]
#[should_panic(expected = "above zero")]
fn period_of_zero_is_refused() {
    let _ = interval(Duration::ZERO);
}

#[test]
fn period_beyond_all_time_never_ticks() {
    let (ioloop, _world) = virtual_loop();
    ioloop.run_sync(async {
        let mut ticks = interval(Duration::MAX);
        sleep(s(1_000_000)).await;
        assert!(poll_once(ticks.tick()).is_pending());
    });
}
