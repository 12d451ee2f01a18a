use std::{
    any::Any,
    future::Future,
    panic::Location,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use pin_project_lite::pin_project;

use super::{error::JoinError, polled::Polled};
use crate::context::Node;

/// A task, the type of its future forgotten: all that is looked at only when it runs. One allocation.
pub(crate) trait TaskWork {
    /// Polls it with its own waker if it has one, else with `spare`. Which it is, `polled` is told.
    fn poll(self: Pin<&mut Self>, spare: &Waker, polled: &Polled) -> Poll<()>;

    /// Gives it the waker of all further polls.
    fn keep_waker(self: Pin<&mut Self>, waker: Waker);

    /// It is over, and its result stays: gives up its own waker, and to the caller whoever waits and the context that it ran
    /// in, to be dropped.
    fn finish(self: Pin<&mut Self>) -> (Option<Waker>, Option<Rc<Node>>);

    /// Drops the future and keeps the reason for the handle.
    fn fail(self: Pin<&mut Self>, error: JoinError);

    /// Where the waker of whoever waits for the result is kept; `None` when nobody ever does.
    fn waiter(self: Pin<&mut Self>) -> Option<&mut Option<Waker>>;

    /// Moves the result to `place`, an `Option<Result<T, JoinError>>` of the future's own `T`.
    fn take_result(self: Pin<&mut Self>, place: &mut dyn Any);

    /// Who has spawned it.
    fn location(&self) -> &'static Location<'static>;
}

pub(crate) type BoxedWork = Pin<Box<dyn TaskWork>>;

pin_project! {
    /// What every task has, and its future.
    struct TaskCell<S> {
        // Given when somebody has kept a clone of it, and then kept, so that polling touches no reference count. Boxed, because
        // few tasks have one.
        waker: Option<Box<Waker>>,
        location: &'static Location<'static>,
        #[pin]
        stage: S,
    }
}

/// What a task that nobody waits for and one with a handle do differently.
trait Stage {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    fn fail(self: Pin<&mut Self>, _error: JoinError) {}

    fn waiter(self: Pin<&mut Self>) -> Option<&mut Option<Waker>> {
        None
    }

    fn take_result(self: Pin<&mut Self>, _place: &mut dyn Any) {}
}

/// A task that nobody waits for.
pub(crate) fn detached(future: impl Future<Output = ()> + 'static, location: &'static Location<'static>) -> BoxedWork {
    Box::pin(TaskCell { waker: None, location, stage: future })
}

/// A task with a handle.
pub(crate) fn joinable(future: impl Future + 'static, location: &'static Location<'static>) -> BoxedWork {
    Box::pin(TaskCell {
        waker: None,
        location,
        stage: Joinable { progress: Progress::Running { future }, waiter: None },
    })
}

/// Moves a task's result out of what it has left.
pub(crate) fn take_result<T: 'static>(mut work: BoxedWork) -> Option<T> {
    let mut place: Option<T> = None;
    work.as_mut().take_result(&mut place as &mut dyn Any);
    place
}

impl<S: Stage> TaskWork for TaskCell<S> {
    fn keep_waker(self: Pin<&mut Self>, waker: Waker) {
        *self.project().waker = Some(Box::new(waker));
    }

    fn poll(self: Pin<&mut Self>, spare: &Waker, polled: &Polled) -> Poll<()> {
        let this = self.project();
        let waker = this.waker.as_deref().unwrap_or(spare);
        polled.begin(waker);
        this.stage.poll(&mut Context::from_waker(waker))
    }

    fn finish(self: Pin<&mut Self>) -> (Option<Waker>, Option<Rc<Node>>) {
        let this = self.project();
        *this.waker = None;
        (this.stage.waiter().and_then(Option::take), None)
    }

    fn fail(self: Pin<&mut Self>, error: JoinError) {
        self.project().stage.fail(error);
    }

    fn waiter(self: Pin<&mut Self>) -> Option<&mut Option<Waker>> {
        self.project().stage.waiter()
    }

    fn take_result(self: Pin<&mut Self>, place: &mut dyn Any) {
        self.project().stage.take_result(place);
    }

    fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl<F: Future<Output = ()>> Stage for F {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self, cx)
    }
}

pin_project! {
    /// A future, then its result, in the same place: one of its own for the result would cost as much as the rest of
    /// spawning and joining.
    struct Joinable<F: Future> {
        #[pin]
        progress: Progress<F>,
        waiter: Option<Waker>,
    }
}

pin_project! {
    #[project = ProgressProjection]
    enum Progress<F: Future> {
        Running { #[pin] future: F },
        Ended { result: Option<Result<F::Output, JoinError>> },
    }
}

impl<F: Future + 'static> Stage for Joinable<F> {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut progress = self.project().progress;
        if let ProgressProjection::Running { future } = progress.as_mut().project() {
            let output = ready!(future.poll(cx));
            progress.set(Progress::Ended { result: Some(Ok(output)) });
        }
        Poll::Ready(())
    }

    fn fail(self: Pin<&mut Self>, error: JoinError) {
        self.project().progress.set(Progress::Ended { result: Some(Err(error)) });
    }

    fn waiter(self: Pin<&mut Self>) -> Option<&mut Option<Waker>> {
        Some(self.project().waiter)
    }

    fn take_result(self: Pin<&mut Self>, place: &mut dyn Any) {
        let place = place.downcast_mut().expect("the handle was made with this very type");
        if let ProgressProjection::Ended { result } = self.project().progress.project() {
            *place = result.take();
        }
    }
}
