use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    IOLoop, JoinError,
    arena::ArenaKey,
    task::{Join, take_result},
};

/// Waits for a spawned task and returns its result, or the [reason](JoinError) why there is none. Dropping it detaches
/// the task: it runs on.
///
/// Awaiting costs no allocation. The result waits in the memory of the task, all of it, which is given back when the
/// handle has taken the result or is dropped: do not collect the handles of tasks whose results you never take. May be
/// awaited on any loop of the thread, and keeps the task's loop alive.
///
/// # Cancel safety
///
/// Awaiting through `&mut handle` and dropping that future loses nothing.
///
/// # Examples
///
/// Four tasks at a time, each with an end of its own:
///
/// ```
/// use std::{future::pending, time::Duration};
/// use ioloop::{IOLoop, JoinError, JoinHandle, sleep, spawn};
///
/// /// Stands for a question over the network.
/// async fn price(of: &'static str) -> u32 {
///     sleep(Duration::from_millis(1)).await;
///     match of {
///         "tea" => 3,
///         "coffee" => 4,
///         unknown => panic!("no price for {unknown}"),
///     }
/// }
///
/// fn main() {
///     IOLoop::current().run_sync(async {
///         let asked: Vec<JoinHandle<u32>> = ["tea", "coffee", "gold"].map(|of| spawn(price(of))).into();
///         let never = spawn(async { pending::<u32>().await });
///         assert!(!never.is_finished());
///         never.abort();
///
///         let mut total = 0;
///         for task in asked {
///             match task.await {
///                 Ok(price) => total += price,
///                 // The loop has reported it already, with the line that spawned the task.
///                 Err(JoinError::Panicked { message }) => assert_eq!(message, "no price for gold"),
///                 Err(error) => panic!("{error}"),
///             }
///         }
///         assert_eq!(total, 7);
///         assert!(matches!(never.await, Err(JoinError::Cancelled)));
///     });
/// }
/// ```
pub struct JoinHandle<T> {
    ioloop: IOLoop,
    /// `None` once the result has been given.
    task: Option<ArenaKey>,
    result: PhantomData<fn() -> T>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(ioloop: IOLoop, task: ArenaKey) -> JoinHandle<T> {
        JoinHandle { ioloop, task: Some(task), result: PhantomData }
    }

    /// Drops the task's future, at once unless it is running now: then when this poll of it returns. Awaiting the
    /// handle returns [`JoinError::Cancelled`]. A task that is done keeps its result.
    pub fn abort(&self) {
        if let Some(task) = self.task {
            self.ioloop.abort_task(task);
        }
    }

    /// Whether the task is done, aborted or has panicked.
    pub fn is_finished(&self) -> bool {
        self.task.is_none_or(|task| self.ioloop.is_task_finished(task))
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// When polled again after it gave the result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.task.expect("a JoinHandle gives its result once");
        let result = match self.ioloop.join_task(task, cx.waker()) {
            Join::Ended(work) => take_result(work).unwrap_or(Err(JoinError::Cancelled)),
            Join::Gone => Err(JoinError::Cancelled),
            Join::Pending | Join::MustWait => return Poll::Pending,
        };
        self.task = None;
        Poll::Ready(result)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.ioloop.detach_task(task);
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}
