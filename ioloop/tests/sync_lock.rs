//! `sync::Lock`: one at a time, in order.

mod sync_common;

use std::{cell::RefCell, rc::Rc, time::Duration};

use ioloop::{IOLoop, spawn, sync::Lock, timeout, yield_now};
use sync_common::{Manual, reentrant_waker};

#[test]
fn one_holds_the_lock_and_the_others_follow_in_their_order() {
    let lock = Lock::new(vec![0]);
    let mut held = lock.try_lock().expect("nobody holds it");
    let mut first = Manual::waiting(lock.lock());
    let mut second = Manual::waiting(lock.lock());
    held.push(1);
    drop(held);
    assert!(first.is_woken() && !second.is_woken());
    assert!(lock.try_lock().is_none(), "it has been given to the first");
    let mut held = first.finish();
    held.push(2);
    drop(held);
    assert_eq!(*second.finish(), [0, 1, 2]);
}

#[test]
fn the_value_stays_as_it_is_over_an_await() {
    IOLoop::current().run_sync(async {
        let lock = Rc::new(Lock::new(0));
        let add = |lock: Rc<Lock<i32>>| async move {
            let mut value = lock.lock().await;
            let before = *value;
            yield_now().await;
            *value = before + 1;
        };
        let tasks: Vec<_> = (0..10).map(|_| spawn(add(Rc::clone(&lock)))).collect();
        for task in tasks {
            task.await.expect("the task does not panic");
        }
        assert_eq!(*lock.lock().await, 10);
    });
}

#[test]
fn a_lock_passes_from_a_dropped_waiter_to_the_next() {
    let lock: Lock = Lock::default();
    let held = lock.try_lock();
    let first = Manual::waiting(lock.lock());
    let second = Manual::waiting(lock.lock());
    drop(held);
    drop(first);
    assert!(second.is_woken());
    drop(second);
    assert!(!lock.is_locked());
}

#[test]
fn a_waiter_that_timed_out_does_not_get_the_lock() {
    IOLoop::current().run_sync(async {
        let lock = Lock::new(());
        let held = lock.lock().await;
        assert!(timeout(Duration::from_millis(2), lock.lock()).await.is_err());
        drop(held);
        assert!(!lock.is_locked());
    });
}

#[test]
fn a_task_that_panics_releases_the_lock() {
    let ioloop = IOLoop::current();
    ioloop.on_callback_exception(|_| {});
    ioloop.run_sync(async {
        let lock = Rc::new(Lock::new(0));
        let inner = Rc::clone(&lock);
        let panics = spawn(async move {
            *inner.lock().await = 1;
            let _held = inner.lock().await;
            panic!("while the lock is held");
        });
        assert!(panics.await.is_err());
        assert_eq!(*lock.lock().await, 1);
    });
}

#[test]
fn who_is_woken_by_the_release_may_look_at_the_value_at_once() {
    let lock = Rc::new(Lock::new(7));
    let seen = Rc::new(RefCell::new(None));
    let waker = reentrant_waker({
        let (lock, seen) = (Rc::clone(&lock), Rc::clone(&seen));
        move || *seen.borrow_mut() = Some(lock.is_locked())
    });
    let held = lock.try_lock().expect("nobody holds it");
    let mut waiter = Manual::new(lock.lock());
    assert!(waiter.poll_with(&waker).is_pending());
    drop(held);
    assert_eq!(*seen.borrow(), Some(true));
    assert_eq!(*waiter.finish(), 7);
}

#[test]
fn get_mut_and_into_inner_need_no_locking() {
    let mut lock = Lock::new(String::from("a"));
    lock.get_mut().push('b');
    assert_eq!(lock.into_inner(), "ab");
}
