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

/// Spawns `future` on the current loop: [`IOLoop::spawn`] of [`IOLoop::current`].
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    IOLoop::current().spawn(future)
}

/// Lets everything else that is ready have its turn: completes in the next turn of the loop.
///
/// Use it in long computations and in loops over data that is already there; nothing else on the loop runs in between.
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
