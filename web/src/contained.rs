//! A handler whose panic goes no further than its request.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::error::{Error, Result};

/// What a handler has come to. The error is boxed: it is large, and a result with room for it would be put together and
/// copied by every request, of which few have one.
pub(crate) type Outcome = Result<(), Box<Error>>;

pin_project! {
    /// A handler's future. Its panic becomes an error, so that it gets its page, its log line and its `on_finish` like any
    /// other; and so does one of what makes the future, and of its destructor.
    ///
    /// `AssertUnwindSafe`: the future is dropped without being polled again; of the exchange it leaves, nothing but the
    /// request is used. What else the handler has shared, it shares at its own risk, as with every panic that is caught.
    ///
    /// Written by hand and awaited where it is made: behind a pointer, or in an async function, it would take more room in
    /// every request that waits.
    #[project = State]
    pub(crate) enum Contained<F> {
        Waits { #[pin] handler: F },
        /// With what is left to be said of it.
        Over { error: Option<Box<Error>> },
    }
}

impl<F> Contained<F> {
    /// Makes the future.
    #[inline]
    pub(crate) fn new(make: impl FnOnce() -> F) -> Contained<F> {
        match catch_unwind(AssertUnwindSafe(make)) {
            Ok(handler) => Contained::Waits { handler },
            Err(payload) => Contained::Over { error: Some(panicked(&*payload)) },
        }
    }
}

impl<F: Future<Output = Result<()>>> Future for Contained<F> {
    type Output = Outcome;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        catch_unwind(AssertUnwindSafe(|| self.poll_to_end(cx)))
            .unwrap_or_else(|payload| Poll::Ready(Err(panicked(&*payload))))
    }
}

impl<F: Future<Output = Result<()>>> Contained<F> {
    /// Polls the future, and drops it in the poll that it is ready in.
    #[inline]
    fn poll_to_end(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = match self.as_mut().project() {
            State::Waits { handler } => ready!(handler.poll(cx)).map_err(boxed),
            State::Over { error } => return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
        };
        self.set(Contained::Over { error: None });
        Poll::Ready(outcome)
    }
}

#[cold]
fn boxed(error: Error) -> Box<Error> {
    Box::new(error)
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> Box<Error> {
    Box::new(Error::panicked(payload))
}
