use std::cell::Cell;

use crate::Bell;

/// Counts arrivals and wakes one task when the last one is in.
#[derive(Debug, Default)]
pub struct Latch {
    missing: Cell<usize>,
    all_in: Bell,
}

impl Latch {
    /// A latch that waits for `count` arrivals.
    pub fn new(count: usize) -> Latch {
        Latch { missing: Cell::new(count), all_in: Bell::new() }
    }

    /// Waits for `count` arrivals from now on.
    pub fn reset(&self, count: usize) {
        self.missing.set(count);
    }

    /// One more is in.
    pub fn arrive(&self) {
        let missing = self.missing.get() - 1;
        self.missing.set(missing);
        if missing == 0 {
            self.all_in.ring();
        }
    }

    /// Waits until all are in.
    pub async fn wait(&self) {
        self.all_in.wait().await;
    }
}
