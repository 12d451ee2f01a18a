//! What a mistake says when the program starts.

use std::{
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::{Arc, Mutex},
};

/// The message of a panic, and whether it is located in the file of the caller. The hook of panics belongs to the process: a
/// file that calls this has one test.
#[track_caller]
pub fn refusal(refused: impl FnOnce()) -> (String, bool) {
    let place: Arc<Mutex<Option<String>>> = Arc::default();
    let noted = place.clone();
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        *noted.lock().unwrap() = info.location().map(|location| location.file().to_owned());
    }));
    let result = catch_unwind(AssertUnwindSafe(refused));
    std::panic::set_hook(previous);
    let payload = result.expect_err("it is refused");
    let message = payload.downcast_ref::<String>().expect("a text").clone();
    let here = place.lock().unwrap().as_deref() == Some(Location::caller().file());
    (message, here)
}
