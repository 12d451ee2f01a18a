//! Tasks: futures the loop polls until they are done.

mod flag;
mod join;
mod scheduler;
mod waker;
mod work;

pub use join::{JoinError, JoinHandle};
pub(crate) use scheduler::{Begun, Callback, Join, ROOT, Remains, Scheduler, Woken};
pub(crate) use waker::{Fresh, TaskWaker};
pub(crate) use work::{BoxedWork, TaskWork, detached, joinable};

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::IOLoop;

/// Spawns `future` on the current loop: [`IOLoop::spawn`] of [`IOLoop::current`]. [`JoinHandle`] has a complete program.
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    IOLoop::current().spawn(future)
}

/// Lets everything else that is queued have its turn: completes in the next turn of the loop. Costs a wake-up.
///
/// Use it in long computations and in loops over data that is already there; nothing else on the loop runs in between.
///
/// A turn may leave out its look at descriptors, other threads and timers, but no two in a row after somebody has given
/// way like this: what was ready when `yield_now` was called has been taken up when the second of two such calls completes,
/// and of a single one if more than 50 µs had gone by since the last look. Under
/// [`Builder::event_interval(1)`](crate::Builder::event_interval) each one lets a look happen.
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
