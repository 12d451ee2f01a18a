use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    task::Wake,
};

use proptest::prelude::*;

use super::{readiness::FEW, *};
use crate::arena::tests::bytes_per_entry;

/// A waker that writes down its name.
struct Named(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Named {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[derive(Debug, Clone)]
enum Op {
    InsertSource,
    InsertHandler,
    /// By any name ever given, most of them stale after a while.
    Remove(prop::sample::Index),
    Event(prop::sample::Index, Ready),
    Wait(prop::sample::Index, Ready, usize, bool),
    Clear(prop::sample::Index, Ready, Ready),
    NextTurn,
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<prop::sample::Index>;
    let ready = || (0u8..64).prop_map(Ready::from_bits_truncate);
    let one_bit = || (0u8..4).prop_map(|bit| Ready::from_bits_truncate(1 << bit));
    prop_oneof![
        2 => Just(Op::InsertSource),
        1 => Just(Op::InsertHandler),
        2 => which().prop_map(Op::Remove),
        3 => (which(), one_bit()).prop_map(|(which, ready)| Op::Event(which, ready)),
        1 => (which(), ready()).prop_map(|(which, ready)| Op::Event(which, ready)),
        // Forty waiters, so that lists grow beyond what is kept without a sweep.
        12 => (which(), one_bit(), 0usize..40, any::<bool>())
            .prop_map(|(which, wanted, waiter, is_task)| Op::Wait(which, wanted, waiter, is_task)),
        3 => (which(), ready(), one_bit()).prop_map(|(which, what, unless)| Op::Clear(which, what, unless)),
        1 => Just(Op::NextTurn),
    ]
}

/// What the model knows of one registration.
enum Known {
    Source {
        ready: Ready,
        /// What each waiter has asked for since it was last woken.
        waiting: BTreeMap<usize, Ready>,
    },
    Handler,
}

struct Pair {
    registry: Registry,
    model: BTreeMap<Name, Known>,
    woken: Arc<Mutex<Vec<usize>>>,
    wakers: Vec<Waker>,
    turn: u32,
}

/// A key in an order, for the model's map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Name(u32, u32);

impl Name {
    fn of(key: ArenaKey) -> Name {
        Name(key.generation, key.index)
    }
}

/// The name of a waiter that is a task.
fn task(waiter: usize) -> ArenaKey {
    ArenaKey { index: waiter as u32, generation: 7 }
}

impl Pair {
    fn new() -> Pair {
        let woken = Arc::default();
        let named = |number| Waker::from(Arc::new(Named(number, Arc::clone(&woken))));
        let wakers = (0..40).map(named).collect();
        Pair { registry: Registry::new(), model: BTreeMap::new(), woken, wakers, turn: 0 }
    }

    /// Wakes `wakers` and gives their names, with those of `tasks`.
    fn wake(
        &self,
        wakers: impl IntoIterator<Item = Waker>,
        tasks: impl IntoIterator<Item = ArenaKey>,
    ) -> BTreeSet<usize> {
        wakers.into_iter().for_each(Waker::wake);
        let woken = std::mem::take(&mut *self.woken.lock().unwrap());
        woken.into_iter().chain(tasks.into_iter().map(|task| task.index as usize)).collect()
    }

    fn insert(&mut self, is_source: bool) -> ArenaKey {
        let (key, known) = if is_source {
            (self.registry.insert_source(), Known::Source { ready: Ready::WRITABLE, waiting: BTreeMap::new() })
        } else {
            let fd: Rc<dyn AsFd> = Rc::new(std::io::stdin());
            (self.registry.insert_handler(fd, Box::new(|_| {}), Location::caller()), Known::Handler)
        };
        assert!(self.model.insert(Name::of(key), known).is_none(), "no name is given twice");
        key
    }

    fn remove(&mut self, key: ArenaKey) {
        match self.model.remove(&Name::of(key)) {
            Some(Known::Source { waiting, .. }) => {
                let mut wakers = Vec::new();
                let first = self.registry.remove_source(key, &mut wakers);
                let woken = self.wake(wakers, first);
                assert!(waiting.keys().all(|waiter| woken.contains(waiter)), "whoever waits finds out");
            }
            Some(Known::Handler) => assert!(self.registry.remove(key).is_some()),
            None => assert!(self.registry.remove(key).is_none(), "a stale name finds nothing"),
        }
    }

    fn event(&mut self, key: ArenaKey, ready: Ready) {
        let notify = self.registry.record(key, ready);
        match (self.model.get_mut(&Name::of(key)), notify) {
            (None, Notify::Nobody) => {}
            (Some(Known::Handler), Notify::Nobody) => panic!("a handler is to be called"),
            (Some(Known::Handler), Notify::Handler(callback, _)) => {
                let again = self.registry.record(key, ready);
                assert!(matches!(again, Notify::Nobody), "it is running");
                assert!(self.registry.put_back(key, callback).is_none());
            }
            (Some(Known::Source { ready: known, waiting }), notify) => {
                let (first, others) = match notify {
                    Notify::Task(task) => (Some(task), Vec::new()),
                    Notify::Nobody => (None, Vec::new()),
                    Notify::Several(several) => *several,
                    Notify::Handler(..) => panic!("there is none"),
                };
                *known |= ready;
                let due: Vec<usize> = waiting
                    .iter()
                    .filter(|(_, wanted)| ready.intersects(**wanted | ENDS))
                    .map(|(waiter, _)| *waiter)
                    .collect();
                waiting.retain(|waiter, _| !due.contains(waiter));
                let woken = self.wake(others, first);
                assert!(due.iter().all(|waiter| woken.contains(waiter)), "{due:?} are due, {woken:?} were woken");
                // Somebody who waited twice may be told twice; then it has to ask again for the rest.
                self.forget(key, &woken);
            }
            _ => panic!("the registry and the model know different things under one name"),
        }
    }

    /// `is_task`: it waits by itself, and the registry is told its name.
    fn wait(&mut self, key: ArenaKey, wanted: Ready, waiter: usize, is_task: bool) {
        let waker = self.wakers[waiter].clone();
        let wait = self.registry.ready_or_wait(key, wanted, &waker, || is_task.then(|| task(waiter)));
        let Some(Known::Source { ready, waiting }) = self.model.get_mut(&Name::of(key)) else {
            assert!(matches!(wait, Wait::Ready(all) if all == Ready::all()), "nothing to wait for");
            return;
        };
        if ready.intersects(wanted | ENDS) {
            assert!(matches!(wait, Wait::Ready(known) if known == *ready));
            return;
        }
        *waiting.entry(waiter).or_insert(Ready::empty()) |= wanted;
        match wait {
            Wait::Ready(_) => panic!("nothing of {wanted:?} is known"),
            Wait::Pending => {}
            Wait::NeedsClone => match self.registry.wait(key, wanted, waker, self.turn) {
                Kept::Yes => {}
                Kept::Swept(swept) => {
                    let woken = self.wake(swept, None);
                    assert!(!woken.contains(&waiter), "a sweep is not for the newcomer");
                    self.forget(key, &woken);
                }
                Kept::No(_) => panic!("nothing has come in between"),
            },
        }
    }

    fn forget(&mut self, key: ArenaKey, woken: &BTreeSet<usize>) {
        if let Some(Known::Source { waiting, .. }) = self.model.get_mut(&Name::of(key)) {
            waiting.retain(|waiter, _| !woken.contains(waiter));
        }
    }

    fn clear(&mut self, key: ArenaKey, what: Ready, unless: Ready) {
        let cleared = self.registry.clear_unless(key, what, unless);
        match self.model.get_mut(&Name::of(key)) {
            Some(Known::Source { ready, .. }) if !ready.intersects(unless) => {
                ready.remove(what);
                assert!(cleared);
            }
            _ => assert!(!cleared),
        }
    }

    fn check(&self, names: &[ArenaKey]) {
        for key in names {
            let known = match self.model.get(&Name::of(*key)) {
                Some(Known::Source { ready, .. }) => *ready,
                _ => Ready::empty(),
            };
            assert_eq!(self.registry.ready(*key), known);
            let is_handler = matches!(self.model.get(&Name::of(*key)), Some(Known::Handler));
            assert_eq!(self.registry.handler_fd(*key).is_some(), is_handler);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The model is a map from names never used twice to what is known and who waits.
    #[test]
    fn every_name_means_one_registration_and_every_waiter_is_told(ops in prop::collection::vec(op(), 1..150)) {
        let mut pair = Pair::new();
        let mut names = vec![pair.insert(true)];
        for op in ops {
            match op {
                Op::InsertSource => names.push(pair.insert(true)),
                Op::InsertHandler => names.push(pair.insert(false)),
                Op::Remove(which) => pair.remove(names[which.index(names.len())]),
                Op::Event(which, ready) => pair.event(names[which.index(names.len())], ready),
                Op::Wait(which, wanted, waiter, is_task) => {
                    pair.wait(names[which.index(names.len())], wanted, waiter, is_task);
                }
                Op::Clear(which, what, unless) => pair.clear(names[which.index(names.len())], what, unless),
                Op::NextTurn => pair.turn += 1,
            }
            pair.check(&names);
        }
        let (handlers, wakers, tasks) = pair.registry.drain();
        let woken = pair.wake(wakers, tasks);
        let handlers_known = pair.model.values().filter(|known| matches!(known, Known::Handler)).count();
        prop_assert_eq!(handlers.len(), handlers_known);
        for known in pair.model.values() {
            if let Known::Source { waiting, .. } = known {
                prop_assert!(waiting.keys().all(|waiter| woken.contains(waiter)));
            }
        }
        pair.model.clear();
        pair.check(&names);
    }
}

/// A waker's clone is foreign code, which may come back to a registry that is borrowed. There is no way to see a clone
/// but by the count of what it shares.
#[test]
fn foreign_waker_is_never_cloned_inside() {
    let told = || Arc::new(Named(0, Arc::default()));
    let shared = told();
    let waker = Waker::from(Arc::clone(&shared));
    let mut registry = Registry::new();
    let key = registry.insert_source();
    for _ in 0..2 * FEW {
        let other = Waker::from(told());
        assert!(matches!(registry.wait(key, Ready::READABLE, other, 0), Kept::Yes));
        assert!(matches!(registry.ready_or_wait(key, Ready::READABLE, &waker, || None), Wait::NeedsClone));
        assert_eq!(Arc::strong_count(&shared), 2);
    }
    assert!(matches!(registry.wait(key, Ready::READABLE, waker.clone(), 0), Kept::Yes));
    assert!(matches!(registry.ready_or_wait(key, Ready::READABLE, &waker, || None), Wait::Pending));
    assert_eq!(Arc::strong_count(&shared), 3);
}

#[test]
fn waker_whose_clone_has_changed_what_it_waits_for_is_given_back() {
    let mut registry = Registry::new();
    let key = registry.insert_source();
    let foreign = Waker::from(Arc::new(Named(0, Arc::default())));
    assert!(matches!(registry.ready_or_wait(key, Ready::READABLE, &foreign, || None), Wait::NeedsClone));
    registry.record(key, Ready::READABLE);
    assert!(matches!(registry.wait(key, Ready::READABLE, foreign.clone(), 0), Kept::No(_)));
    registry.remove_source(key, &mut Vec::new());
    assert!(matches!(registry.wait(key, Ready::READABLE, foreign.clone(), 0), Kept::No(_)));
}

#[test]
fn a_task_of_the_loop_is_kept_by_its_name_and_its_waker_left_alone() {
    let shared = Arc::new(Named(0, Arc::default()));
    let waker = Waker::from(Arc::clone(&shared));
    let mut registry = Registry::new();
    let key = registry.insert_source();
    let wait = registry.ready_or_wait(key, Ready::READABLE, &waker, || Some(task(3)));
    assert!(matches!(wait, Wait::Pending));
    assert_eq!(Arc::strong_count(&shared), 2);
    let told = registry.record(key, Ready::READABLE);
    assert!(matches!(told, Notify::Task(told) if told == task(3)));
}

#[test]
fn a_second_task_waits_by_its_waker() {
    let mut registry = Registry::new();
    let key = registry.insert_source();
    let waker = Waker::noop();
    assert!(matches!(registry.ready_or_wait(key, Ready::READABLE, waker, || Some(task(1))), Wait::Pending));
    assert!(matches!(registry.ready_or_wait(key, Ready::READABLE, waker, || Some(task(2))), Wait::NeedsClone));
}

#[test]
fn a_descriptor_takes_32_bytes() {
    assert_eq!(bytes_per_entry::<Slot>(), 32);
}
