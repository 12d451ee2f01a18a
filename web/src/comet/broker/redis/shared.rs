use std::{
    mem,
    ops::RangeInclusive,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::options::RedisOptions;
use crate::{comet::broker::Depth, jitter};

/// What the broker and its threads know of each other.
pub(super) struct Shared {
    pub(super) options: RedisOptions,
    /// The reader waits on this stream too. An entry in it has it look at what has changed.
    pub(super) control: String,
    state: Mutex<State>,
    closed: Condvar,
}

#[derive(Default)]
struct State {
    changes: Vec<Change>,
    /// The reader has not been told of all changes.
    untold: bool,
    closed: bool,
}

/// A channel that comes or goes.
pub(super) enum Change {
    Subscribe { channel: Arc<str>, life: u64, depth: Depth },
    Unsubscribe { channel: Arc<str>, life: u64 },
}

impl Shared {
    pub(super) fn new(options: RedisOptions) -> Shared {
        let control = options.control_key();
        Shared { options, control, state: Mutex::default(), closed: Condvar::new() }
    }

    pub(super) fn change(&self, change: Change) {
        let mut state = self.lock();
        state.changes.push(change);
        state.untold = true;
    }

    /// What has changed since the last call; `None` when the broker has gone.
    pub(super) fn take_changes(&self) -> Option<Vec<Change>> {
        let mut state = self.lock();
        (!state.closed).then(|| mem::take(&mut state.changes))
    }

    /// Whether the reader is to be told, which is then left to the caller.
    pub(super) fn take_untold(&self) -> bool {
        mem::take(&mut self.lock().untold)
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        (state.closed, state.untold) = (true, true);
        self.closed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits, but not longer than the broker is there.
    pub(super) fn pause(&self, time: Duration) {
        let waited = self.closed.wait_timeout_while(self.lock(), time, |state| !state.closed);
        drop(waited);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pauses between attempts to connect: twice as long each time, and random, so that those who lost the same server do not
/// come back together.
#[derive(Default)]
pub(super) struct BackOff {
    attempts: u32,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    pub(super) fn next(&mut self) -> Duration {
        let longest = (Self::FIRST * 2u32.saturating_pow(self.attempts.min(10))).min(Self::LONGEST);
        self.attempts += 1;
        jitter::between(RangeInclusive::new(longest / 2, longest))
    }

    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}
