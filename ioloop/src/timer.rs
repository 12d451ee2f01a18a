use std::{cmp::Ordering, collections::BinaryHeap, panic::Location, task::Waker};

use crate::{
    WorkKind,
    arena::{Arena, Key},
    context,
};

/// Names a callback given to `call_later` or `call_at`, for `remove_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeoutHandle(pub(crate) Key);

/// All timers of a loop: a heap of deadlines with lazy cancellation, and the slots the deadlines point to.
///
/// Times are nanoseconds since the loop's beginning. Equal deadlines fire in the order in which they were set.
pub(crate) struct Timers {
    heap: BinaryHeap<Entry>,
    slots: Arena<Slot>,
    /// Orders equal deadlines and tells a slot's live heap entry from its outdated ones. Zero stands for no entry.
    next_sequence: u64,
    /// How many entries of the heap are outdated.
    dead: usize,
}

#[derive(PartialEq, Eq)]
struct Entry {
    at: u64,
    sequence: u64,
    slot: u32,
}

struct Slot {
    /// When to fire. Later than `armed` after the deadline was moved: then the heap entry re-arms instead of firing.
    due: u64,
    /// The deadline of the live heap entry, `NEVER` when there is none.
    armed: u64,
    /// The sequence of the heap entry armed last; zero before the first.
    sequence: u64,
    action: Action,
}

/// What a timer does when it fires.
pub(crate) enum Action {
    /// Runs once; the slot is freed.
    Call(Box<dyn FnOnce()>, &'static Location<'static>),
    /// Wakes whoever waits; the slot stays with its holder, a [`Deadline`](crate::Deadline) or [`Sleep`](crate::Sleep).
    Wake(Option<Waker>),
}

impl Action {
    /// A call that belongs to the current context.
    pub(crate) fn call(callback: impl FnOnce() + 'static, location: &'static Location<'static>) -> Action {
        Action::Call(context::bind_callback(Box::new(callback), WorkKind::Timer, location), location)
    }
}

/// What is to be done for a timer that is due.
pub(crate) enum Due {
    Call(Box<dyn FnOnce()>, &'static Location<'static>),
    Wake(Waker),
}

/// The deadline of a timer that is not set.
pub(crate) const NEVER: u64 = u64::MAX;

