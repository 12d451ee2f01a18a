//! `sleep`, `timeout` and `Deadline`.

mod common;

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use common::{World, drop_flag, poll_once, turns, virtual_loop};
use ioloop::{Deadline, IOLoop, sleep, sleep_until, spawn, timeout};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn within<T>(body: impl AsyncFnOnce(&IOLoop, &Rc<World>) -> T) -> T {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(body(&ioloop, &world))
}

async fn expiry(deadline: &Deadline) {
    poll_fn(|cx| deadline.poll_expired(cx)).await;
}

#[test]
fn sleep_lasts_exactly_as_long_as_asked() {
    within(async |ioloop, world| {
        let start = ioloop.time();
        sleep(ms(7)).await;
        assert_eq!(world.elapsed(), ms(7));
        sleep_until(start + ms(10)).await;
        assert_eq!(world.elapsed(), ms(10));
        sleep(Duration::ZERO).await;
        sleep_until(start).await;
        assert_eq!(world.elapsed(), ms(10));
    });
}

#[test]
fn sleep_counts_from_the_call_not_from_the_turn() {
    within(async |_, world| {
        world.skip(ms(100));
        sleep(ms(5)).await;
        assert_eq!(world.elapsed(), ms(105));
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    within(async |_, _| {
        let log = common::Log::new();
        for delay in [30, 10, 20] {
            let log = log.clone();
            spawn(async move {
                sleep(ms(delay)).await;
                log.push(delay);
            });
        }
        sleep(ms(40)).await;
        assert_eq!(log.take(), [10, 20, 30]);
    });
}

#[test]
fn dropped_sleep_leaves_nothing_to_wake_the_loop() {
    within(async |_, world| {
        for _ in 0..1_000 {
            assert!(poll_once(sleep(ms(1))).is_pending());
        }
        let before = world.turn();
        sleep(ms(10)).await;
        assert_eq!(world.turn(), before + 1);
    });
}

#[test]
fn timeout_gives_the_result_or_the_error_and_drops_the_future() {
    within(async |_, world| {
        let in_time = timeout(ms(10), async {
            sleep(ms(9)).await;
            "in time"
        });
        assert_eq!(in_time.await.unwrap(), "in time");
        let (dropped, guard) = drop_flag();
        let late = timeout(ms(10), async move {
            let _guard = guard;
            pending::<()>().await;
        });
        assert!(late.await.unwrap_err().is_timed_out());
        assert!(dropped.get());
        assert_eq!(world.elapsed(), ms(19));
    });
}

#[test]
fn result_that_is_there_at_the_last_moment_wins_over_the_timeout() {
    within(async |_, world| {
        world.skip(ms(50));
        let both = timeout(Duration::ZERO, async { 1 });
        turns(2).await;
        assert_eq!(both.await.unwrap(), 1);
    });
}

#[test]
fn new_deadline_is_not_set_and_never_expires() {
    within(async |_, _| {
        let deadline = Deadline::new();
        assert!(!deadline.is_expired());
        assert!(timeout(ms(1_000_000), expiry(&deadline)).await.is_err());
    });
}

#[test]
fn deadline_moved_to_later_expires_then_and_not_before() {
    within(async |_, world| {
        let deadline = Deadline::new();
        deadline.set_after(ms(10));
        let moved = Rc::new(deadline);
        let mover = Rc::clone(&moved);
        spawn(async move {
            for _ in 0..5 {
                sleep(ms(8)).await;
                mover.set_after(ms(10));
            }
        });
        expiry(&moved).await;
        assert_eq!(world.elapsed(), ms(50));
        assert!(moved.is_expired());
    });
}

#[test]
fn deadline_moved_to_earlier_expires_then() {
    within(async |_, world| {
        let deadline = Rc::new(Deadline::new());
        deadline.set_after(ms(100));
        let mover = Rc::clone(&deadline);
        spawn(async move {
            sleep(ms(5)).await;
            mover.set_after(ms(10));
        });
        expiry(&deadline).await;
        assert_eq!(world.elapsed(), ms(15));
    });
}

#[test]
fn deadline_set_while_somebody_waits_wakes_him() {
    within(async |ioloop, world| {
        let deadline = Rc::new(Deadline::new());
        let setter = Rc::clone(&deadline);
        let start = ioloop.time();
        spawn(async move {
            sleep(ms(5)).await;
            setter.set(start + ms(20));
        });
        expiry(&deadline).await;
        assert_eq!(world.elapsed(), ms(20));
    });
}

#[test]
fn deadline_in_the_past_is_expired_at_once_and_wakes_whoever_waits() {
    within(async |ioloop, world| {
        let start = ioloop.time();
        let deadline = Rc::new(Deadline::new());
        let waiting = Rc::clone(&deadline);
        let waiter = spawn(async move { expiry(&waiting).await });
        turns(2).await;
        world.skip(ms(50));
        deadline.set(start);
        assert!(deadline.is_expired());
        waiter.await.unwrap();
        assert_eq!(world.elapsed(), ms(50));
    });
}

#[test]
fn cleared_deadline_does_not_expire_until_it_is_set_again() {
    within(async |_, world| {
        let deadline = Deadline::new();
        deadline.set_after(ms(10));
        deadline.clear();
        assert!(timeout(ms(100), expiry(&deadline)).await.is_err());
        deadline.set_after(ms(10));
        expiry(&deadline).await;
        assert_eq!(world.elapsed(), ms(110));
    });
}

#[test]
fn expired_deadline_stays_expired_until_it_is_moved() {
    within(async |_, world| {
        let deadline = Deadline::default();
        deadline.set_after(ms(10));
        sleep(ms(20)).await;
        assert!(deadline.is_expired());
        expiry(&deadline).await;
        deadline.set_after(ms(10));
        assert!(!deadline.is_expired());
        expiry(&deadline).await;
        assert_eq!(world.elapsed(), ms(30));
    });
}

#[test]
fn last_task_that_waits_for_a_deadline_is_the_one_woken() {
    within(async |_, _| {
        let deadline = Rc::new(Deadline::new());
        deadline.set_after(ms(10));
        let polls = [(); 2].map(|()| Rc::new(Cell::new(0)));
        let tasks = polls.clone().map(|polls| {
            let deadline = Rc::clone(&deadline);
            spawn(poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                deadline.poll_expired(cx)
            }))
        });
        sleep(ms(20)).await;
        assert_eq!(polls.map(|polls| polls.get()), [1, 2]);
        assert!(tasks[1].is_finished());
        tasks[0].abort();
    });
}

