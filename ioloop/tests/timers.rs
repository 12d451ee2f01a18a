//! `call_later`, `call_at`, `remove_timeout`.

mod common;

use std::{
    cell::{Cell, RefCell},
    io::Write,
    rc::Rc,
    time::Duration,
};

use common::{Log, drop_flag, new_loop, pair, run, turns, virtual_loop};
use ioloop::{IOLoop, Interest, TimeoutHandle};
use proptest::prelude::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn timer_fires_at_its_deadline_after_a_single_sleep() {
    let (ioloop, world) = virtual_loop();
    let stop = ioloop.clone();
    ioloop.call_later(Duration::from_nanos(1_234_567), move || stop.stop());
    ioloop.start();
    assert_eq!(world.elapsed(), Duration::from_nanos(1_234_567));
    assert_eq!(world.turn(), 1);
}

#[test]
fn equal_deadlines_fire_in_the_order_of_the_calls() {
    let (ioloop, _world) = virtual_loop();
    let log = Log::new();
    let when = ioloop.turn_time() + ms(5);
    for number in 0..50 {
        let log = log.clone();
        if number % 2 == 0 {
            ioloop.call_at(when, move || log.push(number));
        } else {
            ioloop.call_later(ms(5), move || log.push(number));
        }
    }
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(6)));
    assert_eq!(log.take(), (0..50).collect::<Vec<_>>());
}

/// Sleeps on a loop that is not yet the current one.
async fn ioloop_sleep(ioloop: &IOLoop, duration: Duration) {
    let when = ioloop.time() + duration;
    ioloop::sleep_until(when).await;
}

#[test]
fn earlier_deadlines_fire_first_whatever_the_order_of_the_calls() {
    let (ioloop, _world) = virtual_loop();
    let log = Log::new();
    for delay in [30, 10, 50, 20, 40] {
        let log = log.clone();
        ioloop.call_later(ms(delay), move || log.push(delay));
    }
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(60)));
    assert_eq!(log.take(), [10, 20, 30, 40, 50]);
}

#[test]
fn overdue_timers_fire_in_the_order_of_their_deadlines() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    for delay in [3, 1, 2] {
        let log = log.clone();
        ioloop.call_later(ms(delay), move || log.push(delay));
    }
    world.skip(ms(1000));
    ioloop.run_sync(turns(1));
    assert_eq!(log.take(), [1, 2, 3]);
}

#[test]
fn deadline_in_the_past_fires_in_the_next_turn_behind_those_already_due() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    let start = ioloop.time();
    ioloop.run_sync(async {
        world.skip(ms(1000));
        turns(1).await;
        for (name, when) in [("now", ms(1000)), ("past", ms(500)), ("before the loop", ms(0))] {
            let log = log.clone();
            ioloop.call_at(start + when, move || log.push(name));
        }
        turns(1).await;
    });
    assert_eq!(log.take(), ["now", "past", "before the loop"]);
    assert_eq!(world.elapsed(), ms(1000));
}

#[test]
fn instant_before_the_beginning_of_the_loop_counts_as_now() {
    let before = std::time::Instant::now();
    let ioloop = new_loop();
    let (fired, guard) = drop_flag();
    ioloop.call_at(before, move || drop(guard));
    run(&ioloop, turns(1));
    assert!(fired.get());
}

#[test]
fn cancelled_timer_does_not_fire_and_drops_its_callback() {
    let (ioloop, _world) = virtual_loop();
    let (dropped, guard) = drop_flag();
    let timer = ioloop.call_later(ms(1), move || {
        let _guard = &guard;
        unreachable!("cancelled");
    });
    assert!(ioloop.remove_timeout(timer));
    assert!(dropped.get());
    assert!(!ioloop.remove_timeout(timer), "a second time finds nothing");
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(5)));
}

#[test]
fn timer_may_cancel_another_one_of_the_same_turn() {
    let (ioloop, _world) = virtual_loop();
    let log = Log::new();
    let second: Rc<Cell<Option<TimeoutHandle>>> = Rc::default();
    let (first_log, cancel, victim) = (log.clone(), ioloop.clone(), Rc::clone(&second));
    ioloop.call_at(ioloop.turn_time() + ms(1), move || {
        first_log.push("first");
        assert!(cancel.remove_timeout(victim.get().unwrap()));
    });
    let second_log = log.clone();
    second.set(Some(ioloop.call_at(ioloop.turn_time() + ms(1), move || second_log.push("second"))));
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(5)));
    assert_eq!(log.take(), ["first"]);
}

#[test]
fn cancelling_after_the_timer_fired_is_harmless_even_when_its_place_is_taken() {
    let (ioloop, _world) = virtual_loop();
    let fired = Rc::new(Cell::new(0));
    let count = Rc::clone(&fired);
    let old = ioloop.call_later(ms(1), move || count.set(count.get() + 1));
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(2)));
    assert!(!ioloop.remove_timeout(old));
    let count = Rc::clone(&fired);
    ioloop.call_later(ms(1), move || count.set(count.get() + 1));
    assert!(!ioloop.remove_timeout(old));
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(2)));
    assert_eq!(fired.get(), 2);
}

