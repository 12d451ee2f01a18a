//! Where the panics of user code end.
//!
//! A connection runs the service, its future, the body of an answer, and the destructors of all of them. Any of these may panic, and all of them run inside the one future that serves the connection. So one place
//! catches every panic, once per poll, however many requests a poll answers. The serving future is lost then. The
//! connection is not: [`Contained`] answers for it and closes it in order.

use std::{
    any::Any,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use iostream::{
    IOLoop,
    ioloop::{Printable, panic_message, report_failure},
};
use pin_project_lite::pin_project;

use super::{Registration, ServerConn, answer::internal_error, serve::close};
use crate::upgrade::{Place, UpgradeHandler};

pin_project! {
    /// The future of a connection, whose panics end here.
    ///
    /// Every idle connection has one, so it is no larger than it must be.
    pub(super) struct Contained<F> {
        #[pin]
        serving: F,
        // `None` behind a panic. Dropped last, because a drain has ended when all connections are out of the list.
        registration: Option<Registration>,
    }
}

impl<F> Contained<F> {
    /// `serving` serves the connection that is registered.
    pub(super) fn new(registration: Registration, serving: F) -> Contained<F> {
        Contained { serving, registration: Some(registration) }
    }
}

impl<F: Future<Output = Option<Box<UpgradeHandler>>>> Future for Contained<F> {
    /// Another protocol that goes on with the connection, and the place of that.
    type Output = Option<Box<(UpgradeHandler, Place)>>;

    // Not `#[inline]`: the whole connection would be compiled in each place that polls it.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Unwind safe: a future that has panicked is dropped and not polled again. The connection is made of cells, and
        // none of them is borrowed while foreign code runs.
        match catch_unwind(AssertUnwindSafe(|| this.serving.poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(None)) => Poll::Ready(None),
            Ok(Poll::Ready(Some(handler))) => Poll::Ready(hand_over(*handler, this.registration.take())),
            Err(payload) => {
                close_after_panic(this.registration.take(), payload);
                Poll::Ready(None)
            }
        }
    }
}

#[cold]
fn hand_over(handler: UpgradeHandler, registration: Option<Registration>) -> Option<Box<(UpgradeHandler, Place)>> {
    Some(Box::new((handler, registration?.into_place())))
}

/// Has a task of its own end the connection, because every idle connection would have room for that future here.
#[cold]
fn close_after_panic(registration: Option<Registration>, payload: Box<dyn Any + Send>) {
    let Some(registration) = registration else { return };
    registration.conn.answer_panic(payload);
    IOLoop::current().spawn_detached(async move {
        close(&registration.conn).await;
        // Still counted until here.
        drop(registration);
    });
}

impl ServerConn {
    /// Answers 500 if nothing was sent yet. A second answer behind the first would be taken for that to the next request.
    ///
    /// Behind a whole answer nothing is lost: it is sent with those before it. Half an answer is cut off.
    fn answer_panic(&self, payload: Box<dyn Any + Send>) {
        match (self.busy.get(), self.answered.get()) {
            (true, false) => {
                log_panic(payload, "answering 500");
                self.answer(&mut internal_error());
            }
            (true, true) => {
                log_panic(payload, "closing the connection");
                self.break_off();
            }
            (false, _) => log_panic(payload, "closing the connection behind its answer"),
        }
    }
}

/// One line for a panic of the user's code. The message is made printable, because it may quote bytes of a client.
pub(crate) fn log_panic(payload: Box<dyn Any + Send>, consequence: &str) {
    let message = Printable::text(panic_message(&*payload));
    report_failure("httpserver", format_args!("panic in a service: {message}; {consequence}"));
    // The payload may be a value of the user's own, whose destructor panics as well. There may be no end to it.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
    }
}