#[test]
fn set_after_counts_from_the_beginning_of_the_turn() {
    within(async |_, world| {
        turns(1).await;
        world.skip(ms(100));
        let deadline = Deadline::new();
        deadline.set_after(ms(30));
        assert!(!deadline.is_expired(), "the turn's time stands still");
        turns(1).await;
        assert!(deadline.is_expired());
    });
}

#[test]
fn many_deadlines_made_dropped_and_moved_do_not_disturb_each_other() {
    within(async |_, world| {
        let kept: Vec<_> = (1..=100u64)
            .map(|number| {
                for _ in 0..20 {
                    let dropped = Deadline::new();
                    dropped.set_after(ms(1));
                }
                let deadline = Deadline::new();
                deadline.set_after(ms(1000));
                deadline.set_after(ms(number));
                deadline
            })
            .collect();
        for (number, deadline) in (1..=100u64).zip(&kept) {
            expiry(deadline).await;
            assert_eq!(world.elapsed(), ms(number));
        }
        assert!(kept.iter().all(Deadline::is_expired));
    });
}

#[test]
fn waiting_for_an_unset_deadline_does_not_turn_the_loop() {
    within(async |_, world| {
        let deadline = Deadline::new();
        let before = world.turn();
        let result = timeout(ms(100), poll_fn(|cx| -> Poll<()> { deadline.poll_expired(cx) })).await;
        assert!(result.is_err());
        assert_eq!(world.turn(), before + 1);
    });
}
