//! Foreign code that is called on behalf of others: wakers and destructors. A panic ends here and is reported, so that it takes
//! along neither what the others wait for nor the code that happens to call.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
};

use ioloop::{Printable, panic_message, report_failure};

/// Drops what is the user's. `what` is its name in the report.
#[inline]
pub(crate) fn drop_contained<T>(what: &'static str, value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        report(format_args!("the destructor of {what}"), payload);
    }
}

/// Wakes each of them.
#[inline]
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(wake);
}

#[inline(never)]
pub(crate) fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        report(format_args!("a waker"), payload);
    }
}

#[cold]
#[inline(never)]
fn report(what: std::fmt::Arguments<'_>, payload: Box<dyn Any + Send>) {
    let message = Printable::text(panic_message(&*payload));
    report_failure("iostream", format_args!("panic in {what}: {message}"));
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // There may be no end to it.
        mem::forget(another);
    }
}
