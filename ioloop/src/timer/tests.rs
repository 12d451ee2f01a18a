use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex},
    task::Wake,
};

use proptest::prelude::*;

use super::*;
use crate::arena;

/// What has fired, by the numbers given to [`call`](Log::call) and [`wake`](Log::wake).
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<usize>>>);

struct Note {
    id: usize,
    log: Log,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.log.push(self.id);
    }
}

impl Log {
    fn push(&self, id: usize) {
        self.0.lock().unwrap().push(id);
    }

    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn waker(&self, id: usize) -> Waker {
        Waker::from(Arc::new(Note { id, log: self.clone() }))
    }

    fn wake(&self, id: usize) -> Action {
        Action::Wake(Sleeper::Other(Box::new(self.waker(id))))
    }

    fn call(&self, id: usize) -> Action {
        self.call_and(id, || {})
    }

    fn call_and(&self, id: usize, then: impl FnOnce() + 'static) -> Action {
        let log = self.clone();
        let call = move || {
            log.push(id);
            then();
        };
        Action::Call(Box::new(call), Location::caller())
    }
}

/// Timers that have `left` sequences before they number their entries anew.
fn with_sequences_left(left: u32) -> Timers {
    Timers { next_sequence: u32::MAX - left, ..Timers::new() }
}

