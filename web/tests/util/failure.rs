//! What a test of a test says when it fails.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// The text that `test` fails with.
pub(crate) fn failure<T>(test: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(test)).map(drop).expect_err("it fails");
    text_of(&*payload)
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    match payload.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => (*payload.downcast_ref::<&str>().expect("a text")).to_owned(),
    }
}
