//! What keeps wake-ups from other threads to one message.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by a wake from another thread, cleared when the loop has got the message: it is sent once, however often the
/// task is woken meanwhile.
///
/// This file stands alone, without a path into the crate: `tests/loom.rs` includes it and tries every interleaving.
pub(crate) struct WakeFlag {
    sent: AtomicBool,
}

impl WakeFlag {
    pub(crate) fn new() -> WakeFlag {
        WakeFlag { sent: AtomicBool::new(false) }
    }

    /// Whether it is for the caller to send the message.
    pub(crate) fn raise(&self) -> bool {
        !self.sent.swap(true, Ordering::AcqRel)
    }

    /// The message has arrived, and the task is polled after this.
    pub(crate) fn lower(&self) {
        // No mere store: it reads what the last of those wrote who found the flag raised and sent nothing, so that what
        // they did before they woke the task is seen by the poll.
        self.sent.swap(false, Ordering::AcqRel);
    }
}
