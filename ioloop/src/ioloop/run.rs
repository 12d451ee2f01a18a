//! The loop at work: `start`, `stop`, `run_sync`.

use std::{
    future::Future,
    panic::Location,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{IOLoop, Root, RunGuard};
use crate::{Error, Result, WorkKind, context, remote::TaskWaker, sleep, task::ROOT};

impl IOLoop {
    /// Runs the loop until [`stop`](IOLoop::stop). When `stop` was called before, returns at once; one call of `stop` ends
    /// one `start`. May be called again, and from a callback for another loop than the one that runs.
    ///
    /// # Panics
    ///
    /// When the loop is running already, and when the poller fails for a reason other than a signal.
    pub fn start(&self) {
        let _running = RunGuard::enter(self);
        let _detached = context::enter(None);
        while !self.inner.stopping.get() {
            self.turn();
        }
    }

    /// Ends [`start`](IOLoop::start) or [`run_sync`](IOLoop::run_sync) after the current turn, whose queued callbacks still
    /// run. What they add stays with the loop, for the next time that it runs. From other threads:
    /// [`LoopHandle::stop`](crate::LoopHandle::stop).
    pub fn stop(&self) {
        self.inner.stopping.set(true);
    }

    /// Runs the loop until `future` is done, and returns its result. The future need not be `'static`. What else was
    /// registered stays with the loop and goes on when it runs again. Costs one allocation, the future's waker.
    ///
    /// # Panics
    ///
    /// When the loop is running already, when it is stopped before the future is done (see
    /// [`try_run_sync`](IOLoop::try_run_sync)), and when the future panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use ioloop::{IOLoop, sleep};
    ///
    /// let name = String::from("world");
    /// let text = IOLoop::current().run_sync(async {
    ///     sleep(std::time::Duration::from_millis(1)).await;
    ///     format!("hello, {name}")
    /// });
    /// assert_eq!(text, "hello, world");
    /// ```
    #[track_caller]
    pub fn run_sync<F: Future>(&self, future: F) -> F::Output {
        self.try_run_sync(None, future).expect("the loop was stopped inside run_sync")
    }

    /// [`run_sync`](IOLoop::run_sync) with a time limit; `None` is no limit. On an error the future is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] after `limit`; [`Error::Stopped`] when [`stop`](IOLoop::stop) was called before the future was
    /// done.
    ///
    /// # Panics
    ///
    /// When the loop is running already, and when the future panics.
    #[track_caller]
    pub fn try_run_sync<F: Future>(&self, limit: Option<Duration>, future: F) -> Result<F::Output> {
        let location = Location::caller();
        // Declared first, dropped last: the future is also dropped while this loop is the current one.
        let _running = RunGuard::enter(self);
        let mut future = pin!(future);
        let mut limit = limit.map(sleep);
        let waker = Waker::from(TaskWaker::new(&self.inner.remote, ROOT));
        let mut cx = Context::from_waker(&waker);
        self.inner.root.set(Root::Ready);
        // The future belongs to the caller's context, and nothing else does. Declared behind the future, which is dropped
        // in the caller's context as well.
        let context = context::current();
        let _detached = context::enter(None);
        loop {
            if self.inner.root.get() == Root::Ready {
                self.inner.root.set(Root::Running);
                let entered = context.as_ref().map(|context| context::enter(Some(Rc::clone(context))));
                self.inner.counters.polls.add(1);
                self.inner.polled.prepare(ROOT);
                self.inner.polled.begin(&waker);
                let polled = self.watching(WorkKind::Task, location, || future.as_mut().poll(&mut cx));
                self.inner.polled.end();
                drop(entered);
                if let Poll::Ready(output) = polled {
                    return Ok(output);
                }
                if limit.as_mut().is_some_and(|limit| Pin::new(limit).poll(&mut cx).is_ready()) {
                    return Err(Error::TimedOut);
                }
                if self.inner.root.get() == Root::Running {
                    self.inner.root.set(Root::Waiting);
                }
            }
            if self.inner.stopping.get() {
                return Err(Error::Stopped);
            }
            self.turn();
        }
    }
}