#[test]
fn timer_that_cancels_itself_finds_nothing() {
    let (ioloop, _world) = virtual_loop();
    let handle: Rc<Cell<Option<TimeoutHandle>>> = Rc::default();
    let result = Rc::new(Cell::new(None));
    let (cancel, own, said) = (ioloop.clone(), Rc::clone(&handle), Rc::clone(&result));
    handle.set(Some(ioloop.call_later(ms(1), move || {
        said.set(Some(cancel.remove_timeout(own.get().unwrap())));
    })));
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(2)));
    assert_eq!(result.get(), Some(false));
}

#[test]
fn timer_that_sets_itself_again_for_now_fires_once_per_turn() {
    fn again(ioloop: &IOLoop, fired: Rc<Cell<usize>>) {
        let next = ioloop.clone();
        ioloop.call_later(Duration::ZERO, move || {
            fired.set(fired.get() + 1);
            again(&next, fired);
        });
    }
    let (ioloop, world) = virtual_loop();
    let fired = Rc::new(Cell::new(0));
    again(&ioloop, Rc::clone(&fired));
    ioloop.run_sync(turns(10));
    assert!((10..=world.turn()).contains(&fired.get()), "{}", fired.get());
}

#[test]
fn pile_of_overdue_timers_fires_in_one_turn_and_lets_events_through_in_the_same() {
    let (ioloop, world) = virtual_loop();
    let fired = Rc::new(Cell::new(0));
    for _ in 0..10_000 {
        let fired = Rc::clone(&fired);
        ioloop.call_later(ms(1), move || fired.set(fired.get() + 1));
    }
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    world.skip(ms(10));
    let (stop, time, handled) = (ioloop.clone(), Rc::clone(&world), Rc::new(Cell::new(0)));
    let noted = Rc::clone(&handled);
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            noted.set(time.turn());
            stop.stop();
        })
        .unwrap();
    ioloop.start();
    assert_eq!((fired.get(), handled.get(), world.turn()), (10_000, 1, 1));
}

#[test]
fn timer_beyond_all_time_never_fires_and_can_be_cancelled() {
    let (ioloop, world) = virtual_loop();
    let (dropped, guard) = drop_flag();
    let never = ioloop.call_later(Duration::MAX, move || {
        let _guard = &guard;
        unreachable!("for ever is not over");
    });
    ioloop.run_sync(ioloop_sleep(&ioloop, Duration::from_secs(100 * 365 * 24 * 3600)));
    assert_eq!(world.turn(), 1);
    assert!(ioloop.remove_timeout(never));
    assert!(dropped.get());
}

#[test]
fn thousands_of_timers_set_and_cancelled_leave_the_others_alone() {
    let (ioloop, _world) = virtual_loop();
    let log = Log::new();
    for number in 0..2_000 {
        if number % 200 == 0 {
            let log = log.clone();
            ioloop.call_later(ms(10), move || log.push(number));
        }
        let timer = ioloop.call_later(ms(3_600_000), || unreachable!("cancelled"));
        assert!(ioloop.remove_timeout(timer));
    }
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(11)));
    assert_eq!(log.take(), (0..10).map(|n| n * 200).collect::<Vec<_>>());
}

#[test]
fn long_callback_does_not_make_a_later_timer_fire_twice_or_early() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    let (time, first) = (Rc::clone(&world), log.clone());
    ioloop.call_later(ms(1), move || {
        first.push(time.elapsed());
        time.skip(ms(100));
    });
    let (time, second) = (Rc::clone(&world), log.clone());
    ioloop.call_later(ms(50), move || second.push(time.elapsed()));
    ioloop.run_sync(ioloop_sleep(&ioloop, ms(200)));
    assert_eq!(log.take(), [ms(1), ms(101)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The model: a list sorted by deadline, then by the order of the calls, without what was cancelled in time.
    #[test]
    fn timers_fire_at_their_deadline_in_order_unless_cancelled_before(
        timers in prop::collection::vec((0u64..40, prop::option::of(0u64..40)), 1..60)
    ) {
        let (ioloop, world) = virtual_loop();
        let fired = Rc::new(RefCell::new(Vec::new()));
        let mut expected = Vec::new();
        for (id, (delay, cancel_at)) in timers.iter().copied().enumerate() {
            let (log, time) = (Rc::clone(&fired), Rc::clone(&world));
            let timer = ioloop.call_later(ms(delay), move || log.borrow_mut().push((time.elapsed(), id)));
            let Some(cancel_at) = cancel_at else {
                expected.push((ms(delay), id));
                continue;
            };
            let cancel = ioloop.clone();
            ioloop.call_later(ms(cancel_at), move || { cancel.remove_timeout(timer); });
            // Equal deadlines: the timer was set first, so it fires before it is cancelled.
            if delay <= cancel_at {
                expected.push((ms(delay), id));
            }
        }
        expected.sort_unstable();
        ioloop.run_sync(ioloop_sleep(&ioloop, ms(50)));
        prop_assert_eq!(fired.take(), expected);
    }
}
