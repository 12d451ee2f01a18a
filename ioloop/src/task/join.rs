use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use pin_project_lite::pin_project;

use crate::{IOLoop, arena::Key, error::panic_message};

/// Waits for a spawned task and gives its result. Dropping it detaches the task: it runs on.
///
/// # Cancel safety
///
/// Awaiting through `&mut handle` and dropping that future loses nothing.
pub struct JoinHandle<T> {
    state: Rc<JoinState<T>>,
    ioloop: IOLoop,
    task: Key,
}

/// Why a task has no result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It was aborted, or its loop was closed, or closed before a [`Job`](crate::Job) of its began.
    #[error("the task was cancelled")]
    Cancelled,
    /// It panicked. A task's panic has been reported by the loop already; a [`Job`](crate::Job)'s is told here alone.
    #[error("the task panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// A [`Job`](crate::Job) could not begin: the system refuses to start a thread, and the pool has none.
    #[error("no thread could be started: {message}")]
    NoThread {
        /// The system's error.
        message: String,
    },
}

struct JoinState<T> {
    result: RefCell<Option<Result<T, JoinError>>>,
    waiter: RefCell<Option<Waker>>,
    finished: Cell<bool>,
}

impl<T> JoinHandle<T> {
    pub(crate) fn new(ioloop: IOLoop, task: Key, promise: &JoinLink<T>) -> JoinHandle<T> {
        JoinHandle { state: Rc::clone(&promise.0), ioloop, task }
    }

    /// Drops the task's future at its next suspension point, at once unless it is running now. A task that is done keeps
    /// its result.
    pub fn abort(&self) {
        self.ioloop.abort_task(self.task);
    }

    /// Whether the task is done, aborted or has panicked.
    pub fn is_finished(&self) -> bool {
        self.state.finished.get()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// When polled again after it gave the result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.state.finished.get() {
            let result = self.state.result.borrow_mut().take();
            return Poll::Ready(result.expect("a JoinHandle gives its result once"));
        }
        let mut waiter = self.state.waiter.take();
        if !waiter.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            waiter = Some(cx.waker().clone());
        }
        self.state.waiter.replace(waiter);
        Poll::Pending
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// The end of the line between a task and its handle that stays with whoever spawns.
pub(crate) struct JoinLink<T>(Rc<JoinState<T>>);

pin_project! {
    /// A future that leaves its result for a [`JoinHandle`].
    pub(crate) struct Joinable<F: Future> {
        #[pin]
        future: F,
        promise: Promise<F::Output>,
    }
}

/// Resolves the handle with `Cancelled` when it is dropped unfulfilled.
struct Promise<T>(Rc<JoinState<T>>);

pub(crate) fn joinable<F: Future>(future: F) -> (Joinable<F>, JoinLink<F::Output>) {
    let state =
        Rc::new(JoinState { result: RefCell::new(None), waiter: RefCell::new(None), finished: Cell::new(false) });
    (Joinable { future, promise: Promise(Rc::clone(&state)) }, JoinLink(state))
}

impl<F: Future> Future for Joinable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        // The promise outlives the panic, so that the handle tells a panic from a cancellation; the executor reports it.
        match catch_unwind(AssertUnwindSafe(|| this.future.poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => {
                this.promise.fulfil(Ok(output));
                Poll::Ready(())
            }
            Err(payload) => {
                this.promise.fulfil(Err(JoinError::Panicked { message: panic_message(&*payload) }));
                resume_unwind(payload)
            }
        }
    }
}

impl<T> Promise<T> {
    fn fulfil(&self, result: Result<T, JoinError>) {
        if self.0.finished.replace(true) {
            return;
        }
        *self.0.result.borrow_mut() = Some(result);
        let waiter = self.0.waiter.borrow_mut().take();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.fulfil(Err(JoinError::Cancelled));
    }
}