/// Nothing is borrowed while a timer fires.
fn fire(timers: &RefCell<Timers>, now: u64) {
    // As the loop does it: none is popped unless one is due.
    if timers.borrow_mut().begin_firing(now).is_none() {
        return;
    }
    loop {
        let due = timers.borrow_mut().pop_due(now);
        match due {
            Some(Due::Call(call, _)) => call(),
            Some(Due::Wake(waker)) => waker.wake(),
            Some(Due::Task(task)) => panic!("{task:?} was never set"),
            None => break,
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Insert { due: u64, wakes: bool },
    Remove(prop::sample::Index),
    Move(prop::sample::Index, u64),
    Advance(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u64..50, any::<bool>()).prop_map(|(due, wakes)| Op::Insert { due, wakes }),
        1 => any::<bool>().prop_map(|wakes| Op::Insert { due: NEVER, wakes }),
        2 => any::<prop::sample::Index>().prop_map(Op::Remove),
        4 => (any::<prop::sample::Index>(), 0u64..80).prop_map(|(which, due)| Op::Move(which, due)),
        1 => any::<prop::sample::Index>().prop_map(|which| Op::Move(which, NEVER)),
        2 => (0u64..20).prop_map(Op::Advance),
    ]
}

/// A timer as the model knows it.
struct Known {
    due: u64,
    wakes: bool,
    moved: bool,
}

/// Moves a deadline as the loop does.
fn set_due(timers: &mut Timers, key: ArenaKey, due: u64) -> bool {
    let is_earlier = timers.set_due(key, due);
    if is_earlier {
        timers.arm(key);
    }
    is_earlier
}

proptest! {
    /// The model is a plain list of deadlines. Moved timers keep no promise about their place among equals, so the
    /// model compares order only by deadline, and by insertion for those never moved.
    #[test]
    fn fires_what_is_due_in_order_whatever_was_cancelled_or_moved(
        left in prop_oneof![Just(u32::MAX), 1u32..100],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let timers = RefCell::new(with_sequences_left(left));
        let log = Log::default();
        let mut model: BTreeMap<usize, Known> = BTreeMap::new();
        let mut keys: Vec<ArenaKey> = Vec::new();
        let mut now = 0;
        for op in ops {
            match op {
                Op::Insert { due, wakes } => {
                    let (id, due) = (keys.len(), due.saturating_add(now));
                    let action = if wakes { log.wake(id) } else { log.call(id) };
                    keys.push(timers.borrow_mut().insert(due, action));
                    model.insert(id, Known { due, wakes, moved: false });
                }
                Op::Remove(which) if !keys.is_empty() => {
                    let id = which.index(keys.len());
                    prop_assert_eq!(timers.borrow_mut().remove(keys[id]).is_some(), model.remove(&id).is_some());
                }
                Op::Move(which, due) if !keys.is_empty() => {
                    let id = which.index(keys.len());
                    let due = due.saturating_add(now);
                    set_due(&mut timers.borrow_mut(), keys[id], due);
                    timers.borrow_mut().set_waker(keys[id], log.waker(id));
                    if let Some(known) = model.get_mut(&id).filter(|known| known.wakes) {
                        *known = Known { due, wakes: true, moved: true };
                    }
                }
                Op::Advance(by) => {
                    now += by;
                    let next = timers.borrow_mut().next_deadline().unwrap_or(NEVER);
                    prop_assert!(next <= model.values().map(|known| known.due).min().unwrap_or(NEVER));
                    fire(&timers, now);
                    let got = log.take();
                    let due = model.iter().filter(|(_, known)| known.due <= now);
                    let mut expected: Vec<(u64, usize)> = due.map(|(id, known)| (known.due, *id)).collect();
                    expected.sort_unstable();
                    let expected: Vec<usize> = expected.into_iter().map(|(_, id)| id).collect();
                    let sorted = |ids: &[usize]| {
                        let mut ids = ids.to_vec();
                        ids.sort_unstable();
                        ids
                    };
                    prop_assert_eq!(sorted(&got), sorted(&expected));
                    let unmoved = |mut ids: Vec<usize>| {
                        ids.retain(|id| !model[id].moved);
                        ids
                    };
                    prop_assert_eq!(unmoved(got), unmoved(expected));
                    model.retain(|_, known| known.due > now || known.wakes);
                    // Those that wake stay, and wait until they are moved.
                    model.values_mut().filter(|known| known.due <= now).for_each(|known| known.due = NEVER);
                }
                _ => {}
            }
            let timers = timers.borrow();
            let live = timers.heap.iter().filter(|entry| entry.is_live(&timers.slots)).count();
            prop_assert_eq!(timers.heap.len(), live + timers.dead, "outdated entries are counted");
        }
    }
}

#[test]
fn timer_takes_sixty_four_bytes_whatever_it_does() {
    assert_eq!(arena::tests::bytes_per_entry::<Slot>() + size_of::<Entry>(), 64);
}

#[test]
fn entry_of_a_removed_timer_is_not_taken_for_that_of_its_successor() {
    let mut timers = Timers::new();
    let first = timers.insert(10, Action::Wake(Sleeper::Nobody));
    timers.remove(first);
    let unset = timers.insert(NEVER, Action::Wake(Sleeper::Nobody));
    assert_eq!(unset.index, first.index);
    assert_eq!(timers.next_deadline(), None);
    assert_eq!(timers.dead, 0);
}

#[test]
fn cancelled_timers_are_swept_out_of_the_heap() {
    let mut timers = Timers::new();
    let keep = timers.insert(1, Action::Wake(Sleeper::Nobody));
    for _ in 0..10_000 {
        let key = timers.insert(3_600, Action::Wake(Sleeper::Nobody));
        timers.remove(key);
    }
    assert!(timers.heap.len() <= 2 * COMPACT_ABOVE, "{} entries kept", timers.heap.len());
    assert_eq!(timers.due(keep), 1);
}

#[test]
fn deadline_moved_to_later_costs_no_heap_entry() {
    let mut timers = Timers::new();
    let key = timers.insert(10, Action::Wake(Sleeper::Nobody));
    for due in 11..1_000 {
        set_due(&mut timers, key, due);
    }
    assert_eq!(timers.heap.len(), 1);
    assert_eq!(timers.begin_firing(10), Some(0));
    assert!(timers.pop_due(10).is_none());
    assert_eq!(timers.next_deadline(), Some(999));
}

#[test]
fn lateness_is_that_of_the_first_timer_which_was_not_cancelled() {
    let mut timers = Timers::new();
    let cancelled = timers.insert(5, Action::Wake(Sleeper::Nobody));
    timers.insert(10, Action::Wake(Sleeper::Nobody));
    timers.insert(12, Action::Wake(Sleeper::Nobody));
    timers.remove(cancelled);
    assert_eq!(timers.begin_firing(4), None);
    assert_eq!(timers.begin_firing(9), None, "what was cancelled does not count");
    assert_eq!(timers.begin_firing(10), Some(0));
    assert_eq!(timers.begin_firing(15), Some(5));
}

#[test]
fn many_timers_leave_no_more_than_a_quarter_of_the_heap_unused() {
    let mut timers = Timers::new();
    for due in 0..100_000 {
        timers.insert(due, Action::Wake(Sleeper::Nobody));
        let (len, capacity) = (timers.heap.len(), timers.heap.capacity());
        assert!(len < 1024 || capacity <= len + len / 4, "{capacity} places for {len}");
    }
}

#[test]
fn timers_that_are_moved_ahead_fire_as_before_and_leave_no_room() {
    let (mut timers, log) = (Timers::new(), Log::default());
    let burst: Vec<_> = (0..2000).map(|due| timers.insert(due, Action::Wake(Sleeper::Nobody))).collect();
    for id in [2, 0, 1] {
        timers.insert(5000 + id as u64, log.call(id));
    }
    burst.into_iter().for_each(|key| drop(timers.remove(key)));
    drop(timers.move_ahead());
    assert_eq!((timers.heap.len(), timers.heap.capacity(), timers.dead), (3, 3, 0));
    timers.insert(5000, log.call(3));
    let timers = RefCell::new(timers);
    fire(&timers, 6000);
    assert_eq!(log.take(), [0, 3, 1, 2]);
}

/// While timers fire, here all at 10.
mod while_firing {
    use super::*;

    fn shared(timers: Timers) -> (Rc<RefCell<Timers>>, Log) {
        (Rc::new(RefCell::new(timers)), Log::default())
    }

    /// What fires at 10, and what at 10 once more.
    fn fire_twice(timers: &RefCell<Timers>, log: &Log) -> [Vec<usize>; 2] {
        [10, 10].map(|now| {
            fire(timers, now);
            log.take()
        })
    }

    #[test]
    fn timers_set_for_now_wait_for_the_next_time_and_keep_their_order() {
        let (timers, log) = shared(Timers::new());
        let (inner, inner_log) = (Rc::clone(&timers), log.clone());
        let first = log.call_and(1, move || {
            for id in [11, 12, 13] {
                inner.borrow_mut().insert(10, inner_log.call(id));
            }
        });
        timers.borrow_mut().insert(10, first);
        timers.borrow_mut().insert(10, log.call(2));
        assert_eq!(fire_twice(&timers, &log), [vec![1, 2], vec![11, 12, 13]]);
    }

    #[test]
    fn deadline_set_again_for_now_waits_for_the_next_time() {
        let (timers, log) = shared(Timers::new());
        let deadline = timers.borrow_mut().insert(5, log.wake(1));
        let (inner, waker) = (Rc::clone(&timers), log.waker(2));
        let set_again = log.call_and(3, move || {
            set_due(&mut inner.borrow_mut(), deadline, 10);
            inner.borrow_mut().set_waker(deadline, waker);
        });
        timers.borrow_mut().insert(6, set_again);
        timers.borrow_mut().insert(10, log.call(4));
        assert_eq!(fire_twice(&timers, &log), [vec![1, 3, 4], vec![2]]);
    }

    #[test]
    fn deadline_moved_from_later_to_now_waits_for_the_next_time() {
        let (timers, log) = shared(Timers::new());
        let deadline = timers.borrow_mut().insert(100, log.wake(1));
        let inner = Rc::clone(&timers);
        let advance = log.call_and(2, move || assert!(set_due(&mut inner.borrow_mut(), deadline, 10), "earlier"));
        timers.borrow_mut().insert(10, advance);
        timers.borrow_mut().insert(10, log.call(3));
        assert_eq!(fire_twice(&timers, &log), [vec![2, 3], vec![1]]);
        assert_eq!(timers.borrow_mut().next_deadline(), None);
    }

    #[test]
    fn deadline_moved_from_now_to_later_fires_then() {
        let (timers, log) = shared(Timers::new());
        let inner = Rc::clone(&timers);
        let deadline = Rc::new(RefCell::new(None));
        let moved = Rc::clone(&deadline);
        let delay =
            log.call_and(1, move || assert!(!set_due(&mut inner.borrow_mut(), moved.take().unwrap(), 50), "later"));
        timers.borrow_mut().insert(10, delay);
        deadline.replace(Some(timers.borrow_mut().insert(10, log.wake(2))));
        assert_eq!(fire_twice(&timers, &log), [vec![1], vec![]]);
        assert_eq!(timers.borrow_mut().next_deadline(), Some(50));
        fire(&timers, 50);
        assert_eq!(log.take(), [2]);
    }

    #[test]
    fn removed_timer_does_not_fire_and_its_successor_waits_for_the_next_time() {
        let (timers, log) = shared(Timers::new());
        let (inner, inner_log) = (Rc::clone(&timers), log.clone());
        let victim = Rc::new(RefCell::new(None));
        let removed = Rc::clone(&victim);
        let replace = log.call_and(1, move || {
            let removed: ArenaKey = removed.take().unwrap();
            assert!(inner.borrow_mut().remove(removed).is_some());
            let successor = inner.borrow_mut().insert(10, inner_log.call(3));
            assert_eq!(successor.index, removed.index);
        });
        timers.borrow_mut().insert(10, replace);
        victim.replace(Some(timers.borrow_mut().insert(10, log.call(2))));
        timers.borrow_mut().insert(10, log.call(4));
        assert_eq!(fire_twice(&timers, &log), [vec![1, 4], vec![3]]);
    }

    #[test]
    fn nothing_fires_after_all_was_drained_but_what_is_set_then() {
        let (timers, log) = shared(Timers::new());
        let (inner, inner_log) = (Rc::clone(&timers), log.clone());
        let drain = log.call_and(1, move || {
            assert_eq!(inner.borrow_mut().drain().len(), 2);
            inner.borrow_mut().insert(10, inner_log.call(4));
        });
        timers.borrow_mut().insert(10, drain);
        timers.borrow_mut().insert(10, log.call(2));
        timers.borrow_mut().insert(90, log.wake(3));
        assert_eq!(fire_twice(&timers, &log), [vec![1], vec![4]]);
    }

    /// For each place at which the sequences may end.
    #[test]
    fn new_numbers_leave_old_timers_before_and_new_ones_behind() {
        for left in 1..12 {
            let (timers, log) = shared(with_sequences_left(left));
            let (inner, inner_log) = (Rc::clone(&timers), log.clone());
            let late = timers.borrow_mut().insert(90, log.wake(19));
            let first = log.call_and(1, move || {
                for id in 11..16 {
                    inner.borrow_mut().insert(10, inner_log.call(id));
                }
                set_due(&mut inner.borrow_mut(), late, 10);
            });
            timers.borrow_mut().insert(10, first);
            for id in 2..5 {
                timers.borrow_mut().insert(10, log.call(id));
            }
            assert_eq!(fire_twice(&timers, &log), [vec![1, 2, 3, 4], vec![11, 12, 13, 14, 15, 19]], "{left} left");
        }
    }
}

/// A timer set near the beginning of the sequences, and due with ones set after their end.
#[test]
fn equal_deadlines_keep_their_order_when_one_was_set_four_billion_timers_ago() {
    let (timers, log) = (RefCell::new(Timers::new()), Log::default());
    timers.borrow_mut().insert(10, log.call(0));
    timers.borrow_mut().next_sequence = u32::MAX / 2;
    timers.borrow_mut().insert(10, log.wake(1));
    timers.borrow_mut().next_sequence = u32::MAX - 3;
    for id in 2..9 {
        timers.borrow_mut().insert(10, log.call(id));
    }
    assert!(timers.borrow().next_sequence < 16, "they were numbered anew");
    fire(&timers, 10);
    assert_eq!(log.take(), (0..9).collect::<Vec<_>>());
}

#[test]
fn outdated_entries_do_not_come_back_with_new_numbers() {
    let (timers, log) = (RefCell::new(with_sequences_left(6)), Log::default());
    let cancelled = timers.borrow_mut().insert(5, log.call(0));
    let moved = timers.borrow_mut().insert(30, log.wake(1));
    set_due(&mut timers.borrow_mut(), moved, 20);
    timers.borrow_mut().remove(cancelled);
    let unset = timers.borrow_mut().insert(NEVER, log.wake(2));
    assert_eq!((unset.index, timers.borrow().dead), (cancelled.index, 2));
    for id in 3..6 {
        timers.borrow_mut().insert(10, log.call(id));
    }
    assert_eq!((timers.borrow().heap.len(), timers.borrow().dead), (4, 0));
    set_due(&mut timers.borrow_mut(), unset, 40);
    fire(&timers, 10);
    assert_eq!(log.take(), [3, 4, 5]);
    assert_eq!(timers.borrow_mut().next_deadline(), Some(20));
    fire(&timers, 100);
    assert_eq!(log.take(), [1, 2]);
}