/// Outdated entries are swept out when there are more than this many and more than half are outdated (Tornado's rule):
/// amortised constant, and memory stays within twice the live timers.
const COMPACT_ABOVE: usize = 512;

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers { heap: BinaryHeap::new(), slots: Arena::new(), next_sequence: 1, dead: 0 }
    }

    pub(crate) fn insert(&mut self, due: u64, action: Action) -> Key {
        let key = self.slots.insert(Slot { due, armed: NEVER, sequence: 0, action });
        if due != NEVER {
            self.arm(key.index, due);
        }
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Action> {
        let slot = self.slots.remove(key)?;
        if slot.armed != NEVER {
            self.dead += 1;
            self.compact();
        }
        Some(slot.action)
    }

    /// Moves a deadline. Later is a store; earlier than what is armed is an insertion.
    pub(crate) fn set_due(&mut self, key: Key, due: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.due = due;
        if due >= slot.armed {
            return;
        }
        if slot.armed != NEVER {
            self.dead += 1;
        }
        self.arm(key.index, due);
        self.compact();
    }

    /// How many there are, set or not.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn due(&self, key: Key) -> u64 {
        self.slots.get(key).map_or(NEVER, |slot| slot.due)
    }

    /// Keeps `waker` for a timer that wakes.
    pub(crate) fn set_waker(&mut self, key: Key, waker: &Waker) -> Option<Waker> {
        match &mut self.slots.get_mut(key)?.action {
            Action::Wake(Some(known)) if known.will_wake(waker) => None,
            Action::Wake(place) => place.replace(waker.clone()),
            Action::Call(..) => None,
        }
    }

    /// A mark for [`pop_due`](Timers::pop_due): timers set from now on are not popped under it.
    pub(crate) fn mark(&self) -> u64 {
        self.next_sequence
    }

    /// Takes the next timer that is due at `now` and was set before `mark`. The mark keeps a timer that sets itself again
    /// for the same instant from holding the loop.
    pub(crate) fn pop_due(&mut self, now: u64, mark: u64) -> Option<Due> {
        while let Some(entry) = self.heap.peek() {
            if entry.at > now || entry.sequence >= mark {
                return None;
            }
            let (index, sequence) = (entry.slot, entry.sequence);
            self.heap.pop();
            if let Some(due) = self.fire(index, sequence, now) {
                return Some(due);
            }
        }
        None
    }

    /// When the next timer is to be looked at. Drops outdated entries from the top.
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        while let Some(entry) = self.heap.peek() {
            if self.slots.at(entry.slot).is_some_and(|(_, slot)| slot.sequence == entry.sequence) {
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
        self.slots.drain().into_iter().map(|(_, slot)| slot.action).collect()
    }

    fn arm(&mut self, index: u32, at: u64) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if let Some((_, slot)) = self.slots.at_mut(index) {
            slot.armed = at;
            slot.sequence = sequence;
            self.heap.push(Entry { at, sequence, slot: index });
        }
    }

    /// Handles a popped heap entry: outdated, moved to later, or really due.
    fn fire(&mut self, index: u32, sequence: u64, now: u64) -> Option<Due> {
        let Some((key, slot)) = self.slots.at_mut(index).filter(|(_, slot)| slot.sequence == sequence) else {
            self.dead -= 1;
            return None;
        };
        slot.armed = NEVER;
        if slot.due > now {
            let due = slot.due;
            if due != NEVER {
                self.arm(index, due);
            }
            return None;
        }
        match &mut slot.action {
            Action::Wake(waker) => waker.take().map(Due::Wake),
            Action::Call(..) => match self.slots.remove(key)?.action {
                Action::Call(call, location) => Some(Due::Call(call, location)),
                Action::Wake(_) => None,
            },
        }
    }

    fn compact(&mut self) {
        if self.dead > COMPACT_ABOVE && self.dead > self.heap.len() / 2 {
            let slots = &self.slots;
            self.heap.retain(|entry| slots.at(entry.slot).is_some_and(|(_, slot)| slot.sequence == entry.sequence));
            self.heap.shrink_to(2 * self.heap.len());
            self.dead = 0;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

    #[derive(Debug, Clone)]
    enum Op {
        Insert { due: u64 },
        Remove(prop::sample::Index),
        Move(prop::sample::Index, u64),
        Advance(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0u64..50).prop_map(|due| Op::Insert { due }),
            1 => Just(Op::Insert { due: NEVER }),
            2 => any::<prop::sample::Index>().prop_map(Op::Remove),
            2 => (any::<prop::sample::Index>(), 0u64..80).prop_map(|(which, due)| Op::Move(which, due)),
            1 => any::<prop::sample::Index>().prop_map(|which| Op::Move(which, NEVER)),
            2 => (0u64..20).prop_map(Op::Advance),
        ]
    }

    fn fired(timers: &mut Timers, now: u64, log: &Rc<RefCell<Vec<usize>>>) -> Vec<usize> {
        let mark = timers.mark();
        while let Some(due) = timers.pop_due(now, mark) {
            match due {
                Due::Call(call, _) => call(),
                Due::Wake(_) => unreachable!("only calls are inserted"),
            }
        }
        std::mem::take(&mut *log.borrow_mut())
    }

    proptest! {
        /// The model is a plain list of deadlines. Moved timers keep no promise about their place among equals, so the
        /// model compares order only by deadline, and by insertion for those never moved.
        #[test]
        fn fires_what_is_due_in_order_whatever_was_cancelled_or_moved(ops in prop::collection::vec(op(), 1..120)) {
            let mut timers = Timers::new();
            let log = Rc::new(RefCell::new(Vec::new()));
            let mut model: BTreeMap<usize, (u64, bool)> = BTreeMap::new();
            let mut keys: Vec<Key> = Vec::new();
            let mut now = 0;
            for op in ops {
                match op {
                    Op::Insert { due } => {
                        let (id, log) = (keys.len(), Rc::clone(&log));
                        let due = due.saturating_add(now);
                        let call = Box::new(move || log.borrow_mut().push(id));
                        keys.push(timers.insert(due, Action::Call(call, Location::caller())));
                        model.insert(id, (due, false));
                    }
                    Op::Remove(which) if !keys.is_empty() => {
                        let id = which.index(keys.len());
                        prop_assert_eq!(timers.remove(keys[id]).is_some(), model.remove(&id).is_some());
                    }
                    Op::Move(which, due) if !keys.is_empty() => {
                        let id = which.index(keys.len());
                        let due = due.saturating_add(now);
                        timers.set_due(keys[id], due);
                        if let Some(entry) = model.get_mut(&id) {
                            *entry = (due, true);
                        }
                    }
                    Op::Advance(by) => {
                        now += by;
                        let next = timers.next_deadline();
                        prop_assert!(next.unwrap_or(NEVER) <= model.values().map(|(due, _)| *due).min().unwrap_or(NEVER));
                        let got = fired(&mut timers, now, &log);
                        let mut expected: Vec<(u64, usize)> =
                            model.iter().filter(|(_, (due, _))| *due <= now).map(|(id, (due, _))| (*due, *id)).collect();
                        expected.sort_unstable();
                        let mut sorted = got.clone();
                        sorted.sort_unstable();
                        let mut ids: Vec<usize> = expected.iter().map(|(_, id)| *id).collect();
                        ids.sort_unstable();
                        prop_assert_eq!(sorted, ids);
                        let unmoved: Vec<usize> = got.iter().copied().filter(|id| !model[id].1).collect();
                        let expected_unmoved: Vec<usize> =
                            expected.iter().map(|(_, id)| *id).filter(|id| !model[id].1).collect();
                        prop_assert_eq!(unmoved, expected_unmoved);
                        model.retain(|_, (due, _)| *due > now);
                    }
                    _ => {}
                }
                let live = timers.slots.len();
                prop_assert!(timers.heap.len() <= live + timers.dead, "an outdated entry is not counted");
                prop_assert!(timers.dead <= timers.heap.len());
            }
        }
    }

    #[test]
    fn entry_of_a_removed_timer_is_not_taken_for_that_of_its_successor() {
        let mut timers = Timers::new();
        let first = timers.insert(10, Action::Wake(None));
        timers.remove(first);
        let unset = timers.insert(NEVER, Action::Wake(None));
        assert_eq!(unset.index, first.index);
        assert_eq!(timers.next_deadline(), None);
        assert_eq!(timers.dead, 0);
    }

    #[test]
    fn cancelled_timers_are_swept_out_of_the_heap() {
        let mut timers = Timers::new();
        let keep = timers.insert(1, Action::Wake(None));
        for _ in 0..10_000 {
            let key = timers.insert(3_600, Action::Wake(None));
            timers.remove(key);
        }
        assert!(timers.heap.len() <= 2 * COMPACT_ABOVE, "{} entries kept", timers.heap.len());
        assert_eq!(timers.due(keep), 1);
    }

    #[test]
    fn deadline_moved_to_later_costs_no_heap_entry() {
        let mut timers = Timers::new();
        let key = timers.insert(10, Action::Wake(None));
        for due in 11..1_000 {
            timers.set_due(key, due);
        }
        assert_eq!(timers.heap.len(), 1);
        assert!(timers.pop_due(10, timers.mark()).is_none());
        assert_eq!(timers.next_deadline(), Some(999));
    }
}
