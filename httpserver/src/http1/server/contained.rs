//! Where the panics of user code end.
//!
//! A connection runs the service, its future, the body of an answer, and the destructors of all of them. Any of these may
//! panic, and all of them run inside the one future that serves the connection. So one place catches every panic, once per
//! poll, however many requests a poll answers: [`serve()`](super::serve::serve). That future is lost then. The connection
//! is not: here it is answered for, and closed in order.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use iostream::{
    IOLoop,
    ioloop::{Printable, panic_message, report_failure},
};

use super::{Flag, Registration, ServerConn, answer::internal_error, serve::close};

/// Has a task of its own end the connection, because every idle connection would have room for that future here.
#[cold]
pub(super) fn close_after_panic(registration: &Registration, payload: Box<dyn Any + Send>) {
    let registration = registration.pass_on();
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
        match (self.conn.flags.has(Flag::BUSY), self.conn.flags.has(Flag::ANSWERED)) {
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
