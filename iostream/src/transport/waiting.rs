use std::{mem, task::Waker};

use crate::{contain, sweep::Sweep};

/// What a task waits for, one bit each.
pub(super) type Events = u8;

/// The tasks that wait in a transport that keeps them itself.
#[derive(Default)]
pub(super) struct Waiting {
    list: Vec<(Events, Waker)>,
    sweep: Sweep,
}

impl Waiting {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// False when the task does not wait here yet.
    #[inline]
    pub(super) fn add_events(&mut self, events: Events, waker: &Waker) -> bool {
        let known = self.list.iter_mut().find(|(_, known)| known.will_wake(waker));
        known.map(|(waits_for, _)| *waits_for |= events).is_some()
    }

    /// Returns those who are to be woken; see [`Sweep`].
    #[inline]
    pub(super) fn push(&mut self, events: Events, waker: Waker, turn: u64) -> Vec<(Events, Waker)> {
        let mut stale = Vec::new();
        let len = self.list.len();
        if !self.sweep.is_short(len) && self.sweep.is_due(len, turn) {
            stale = mem::take(&mut self.list);
        }
        self.list.push((events, waker));
        stale
    }

    #[inline]
    pub(super) fn take(&mut self, events: Events) -> Vec<(Events, Waker)> {
        let taken = self.list.extract_if(.., |(waits_for, _)| *waits_for & events != 0).collect();
        if self.list.is_empty() {
            // An idle end keeps no memory.
            self.list = Vec::new();
        }
        taken
    }
}

/// Wakes those who were returned.
pub(super) fn wake_all(waiting: Vec<(Events, Waker)>) {
    contain::wake_all(waiting.into_iter().map(|(_, waker)| waker));
}
