//! [`Timers`]: deadlines in a heap; what they are for lies in `slot`.

mod slot;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, collections::BinaryHeap, mem, panic::Location, task::Waker};

use crate::arena::{Arena, ArenaKey, KEEP, growth};

use slot::Slot;
pub(crate) use slot::{Action, Sleeper};

/// Names a callback given to [`call_later`](crate::IOLoop::call_later) or [`call_at`](crate::IOLoop::call_at), for
/// [`remove_timeout`](crate::IOLoop::remove_timeout) of the same loop. Dropping it changes nothing. Once the callback has
/// been called or cancelled it names nothing, and never one that was set later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeoutHandle(pub(crate) ArenaKey);

/// All timers of a loop: a heap of deadlines with lazy cancellation, and the slots the deadlines point to.
///
/// Times are nanoseconds since the loop's beginning. Equal deadlines fire in the order in which they were set.
pub(crate) struct Timers {
    heap: BinaryHeap<Entry>,
    slots: Arena<Slot>,
    /// Orders equal deadlines and tells a slot's live heap entry from its outdated ones: no two entries have the same,
    /// and one made later has a greater one. To keep it so, the entries are numbered anew at the end of `u32`.
    next_sequence: u32,
    /// What was set from this sequence on is not popped before firing begins anew.
    fire_before: u32,
    /// How many entries of the heap are outdated.
    dead: usize,
}

/// Sixteen bytes, which is why the sequence is not a `u64`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    at: u64,
    sequence: u32,
    slot: u32,
}

/// What is to be done for a timer that is due.
pub(crate) enum Due {
    Call(Box<dyn FnOnce()>, &'static Location<'static>),
    /// A task of the loop.
    Task(ArenaKey),
    Wake(Waker),
}

/// What [`Timers::start`] has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Started {
    /// All is done: the deadline has become later, and the task that waits is the same.
    Later,
    /// Nothing is done.
    Not,
}

/// A clone of the waker is to be given to [`Timers::set_waker`].
pub(crate) struct MustClone;

/// The deadline of a timer that is not set.
pub(crate) const NEVER: u64 = u64::MAX;

