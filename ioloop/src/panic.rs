//! Panics of user code, and what they carry.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::context::Offered;

/// Calls user code; its panic ends here.
#[inline]
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Payload> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Payload(Some(payload)))
}

/// For what is left to do when something has panicked, to tell of it: a panic of the logger cannot tear a turn of the loop
/// apart. Nobody is left to be told.
pub(crate) fn contain(work: impl FnOnce()) {
    drop(catch(work));
}

/// What a panic carries. It may be a value of the user's own, whose destructor may panic as well: that ends here too.
pub(crate) struct Payload(Option<Box<dyn Any + Send>>);

impl Payload {
    /// The text of the panic.
    pub(crate) fn message(&self) -> String {
        self.0.as_deref().map_or_else(String::new, message)
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

/// The text of a panic's payload.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .or_else(|| payload.downcast_ref::<Offered>().map(|offered| offered.message.clone()))
        .unwrap_or_else(|| "<not a string>".to_owned())
}
