//! Where an error began: the `?` that made a foreign error one of this crate, or the line of a panic.

use std::{
    backtrace::Backtrace,
    cell::RefCell,
    error::Error as StdError,
    panic::{self, Location},
    sync::Once,
};

/// What the thread noted last. An error is answered where it began, on the same thread, mostly at once.
#[derive(Default)]
struct Noted {
    /// The error's address, by which it is known again, and the line.
    error: Option<(usize, &'static Location<'static>)>,
    panic: Option<PanicNote>,
}

/// A panic.
pub(super) struct PanicNote {
    pub(super) location: String,
    pub(super) backtrace: String,
}

thread_local! {
    static NOTED: RefCell<Noted> = RefCell::default();
}

/// Notes the line of the caller's caller for an error.
#[track_caller]
#[inline]
pub(crate) fn note_origin(error: &dyn StdError) {
    // Out here: a closure has another caller.
    let location = Location::caller();
    NOTED.with_borrow_mut(|noted| noted.error = Some((address(error), location)));
}

/// The line that was noted for this error. Of an error without content the address says nothing.
#[inline]
pub(super) fn of_error(error: &dyn StdError) -> Option<&'static Location<'static>> {
    let (noted, location) = NOTED.with_borrow(|noted| noted.error)?;
    (size_of_val(error) > 0 && noted == address(error)).then_some(location)
}

#[inline]
fn address(error: &dyn StdError) -> usize {
    (&raw const *error).addr()
}

/// Takes what is known of the last panic.
#[inline]
pub(super) fn take_panic() -> Option<PanicNote> {
    NOTED.with_borrow_mut(|noted| noted.panic.take())
}

/// Has panics noted from now on, in front of what the process does with them anyway.
#[inline]
pub(super) fn note_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let location = info.location().map(Location::to_string).unwrap_or_default();
            let note = PanicNote { location, backtrace: Backtrace::force_capture().to_string() };
            // A panic while a note is taken, or at the end of the thread, goes without one.
            let _ = NOTED.try_with(|noted| noted.try_borrow_mut().map(|mut noted| noted.panic = Some(note)));
            previous(info);
        }));
    });
}
