use std::{
    any::Any,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use pin_project_lite::pin_project;

use super::JoinError;

/// What a task does, its type forgotten: a future that nobody waits for, or one that keeps its result for a handle.
pub(crate) trait TaskWork {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Drops the future and keeps the reason for the handle.
    fn fail(self: Pin<&mut Self>, _error: JoinError) {}

    /// Where the waker of whoever waits for the result is kept.
    fn waiter(self: Pin<&mut Self>) -> Option<&mut Option<Waker>> {
        None
    }

    /// Moves the result to `place`, an `Option<Result<T, JoinError>>` of the future's own `T`.
    fn take_result(self: Pin<&mut Self>, _place: &mut dyn Any) {}
}

/// A task nobody waits for is its future, and no byte more.
impl<F: Future<Output = ()>> TaskWork for F {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self, cx)
    }
}

pin_project! {
    /// The future of a task with a handle, then its result. All in the task's one allocation: a second one for what the
    /// two share would cost as much as the rest of spawning and joining.
    pub(crate) struct Joinable<F: Future> {
        #[pin]
        stage: Stage<F>,
        waiter: Option<Waker>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F: Future> {
        Running { #[pin] future: F },
        Ended { result: Option<Result<F::Output, JoinError>> },
    }
}

impl<F: Future> Joinable<F> {
    pub(crate) fn new(future: F) -> Joinable<F> {
        Joinable { stage: Stage::Running { future }, waiter: None }
    }
}

impl<F: Future + 'static> TaskWork for Joinable<F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut stage = self.project().stage;
        if let StageProjection::Running { future } = stage.as_mut().project() {
            let output = ready!(future.poll(cx));
            stage.set(Stage::Ended { result: Some(Ok(output)) });
        }
        Poll::Ready(())
    }

    fn fail(self: Pin<&mut Self>, error: JoinError) {
        self.project().stage.set(Stage::Ended { result: Some(Err(error)) });
    }

    fn waiter(self: Pin<&mut Self>) -> Option<&mut Option<Waker>> {
        Some(self.project().waiter)
    }

    fn take_result(self: Pin<&mut Self>, place: &mut dyn Any) {
        let place = place.downcast_mut().expect("the handle was made with this very type");
        if let StageProjection::Ended { result } = self.project().stage.project() {
            *place = result.take();
        }
    }
}
