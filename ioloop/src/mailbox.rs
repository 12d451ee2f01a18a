//! How work reaches a sleeping loop from other threads: publish, look whether it sleeps, signal.

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, Ordering},
};
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, Ordering},
};

/// A list that any thread may push to and one thread takes, with the protocol by which the one may sleep.
///
/// This file stands alone, without a path into the crate: `tests/loom.rs` includes it and tries every interleaving.
///
/// All of the protocol is one atomic byte, so that all threads agree on the order of its changes. With two flags, one for
/// each side, nothing less than sequential consistency would keep both sides from overlooking each other.
pub(crate) struct Mailbox<T> {
    letters: Mutex<Letters<T>>,
    /// One of the constants below.
    state: AtomicU8,
}

struct Letters<T> {
    list: Vec<T>,
    closed: bool,
}

/// The owner is awake, and there was nothing to take when it last looked.
const IDLE: u8 = 0;
/// Something was pushed since the owner last took. Never left by a sender.
const PENDING: u8 = 1;
/// The owner waits, or is about to. Whoever changes this to `PENDING` signals; nobody else has to.
const SLEEPING: u8 = 2;

/// What is left for a sender to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an owner that sleeps has to be woken"]
pub(crate) enum Delivery {
    /// The owner will look by itself, or somebody else has signalled it.
    Noticed,
    /// The owner sleeps: signal it.
    MustSignal,
}

/// A burst makes the list grow; more room than this is given back after it.
const KEPT_CAPACITY: usize = 1024;

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Mailbox<T> {
        Mailbox { letters: Mutex::new(Letters { list: Vec::new(), closed: false }), state: AtomicU8::new(IDLE) }
    }

    /// Publishes a letter. Gives it back when the mailbox is closed: it may hold user values, which are to be dropped
    /// outside of the lock.
    pub(crate) fn push(&self, letter: T) -> Result<Delivery, T> {
        let mut letters = self.lock();
        if letters.closed {
            return Err(letter);
        }
        letters.list.push(letter);
        drop(letters);
        // Behind the push: an owner that finds `PENDING` finds the letter.
        match self.state.swap(PENDING, Ordering::AcqRel) {
            SLEEPING => Ok(Delivery::MustSignal),
            _ => Ok(Delivery::Noticed),
        }
    }

    /// Declares that the owner is about to wait. False when something has come in and it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.state.compare_exchange(IDLE, SLEEPING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The wait is over, for whatever reason. From here on nobody has to signal.
    pub(crate) fn wake_up(&self) {
        // Fails when a sender was first, which is as good.
        let _ = self.state.compare_exchange(SLEEPING, IDLE, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether something has come in, at the cost of one load. For the owner, awake.
    #[inline]
    pub(crate) fn has_letters(&self) -> bool {
        self.state.load(Ordering::Relaxed) == PENDING
    }

    /// Moves what has come in to `into`, which is empty and whose capacity is left in exchange. False, at the cost of one
    /// load, when there is nothing. For the owner, awake.
    pub(crate) fn take(&self, into: &mut Vec<T>) -> bool {
        if !self.has_letters() {
            return false;
        }
        // Cleared before the list is taken: a push that comes in between leaves `PENDING` and an empty list, which costs
        // one look, never a lost letter.
        self.state.swap(IDLE, Ordering::AcqRel);
        into.shrink_to(KEPT_CAPACITY);
        std::mem::swap(&mut self.lock().list, into);
        true
    }

    /// Refuses letters from here on; what has not been taken is for the caller to drop.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut letters = self.lock();
        letters.closed = true;
        std::mem::take(&mut letters.list)
    }

    /// Nothing that can panic runs under the lock: a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Letters<T>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
