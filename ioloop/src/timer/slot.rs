use std::{panic::Location, task::Waker};

use crate::{WorkKind, arena::ArenaKey, context};

/// What a timer does when it fires.
pub(crate) enum Action {
    /// Runs once; the slot is freed.
    Call(Box<dyn FnOnce()>, &'static Location<'static>),
    /// Wakes whoever waits; the slot stays with its holder, a [`Deadline`](crate::Deadline) or [`Sleep`](crate::Sleep).
    Wake(Sleeper),
}

/// Who waits for a timer.
#[derive(Default)]
pub(crate) enum Sleeper {
    #[default]
    Nobody,
    /// A task of the loop.
    Task(ArenaKey),
    /// Somebody else. Boxed, or every timer would be larger.
    Other(Box<Waker>),
}

impl Action {
    /// A call that belongs to the current context.
    pub(crate) fn call(callback: Box<dyn FnOnce()>, location: &'static Location<'static>) -> Action {
        Action::Call(context::bind_callback(callback, WorkKind::Timer, location), location)
    }
}

/// A timer in its place. Calls are never moved and need one deadline, those that wake need two but no location: told
/// apart here, and not by an `Action` beside both deadlines, a slot takes eight bytes less.
pub(super) enum Slot {
    Call {
        /// That of its heap entry.
        sequence: u32,
        /// `NEVER` when there is no heap entry.
        due: u64,
        callback: Box<dyn FnOnce()>,
        location: &'static Location<'static>,
    },
    Wake {
        /// That of the heap entry made last; one that no entry for this slot has before the first.
        sequence: u32,
        /// When to fire. Later than `armed` after the deadline was moved: then the heap entry re-arms instead of
        /// firing.
        due: u64,
        /// The deadline of the live heap entry, `NEVER` when there is none.
        armed: u64,
        sleeper: Sleeper,
    },
}

/// With the generation that the arena adds, and sixteen bytes of heap entry, a timer takes 64 bytes.
const _: () = assert!(size_of::<Slot>() == 40);

impl Slot {
    pub(super) fn new(due: u64, sequence: u32, action: Action) -> Slot {
        match action {
            Action::Call(callback, location) => Slot::Call { sequence, due, callback, location },
            Action::Wake(sleeper) => Slot::Wake { sequence, due, armed: due, sleeper },
        }
    }

    pub(super) fn into_action(self) -> Action {
        match self {
            Slot::Call { callback, location, .. } => Action::Call(callback, location),
            Slot::Wake { sleeper, .. } => Action::Wake(sleeper),
        }
    }

    pub(super) fn due(&self) -> u64 {
        let (Slot::Call { due, .. } | Slot::Wake { due, .. }) = self;
        *due
    }

    /// The deadline of the live heap entry, `NEVER` when there is none.
    pub(super) fn armed(&self) -> u64 {
        let (Slot::Call { due: armed, .. } | Slot::Wake { armed, .. }) = self;
        *armed
    }

    pub(super) fn sequence(&self) -> u32 {
        let (Slot::Call { sequence, .. } | Slot::Wake { sequence, .. }) = self;
        *sequence
    }

    pub(super) fn set_sequence(&mut self, new: u32) {
        let (Slot::Call { sequence, .. } | Slot::Wake { sequence, .. }) = self;
        *sequence = new;
    }
}
