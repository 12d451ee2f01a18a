use std::{mem, task::Waker};

use crate::contain;

/// How many waiting tasks are never swept.
const FEW: usize = 16;

/// What a task waits for, one bit each.
pub(super) type Events = u8;

/// The tasks that wait in a transport that keeps them itself.
pub(super) struct Waiting {
    list: Vec<(Events, Waker)>,
    /// The list is swept when it has grown to this length.
    limit: usize,
    /// The turn of the last sweep.
    swept_in: u64,
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

    /// A waker does not tell whether its task still lives, and every request on a connection that lasts may leave one
    /// behind. So a list that has grown long is returned to be woken: live tasks come back within a turn, and then the
    /// list may grow to twice their number before the next sweep.
    #[inline]
    pub(super) fn push(&mut self, events: Events, waker: Waker, turn: u64) -> Vec<(Events, Waker)> {
        let mut stale = Vec::new();
        if self.list.len() >= self.limit {
            if turn - self.swept_in <= 1 {
                self.limit = 2 * self.list.len();
            } else {
                self.limit = FEW;
                self.swept_in = turn;
                stale = mem::take(&mut self.list);
            }
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

impl Default for Waiting {
    #[inline]
    fn default() -> Self {
        Waiting { list: Vec::new(), limit: FEW, swept_in: 0 }
    }
}
