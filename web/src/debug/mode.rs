//! Whether an application is being worked on.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
    rc::Rc,
};

use super::{origin, watch::Changes};
use crate::exchange::Exchange;

/// State of an application in debug mode.
pub(crate) struct DebugMode {
    /// Looked at once a page waits for changes.
    changes: OnceCell<Rc<Changes>>,
}

impl DebugMode {
    #[inline]
    pub(crate) fn new() -> DebugMode {
        log::warn!(target: "web", "debug mode: errors show their insides to everybody who can reach this server");
        origin::note_panics();
        DebugMode { changes: OnceCell::new() }
    }

    #[inline]
    pub(super) fn changes(&self) -> &Rc<Changes> {
        self.changes.get_or_init(Changes::new)
    }
}

/// What a handler has noted for the page of an error.
#[derive(Default)]
pub(crate) struct Noted(RefCell<Vec<(String, String)>>);

impl Noted {
    #[inline]
    pub(super) fn all(&self) -> Vec<(String, String)> {
        self.0.borrow().clone()
    }
}

impl Exchange {
    /// Whether the application is in debug mode.
    #[inline]
    pub(crate) fn is_debug(&self) -> bool {
        self.state::<DebugMode>().is_ok()
    }

    /// Keeps a value for the page of an error.
    #[inline]
    pub(crate) fn keep_debug_value(&self, name: &str, value: &dyn fmt::Debug) {
        if !self.is_debug() {
            return;
        }
        let text = format!("{value:#?}");
        if self.extensions().get::<Noted>().is_none() {
            self.extensions().set(Noted::default());
        }
        if let Some(noted) = self.extensions().get::<Noted>() {
            noted.0.borrow_mut().push((name.to_owned(), text));
        }
    }
}