/// Outdated entries are swept out when there are more than this many and more than half are outdated (Tornado's rule):
/// amortised constant, and memory stays within twice the live timers.
const COMPACT_ABOVE: usize = 512;

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers { heap: BinaryHeap::new(), slots: Arena::new(), next_sequence: 0, fire_before: 0, dead: 0 }
    }

    pub(crate) fn insert(&mut self, due: u64, action: Action) -> ArenaKey {
        let key = self.slots.insert(Slot::new(due, self.next_sequence, action));
        if due != NEVER {
            self.push(due, key.index);
        }
        key
    }

    pub(crate) fn remove(&mut self, key: ArenaKey) -> Option<Action> {
        let slot = self.slots.remove(key)?;
        if slot.armed() != NEVER {
            self.dead += 1;
            self.compact();
        }
        Some(slot.into_action())
    }

    /// Moves the deadline of a timer that wakes. Later is a store. Returns whether it is earlier than what is armed: then
    /// the timer is to be [armed](Timers::arm) anew.
    #[inline]
    pub(crate) fn set_due(&mut self, key: ArenaKey, new: u64) -> bool {
        let Some(Slot::Wake { due, armed, .. }) = self.slots.get_mut(key) else {
            return false;
        };
        *due = new;
        new < *armed
    }

    /// Makes the heap entry of a timer whose deadline was moved ahead.
    pub(crate) fn arm(&mut self, key: ArenaKey) {
        let Some(Slot::Wake { sequence, due, armed, .. }) = self.slots.get_mut(key) else {
            return;
        };
        let due = *due;
        if mem::replace(armed, due) != NEVER {
            self.dead += 1;
        }
        *sequence = self.next_sequence;
        self.push(due, key.index);
        self.compact();
    }

    /// How many there are, set or not.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn due(&self, key: ArenaKey) -> u64 {
        self.slots.get(key).map_or(NEVER, Slot::due)
    }

    /// Moves a timer that wakes to later, for the task that has waited for it before: what a connection does with each
    /// request.
    #[inline]
    pub(crate) fn start(&mut self, key: ArenaKey, new: u64, task: Option<ArenaKey>) -> Started {
        match self.slots.get_mut(key) {
            Some(Slot::Wake { due, armed, sleeper: Sleeper::Task(known), .. })
                if new >= *armed && task == Some(*known) =>
            {
                *due = new;
                Started::Later
            }
            _ => Started::Not,
        }
    }

    /// Keeps whoever has `waker` for a timer that wakes, `task` if it is one of the loop. Gives back who waited before, to be
    /// dropped outside of the borrow.
    ///
    /// # Errors
    ///
    /// Somebody else has to be cloned, which is foreign code.
    pub(crate) fn keep(&mut self, key: ArenaKey, waker: &Waker, task: Option<ArenaKey>) -> Result<Sleeper, MustClone> {
        match (self.slots.get_mut(key), task) {
            (Some(Slot::Wake { sleeper, .. }), Some(task)) => Ok(mem::replace(sleeper, Sleeper::Task(task))),
            (Some(Slot::Wake { sleeper: Sleeper::Other(known), .. }), None) if known.will_wake(waker) => {
                Ok(Sleeper::Nobody)
            }
            (Some(Slot::Wake { .. }), None) => Err(MustClone),
            (Some(Slot::Call { .. }) | None, _) => Ok(Sleeper::Nobody),
        }
    }

    /// Keeps `waker` for a timer that wakes. Returns what is not needed, to be dropped outside of the borrow.
    pub(crate) fn set_waker(&mut self, key: ArenaKey, waker: Waker) -> Sleeper {
        let waker = Sleeper::Other(Box::new(waker));
        match self.slots.get_mut(key) {
            Some(Slot::Wake { sleeper, .. }) => mem::replace(sleeper, waker),
            Some(Slot::Call { .. }) | None => waker,
        }
    }

    /// What is set from here on is left alone by [`pop_due`](Timers::pop_due), until the next time: a timer that sets
    /// itself again for the same instant does not hold the loop. Says by how much `now` is late for the first timer, or
    /// that it is for none.
    pub(crate) fn begin_firing(&mut self, now: u64) -> Option<u64> {
        self.fire_before = self.next_sequence;
        if self.heap.peek()?.at > now {
            return None;
        }
        now.checked_sub(self.next_deadline()?)
    }

    /// Takes the next timer that is due at `now` and was set before firing began. What is set meanwhile must not be due
    /// before `now`.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<Due> {
        while let Some(entry) = self.heap.peek() {
            // Sorted behind all that are as due and were set before: none of those is left.
            if entry.at > now || entry.sequence >= self.fire_before {
                return None;
            }
            let entry = *entry;
            self.heap.pop();
            if let Some(due) = self.fire(entry, now) {
                return Some(due);
            }
        }
        None
    }

    /// When the next timer is to be looked at. Drops outdated entries from the top.
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        while let Some(entry) = self.heap.peek() {
            if entry.is_live(&self.slots) {
                return Some(entry.at);
            }
            self.heap.pop();
            self.dead -= 1;
        }
        None
    }

    pub(crate) fn drain(&mut self) -> Vec<Action> {
        self.heap.clear();
        self.dead = 0;
        let mut actions = Vec::new();
        self.slots.drain(|_, slot| actions.push(slot.into_action()));
        actions
    }

    /// Makes the heap entry of a slot that has been given the next sequence.
    fn push(&mut self, at: u64, slot: u32) {
        if self.heap.len() == self.heap.capacity() {
            self.grow();
        }
        self.heap.push(Entry { at, sequence: self.next_sequence, slot });
        self.next_sequence += 1;
        if self.next_sequence == u32::MAX {
            self.renumber();
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.heap.reserve_exact(growth(self.heap.len()));
    }

    /// Handles a popped heap entry: outdated, moved to later, or really due.
    fn fire(&mut self, entry: Entry, now: u64) -> Option<Due> {
        let Some((key, slot)) = self.slots.at_mut(entry.slot).filter(|(_, slot)| slot.sequence() == entry.sequence)
        else {
            self.dead -= 1;
            return None;
        };
        if let Slot::Wake { sequence, due, armed, sleeper } = slot {
            if *due <= now {
                *armed = NEVER;
                return match mem::take(sleeper) {
                    Sleeper::Nobody => None,
                    Sleeper::Task(task) => Some(Due::Task(task)),
                    Sleeper::Other(waker) => Some(Due::Wake(*waker)),
                };
            }
            let due = *due;
            *armed = due;
            *sequence = self.next_sequence;
            if due != NEVER {
                self.push(due, entry.slot);
            }
            return None;
        }
        match self.slots.remove(key)?.into_action() {
            Action::Call(callback, location) => Some(Due::Call(callback, location)),
            Action::Wake(_) => None,
        }
    }

    fn compact(&mut self) {
        if self.dead > COMPACT_ABOVE && self.dead > self.heap.len() / 2 {
            self.sweep();
        }
    }

    /// Drops all outdated entries, and room that is not needed for the others.
    fn sweep(&mut self) {
        self.retain_live();
        self.heap.shrink_to(2 * self.heap.len());
    }

    fn retain_live(&mut self) {
        let slots = &self.slots;
        self.heap.retain(|entry| entry.is_live(slots));
        self.dead = 0;
    }

    /// Drops all outdated entries, and does with the others as [`Arena::move_ahead`].
    #[cold]
    pub(crate) fn move_ahead(&mut self) -> impl Sized + use<> {
        self.retain_live();
        let mut left = BinaryHeap::new();
        if self.heap.len() <= KEEP {
            let entries = self.heap.as_slice().to_vec();
            left = mem::replace(&mut self.heap, BinaryHeap::from(entries));
        } else {
            self.heap.shrink_to_fit();
        }
        (left, self.slots.move_ahead())
    }

    /// Numbers the entries from zero on, in the order they had, which leaves the heap in order. Once in four billion
    /// entries this sorts what is set. Letting the numbers wrap instead would not do: compared as they are, they would
    /// turn the order around at the wrap, and compared by their distance they would be no order any more as soon as a
    /// timer lives through two billion others.
    #[cold]
    fn renumber(&mut self) {
        // A slot without a live entry keeps a number that is given out again, yet not to an entry for the same slot:
        // its old ones are swept out here, and the next one renews the number.
        self.sweep();
        let mut entries = mem::take(&mut self.heap).into_vec();
        // Each entry has a slot of its own, and slots are counted in `u32`: the casts lose nothing.
        self.fire_before = entries.iter().filter(|entry| entry.sequence < self.fire_before).count() as u32;
        self.next_sequence = entries.len() as u32;
        // A heap of the old numbers with the places of their entries: the code of a sort would be a thirtieth of what
        // this crate takes to build.
        let mut places = BinaryHeap::with_capacity(entries.len());
        for (entry, place) in entries.iter().zip(0..) {
            places.push(Entry { at: entry.sequence.into(), sequence: 0, slot: place });
        }
        for sequence in 0..self.next_sequence {
            let Some(first) = places.pop() else { break };
            let entry = &mut entries[first.slot as usize];
            entry.sequence = sequence;
            if let Some((_, slot)) = self.slots.at_mut(entry.slot) {
                slot.set_sequence(sequence);
            }
        }
        self.heap = BinaryHeap::from(entries);
    }
}

impl Entry {
    fn is_live(&self, slots: &Arena<Slot>) -> bool {
        slots.at(self.slot).is_some_and(|(_, slot)| slot.sequence() == self.sequence)
    }
}

/// `BinaryHeap` is a max-heap: the greatest entry is the earliest.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
