use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{IOLoop, JoinHandle, context, task};

/// Spawns `future` on the current loop: [`IOLoop::spawn`] of [`IOLoop::current`]. [`JoinHandle`] has a complete program.
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    IOLoop::current().spawn(future)
}

impl IOLoop {
    /// Runs `future` on this loop: it is polled for the first time in the turn that follows, in the [`context`] that is
    /// current now. The handle returns its result and can abort it; dropping the handle detaches the task. The future
    /// need not be `Send`.
    ///
    /// Costs one allocation, in which the future lies and then its result, and one more, its waker, when somebody keeps a
    /// clone of that. One that waits for descriptors and timers of the loop alone has none. Within a context it takes one
    /// besides. A suspended task takes about 100 bytes beside its future, and 50 more with a waker; what is done keeps its
    /// memory until the handle takes the result or is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ioloop::IOLoop;
    /// let ioloop = IOLoop::current();
    /// let task = ioloop.spawn(async { 6 * 7 });
    /// assert_eq!(ioloop.run_sync(task).unwrap(), 42);
    /// ```
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let key = self.insert_task(task::joinable(future, Location::caller()), true);
        JoinHandle::new(self.clone(), key)
    }

    /// Runs `future` on this loop without a handle: for what only a panic or [`close`](IOLoop::close) ends before its time.
    /// Costs the allocations of [`spawn`](IOLoop::spawn), and 24 bytes less each, about 75 beside the future, which
    /// matters where there is a task per connection. Its memory goes when it is done.
    #[track_caller]
    pub fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        self.spawn_forgotten(future, Location::caller());
    }

    /// [`spawn_detached`](IOLoop::spawn_detached) for a task that has nothing to do with its caller: it inherits no
    /// [`context`]. What [`spawn_callback`](IOLoop::spawn_callback) is for callbacks.
    #[track_caller]
    pub fn spawn_independent(&self, future: impl Future<Output = ()> + 'static) {
        let location = Location::caller();
        context::detached(|| self.spawn_forgotten(future, location));
    }
}

/// Yields to everything else that is queued: completes in the next turn of the loop. Costs a wake-up.
///
/// Use it in long computations and in loops over data that is already there; nothing else on the loop runs in between.
///
/// A turn may skip polling descriptors, other threads and timers, but never twice in a row after a task has yielded.
/// What was ready when `yield_now` was called has been handled when the second of two such calls completes; a single
/// call is enough if the last poll was more than 50 µs ago. With
/// [`Builder::event_interval(1)`](crate::Builder::event_interval) the loop polls before each call completes.
///
/// # Examples
///
/// ```
/// use ioloop::{IOLoop, spawn, yield_now};
///
/// IOLoop::current().run_sync(async {
///     let sum = spawn(async {
///         let mut sum = 0;
///         for number in 1..=10_000_u64 {
///             sum += number;
///             if number % 1_000 == 0 {
///                 yield_now().await;
///             }
///         }
///         sum
///     });
///     assert_eq!(sum.await.unwrap(), 50_005_000);
/// });
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
