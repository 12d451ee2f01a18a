//! `sync::Condition`: who is notified, and what becomes of a notification nobody takes.

mod sync_common;

use std::{cell::RefCell, future::poll_fn, rc::Rc, time::Duration};

use ioloop::{
    IOLoop, spawn,
    sync::{Condition, ConditionPlace},
    timeout, yield_now,
};
use sync_common::{Manual, reentrant_waker};

fn woken<F: Future>(waiters: &[Manual<F>]) -> Vec<bool> {
    waiters.iter().map(Manual::is_woken).collect()
}

#[test]
fn notify_wakes_the_oldest_and_as_many_as_asked_for() {
    let condition = Condition::new();
    let waiters: Vec<_> = (0..5).map(|_| Manual::waiting(condition.wait())).collect();
    condition.notify(2);
    assert_eq!(woken(&waiters), [true, true, false, false, false]);
    condition.notify_one();
    assert_eq!(woken(&waiters), [true, true, true, false, false]);
    condition.notify(100);
    assert_eq!(woken(&waiters), [true; 5]);
}

#[test]
fn a_notification_is_not_kept_for_those_who_come_later() {
    let condition = Condition::default();
    condition.notify_all();
    condition.notify(3);
    let _waits = Manual::waiting(condition.wait());
}

#[test]
fn the_place_in_line_is_taken_by_the_call() {
    let condition = Condition::new();
    let mut called = Manual::new(condition.wait());
    let polled = Manual::waiting(condition.wait());
    condition.notify_one();
    assert!(!polled.is_woken());
    called.finish();
}

#[test]
fn waiters_that_timed_out_do_not_consume_notifications() {
    IOLoop::current().run_sync(async {
        let condition = Rc::new(Condition::new());
        let order = Rc::new(RefCell::new(Vec::new()));
        let wait = |name: &'static str, limit: Duration| {
            let (condition, order) = (Rc::clone(&condition), Rc::clone(&order));
            spawn(async move {
                let name = if timeout(limit, condition.wait()).await.is_ok() { name } else { "timed out" };
                order.borrow_mut().push(name);
            })
        };
        let tasks = [
            wait("first", Duration::from_secs(60)),
            wait("second", Duration::from_millis(2)),
            wait("third", Duration::from_secs(60)),
        ];
        while order.borrow().is_empty() {
            yield_now().await;
        }
        assert_eq!(condition.waiting(), 2);
        condition.notify(2);
        for task in tasks {
            task.await.expect("the task does not panic");
        }
        assert_eq!(*order.borrow(), ["timed out", "first", "third"]);
    });
}

#[test]
fn a_notification_passes_from_a_dropped_waiter_to_the_next() {
    let condition = Condition::new();
    let first = Manual::waiting(condition.wait());
    let second = Manual::waiting(condition.wait());
    let mut third = Manual::waiting(condition.wait());
    condition.notify_one();
    drop(first);
    assert!(second.is_woken());
    drop(second);
    assert!(third.is_woken());
    third.finish();
    drop(third);
    // The third has used it up.
    let fourth = Manual::waiting(condition.wait());
    assert!(!fourth.is_woken());
}

#[test]
fn a_notification_of_all_does_not_pass_to_those_who_come_later() {
    let condition = Condition::new();
    let early = Manual::waiting(condition.wait());
    condition.notify_all();
    let late = Manual::waiting(condition.wait());
    drop(early);
    assert!(!late.is_woken());
}

#[test]
fn those_who_join_while_others_are_woken_wait_for_the_next_notification() {
    let condition = Rc::new(Condition::new());
    let inner = Rc::clone(&condition);
    let mut first = Manual::new(condition.wait());
    let waker = reentrant_waker(move || std::mem::forget(inner.wait()));
    assert!(first.poll_with(&waker).is_pending());
    let second = Manual::waiting(condition.wait());
    condition.notify(3);
    assert!(second.is_woken());
    assert_eq!(condition.waiting(), 1);
}

#[test]
fn a_place_is_taken_by_the_first_poll_and_again_behind_each_notification() {
    let condition = Condition::new();
    let mut place = ConditionPlace::default();
    {
        let mut waits = Manual::new(poll_fn(|cx| condition.poll_wait(&mut place, cx)));
        assert_eq!(condition.waiting(), 0);
        assert!(waits.poll().is_pending());
        assert!(waits.poll().is_pending());
        assert_eq!(condition.waiting(), 1);
        condition.notify_one();
        assert!(waits.is_woken());
        waits.finish();
    }
    let mut again = Manual::new(poll_fn(|cx| condition.poll_wait(&mut place, cx)));
    assert!(again.poll().is_pending());
    assert_eq!(condition.waiting(), 1);
    condition.notify_all();
    again.finish();
}

#[test]
fn a_place_that_is_left_passes_its_notification_on() {
    let condition = Condition::new();
    let mut place = ConditionPlace::default();
    condition.leave(&mut place);
    assert!(Manual::new(poll_fn(|cx| condition.poll_wait(&mut place, cx))).poll().is_pending());
    let next = Manual::waiting(condition.wait());
    condition.notify_one();
    assert!(!next.is_woken());
    condition.leave(&mut place);
    assert!(next.is_woken());
    assert_eq!(condition.waiting(), 0);
}
