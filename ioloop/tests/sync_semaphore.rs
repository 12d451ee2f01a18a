//! `sync::Semaphore` and `BoundedSemaphore`: the order of permits, and none lost.

mod sync_common;

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use ioloop::{
    IOLoop,
    sync::{Acquire, BoundedSemaphore, Permit, Semaphore},
    timeout,
};
use proptest::prelude::*;
use sync_common::Manual;

#[test]
fn permits_go_to_those_who_wait_in_their_order() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().expect("one is free");
    let mut first = Manual::waiting(semaphore.acquire());
    let mut second = Manual::waiting(semaphore.acquire());
    drop(held);
    assert!(first.is_woken() && !second.is_woken());
    let held = first.finish();
    drop(held);
    let _held = second.finish();
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_permit_handed_to_a_waiter_cannot_be_snatched_from_it() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().expect("one is free");
    let mut waiter = Manual::waiting(semaphore.acquire());
    drop(held);
    assert!(semaphore.try_acquire().is_none());
    let _later = Manual::waiting(semaphore.acquire());
    drop(waiter.finish());
}

#[test]
fn a_permit_passes_from_a_dropped_waiter_to_the_next() {
    let semaphore = Semaphore::new(0);
    let first = Manual::waiting(semaphore.acquire());
    let second = Manual::waiting(semaphore.acquire());
    semaphore.release();
    drop(first);
    assert!(second.is_woken());
    drop(second);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_waiter_that_timed_out_takes_no_permit() {
    IOLoop::current().run_sync(async {
        let semaphore = Semaphore::new(0);
        assert!(timeout(Duration::from_millis(2), semaphore.acquire()).await.is_err());
        semaphore.release();
        assert_eq!(semaphore.available(), 1);
        let _permit = timeout(Duration::from_secs(60), semaphore.acquire()).await.expect("one is free");
    });
}

#[test]
fn release_without_acquire_adds_a_permit() {
    let semaphore = Semaphore::new(1);
    semaphore.release();
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn a_forgotten_permit_is_given_back_by_release() {
    let semaphore = Semaphore::new(1);
    semaphore.try_acquire().expect("one is free").forget();
    assert_eq!(semaphore.available(), 0);
    semaphore.release();
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_bounded_semaphore_refuses_a_release_too_many() {
    let semaphore = BoundedSemaphore::new(1);
    drop(semaphore.try_acquire().expect("one is free"));
    assert!(catch_unwind(AssertUnwindSafe(|| semaphore.release())).is_err());
    assert_eq!(semaphore.available(), 1);

    // The permit was given back behind the back of its guard: the guard does not give it back again.
    let guard = semaphore.try_acquire().expect("one is free");
    semaphore.release();
    drop(guard);
    assert_eq!(semaphore.available(), 1);
}

#[derive(Debug, Clone)]
enum Step {
    TryAcquire,
    Acquire,
    Poll(prop::sample::Index),
    DropFuture(prop::sample::Index),
    DropPermit(prop::sample::Index),
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        1 => Just(Step::TryAcquire),
        3 => Just(Step::Acquire),
        3 => index().prop_map(Step::Poll),
        1 => index().prop_map(Step::DropFuture),
        2 => index().prop_map(Step::DropPermit),
        1 => Just(Step::Release),
    ]
}

/// Permits as a number, and those who wait as a list of names.
#[derive(Default)]
struct Model {
    free: usize,
    waiting: VecDeque<usize>,
    handed: Vec<usize>,
}

impl Model {
    fn take(&mut self) -> bool {
        let taken = self.free > 0;
        self.free -= usize::from(taken);
        taken
    }

    fn release(&mut self) {
        match self.waiting.pop_front() {
            Some(name) => self.handed.push(name),
            None => self.free += 1,
        }
    }

    fn leave(&mut self, name: usize) {
        self.waiting.retain(|other| *other != name);
        if self.collect(name) {
            self.release();
        }
    }

    fn collect(&mut self, name: usize) -> bool {
        let before = self.handed.len();
        self.handed.retain(|other| *other != name);
        self.handed.len() < before
    }
}

proptest! {
    #[test]
    fn behaves_like_a_number_and_a_list(permits in 0_usize..4, steps in prop::collection::vec(step(), 1..120)) {
        let semaphore = Semaphore::new(permits);
        let mut model = Model { free: permits, ..Model::default() };
        let mut held: Vec<Permit<'_>> = Vec::new();
        let mut futures: Vec<(usize, Manual<Acquire<'_>>)> = Vec::new();
        for (name, step) in steps.into_iter().enumerate() {
            match step {
                Step::TryAcquire => {
                    let permit = semaphore.try_acquire();
                    prop_assert_eq!(permit.is_some(), model.take());
                    held.extend(permit);
                }
                Step::Acquire => {
                    let mut future = Manual::new(semaphore.acquire());
                    match (future.poll(), model.take()) {
                        (std::task::Poll::Ready(permit), true) => held.push(permit),
                        (std::task::Poll::Pending, false) => {
                            model.waiting.push_back(name);
                            futures.push((name, future));
                        }
                        _ => prop_assert!(false, "acquired or not, unlike the model"),
                    }
                }
                Step::Poll(which) if !futures.is_empty() => {
                    let at = which.index(futures.len());
                    let polled = futures[at].1.poll();
                    prop_assert_eq!(polled.is_ready(), model.collect(futures[at].0));
                    if let std::task::Poll::Ready(permit) = polled {
                        held.push(permit);
                        futures.remove(at);
                    }
                }
                Step::DropFuture(which) if !futures.is_empty() => {
                    let (name, _future) = futures.remove(which.index(futures.len()));
                    model.leave(name);
                }
                Step::DropPermit(which) if !held.is_empty() => {
                    drop(held.remove(which.index(held.len())));
                    model.release();
                }
                Step::Release => {
                    semaphore.release();
                    model.release();
                }
                _ => {}
            }
            prop_assert_eq!(semaphore.available(), model.free);
            for (name, future) in &futures {
                prop_assert_eq!(future.is_woken(), model.handed.contains(name));
            }
        }
    }
}
