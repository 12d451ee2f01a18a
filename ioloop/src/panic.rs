//! Panics of user code, and what they carry.

use std::{
    any::Any,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::Printable;

/// The text of a panic, from the payload that [`catch_unwind`] and a thread's `join` return.
///
/// Returns the message of `panic!`, or `<not a string>` for a payload of any other type, which
/// [`panic_any`](std::panic::panic_any) makes. A panic that an [`ErrorBoundary`](crate::context::ErrorBoundary) has seen on
/// its way keeps its message.
///
/// A message often holds what came from outside. Show it as [`Printable::text`] in a log, where it must not begin a line
/// of its own.
///
/// # Examples
///
/// ```
/// use std::panic::catch_unwind;
///
/// let payload = catch_unwind(|| panic!("no user {}", 7)).unwrap_err();
/// assert_eq!(ioloop::panic_message(&*payload), "no user 7");
/// ```
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else if let Some(offered) = payload.downcast_ref::<Offered>() {
        &offered.message
    } else {
        "<not a string>"
    }
}

/// Calls user code; its panic ends here.
#[inline]
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Payload(Some(payload)))
}

/// Logs an error that tells of a panic. A panic of the logger cannot tear a turn of the loop apart: it ends here, and there
/// is nothing left to report it to.
#[cold]
#[inline(never)]
pub(crate) fn log_error(message: fmt::Arguments<'_>) {
    drop(catch(|| log::error!("{message}")));
}

/// What a panic carries. It may be a value of the user's own, whose destructor may panic as well: that ends here too.
pub(crate) struct Payload(Option<Box<dyn Any + Send>>);

impl Payload {
    /// The text of the panic.
    pub(crate) fn message(&self) -> &str {
        panic_message(self.as_any())
    }

    /// The same, for a line of the log.
    pub(crate) fn printable(&self) -> Printable<'_> {
        Printable::text(self.message())
    }

    pub(crate) fn as_any(&self) -> &(dyn Any + Send) {
        self.0.as_deref().expect("taken only when it is dropped")
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let payload = self.0.take();
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // There may be no end to it.
            mem::forget(another);
        }
    }
}

/// The payload of a panic that the error boundaries of a context have been offered: the next `catch` neither asks them
/// again nor, if one of them has settled the matter, reports it.
pub(crate) struct Offered {
    pub(crate) message: String,
    pub(crate) settled: bool,
}

/// Whether an error boundary has settled the matter.
pub(crate) fn was_settled(payload: &(dyn Any + Send)) -> bool {
    payload.downcast_ref::<Offered>().is_some_and(|offered| offered.settled)
}
