//! `sync::Event`: set, clear, and those who wait.

mod sync_common;

use std::{rc::Rc, time::Duration};

use ioloop::{IOLoop, sync::Event, timeout};
use sync_common::{Manual, reentrant_waker};

#[test]
fn set_lets_everybody_through_who_waits() {
    let event = Event::new();
    let mut waiters: Vec<_> = (0..5).map(|_| Manual::waiting(event.wait())).collect();
    event.set();
    for waiter in &mut waiters {
        assert!(waiter.is_woken());
        waiter.finish();
    }
}

#[test]
fn waiting_for_an_event_that_is_set_is_immediate() {
    let event = Event::default();
    event.set();
    assert!(event.is_set());
    Manual::new(event.wait()).finish();
}

#[test]
fn clear_makes_those_wait_who_come_later_and_nobody_else() {
    let event = Event::new();
    let mut early = Manual::waiting(event.wait());
    event.set();
    event.clear();
    assert!(!event.is_set());
    let late = Manual::waiting(event.wait());
    early.finish();
    assert!(!late.is_woken());
}

#[test]
fn setting_it_twice_wakes_once() {
    let event = Event::new();
    let mut waiter = Manual::waiting(event.wait());
    event.set();
    waiter.finish();
    let again = Manual::new(event.wait());
    event.set();
    assert!(!again.is_woken());
}

#[test]
fn a_waiter_that_timed_out_is_forgotten() {
    IOLoop::current().run_sync(async {
        let event = Event::new();
        assert!(timeout(Duration::from_millis(2), event.wait()).await.is_err());
        event.set();
        assert!(timeout(Duration::from_secs(60), event.wait()).await.is_ok());
    });
}

#[test]
fn a_waker_may_use_the_event_it_is_woken_by() {
    let event = Rc::new(Event::new());
    let inner = Rc::clone(&event);
    let mut first = Manual::new(event.wait());
    let waker = reentrant_waker(move || {
        inner.clear();
        // Joins the line that is being woken, and must not be taken for one of it.
        let late = Manual::waiting(inner.wait());
        inner.set();
        assert!(late.is_woken());
        inner.clear();
    });
    assert!(first.poll_with(&waker).is_pending());
    let second = Manual::waiting(event.wait());
    event.set();
    assert!(second.is_woken());
    assert!(!event.is_set());
}
