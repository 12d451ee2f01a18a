use std::cell::Cell;

/// How long a loop with work in its queue goes on with that before it looks at descriptors, threads and timers again.
///
/// A look costs a system call and a reading of the clock, 150 to 200 ns together and as much as five wake-ups of a task.
/// Where one task wakes the next, a look after each would be most of the work. So a turn may leave it out; but no more
/// than [`PIECES`] run between two looks, beside what is in the queue when a turn begins, and no longer than [`PATIENCE`]
/// goes by, as far as the clock is asked: every [`GLANCE`] pieces, and whenever somebody gives way to the others by
/// waking itself or adding a callback, since that is what long computations do.
pub(super) struct Pace {
    /// How many pieces of work may still run before the next look.
    pieces: Cell<u32>,
    /// After how many pieces the clock is to be asked.
    glance: Cell<u32>,
}

/// Other loops choose about as much: tokio looks after 61 tasks.
const PIECES: u32 = 64;

/// In nanoseconds. A look each time is then half a percent of the work.
const PATIENCE: u64 = 50_000;

const GLANCE: u32 = 8;

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { pieces: Cell::new(0), glance: Cell::new(0) }
    }

    /// The loop has looked.
    pub(super) fn begin(&self) {
        self.pieces.set(PIECES);
        self.glance.set(GLANCE);
    }

    /// So many pieces of work have run.
    pub(super) fn count(&self, pieces: u32) {
        self.pieces.set(self.pieces.get().saturating_sub(pieces));
        self.glance.set(self.glance.get().saturating_sub(pieces));
    }

    /// Somebody has put off the rest of its work.
    pub(super) fn give_way(&self) {
        self.glance.set(0);
    }

    /// Whether the loop has to look before it goes on; `since` is how long it has not, in nanoseconds, asked when needed.
    pub(super) fn is_over(&self, since: impl FnOnce() -> u64) -> bool {
        if self.pieces.get() == 0 {
            return true;
        }
        if self.glance.get() > 0 {
            return false;
        }
        self.glance.set(GLANCE);
        since() > PATIENCE
    }
}
