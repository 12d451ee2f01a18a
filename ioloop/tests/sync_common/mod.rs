//! Futures polled by hand, so that a test decides who runs when.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A future with a task of its own, which runs only when the test says so.
pub(crate) struct Manual<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<F: Future> Manual<F> {
    pub(crate) fn new(future: F) -> Manual<F> {
        Manual { future: Box::pin(future), wakes: Arc::default() }
    }

    /// Polled once, and pending.
    #[track_caller]
    pub(crate) fn waiting(future: F) -> Manual<F> {
        let mut manual = Manual::new(future);
        assert!(manual.poll().is_pending(), "did not have to wait");
        manual
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.wakes.count() > 0
    }

    /// Ready now, and woken before if it has waited.
    #[track_caller]
    pub(crate) fn finish(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("still waits"),
        }
    }
}

thread_local! {
    static ON_WAKE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A waker that runs `on_wake` right inside of `wake`, once.
pub(crate) fn reentrant_waker(on_wake: impl FnOnce() + 'static) -> Waker {
    struct Reenter;
    impl Wake for Reenter {
        fn wake(self: Arc<Self>) {
            if let Some(on_wake) = ON_WAKE.take() {
                on_wake();
            }
        }
    }
    ON_WAKE.set(Some(Box::new(on_wake)));
    Waker::from(Arc::new(Reenter))
}
