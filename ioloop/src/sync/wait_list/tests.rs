use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
};

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn join_polled(list: &WaitList, waker: &Waker) -> Place {
    let place = list.join(());
    assert!(list.poll_notified(place, &mut Context::from_waker(waker)).is_pending());
    place
}

#[test]
fn a_waiter_costs_32_bytes_and_its_place_16() {
    assert_eq!(size_of::<Node<()>>(), 32);
    assert_eq!(size_of::<Option<Place>>(), 16);
}

#[test]
fn a_crowd_that_comes_back_waits_without_allocating() {
    let list: WaitList = WaitList::new();
    let everybody_waits = || {
        for _ in 0..10_000 {
            join_polled(&list, Waker::noop());
        }
    };
    everybody_waits();
    let before = (list.line.borrow().nodes.as_ptr(), list.line.borrow().nodes.capacity());
    for _ in 0..3 {
        list.notify_all();
        // Two messages in a row: nobody has come back for the second.
        list.notify_all();
        everybody_waits();
        assert_eq!((list.line.borrow().nodes.as_ptr(), list.line.borrow().nodes.capacity()), before);
    }
}

#[test]
fn the_memory_of_a_crowd_that_has_gone_home_is_given_back() {
    let list: WaitList = WaitList::new();
    let places: Vec<_> = (0..10_000).map(|_| list.join(())).collect();
    for place in places {
        list.leave(place);
    }
    assert_eq!(list.line.borrow().nodes.capacity(), 0);

    for _ in 0..10_000 {
        list.join(());
    }
    list.notify_all();
    list.join(());
    list.notify_all();
    assert_eq!(list.line.borrow().nodes.capacity(), 0);
}

#[test]
fn the_memory_of_a_crowd_is_given_back_though_some_stay() {
    let list: WaitList = WaitList::new();
    let staying = join_polled(&list, Waker::noop());
    let crowd: Vec<_> = (0..10_000).map(|_| list.join(())).collect();
    crowd.into_iter().for_each(|place| assert_eq!(list.leave(place), Some(())));
    let capacity = || list.line.borrow().nodes.capacity();
    assert!(capacity() <= KEEP, "{}", capacity());
    assert_eq!(list.join(()).index, 1, "the places behind it are free");

    let left = list.move_ahead();
    assert_eq!(capacity(), 2);
    drop(left);
    list.notify_all();
    assert!(list.poll_notified(staying, &mut Context::from_waker(Waker::noop())).is_ready());
    drop(list.move_ahead());
    assert_eq!(capacity(), 0);
}

#[test]
fn a_waiter_that_changes_its_task_is_woken_there_and_only_there() {
    let list: WaitList = WaitList::new();
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let place = join_polled(&list, &Waker::from(first.clone()));
    let waker = Waker::from(second.clone());
    assert!(list.poll_notified(place, &mut Context::from_waker(&waker)).is_pending());
    assert_eq!(Arc::strong_count(&first), 1);
    list.notify_all();
    assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
}

#[test]
fn a_place_kept_too_long_does_not_speak_for_who_has_it_now() {
    let list: WaitList = WaitList::new();
    let old = list.join(());
    list.notify_all();
    let new = list.join(());
    assert_eq!(old.index, new.index);
    assert_eq!(list.leave(old), None);
    assert!(list.poll_notified(old, &mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(list.leave(new), Some(()));
}

#[derive(Debug, Clone)]
enum Step {
    Join,
    Leave(prop::sample::Index),
    Pop,
    NotifySome(usize),
    MoveAhead,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Join),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        2 => Just(Step::Pop),
        1 => (0_usize..5).prop_map(Step::NotifySome),
        1 => Just(Step::MoveAhead),
    ]
}

proptest! {
    #[test]
    fn behaves_like_a_list_of_numbers(steps in prop::collection::vec(step(), 1..200)) {
        let list: WaitList<Option<usize>> = WaitList::new();
        let mut model: VecDeque<usize> = VecDeque::new();
        let mut places = Vec::new();
        for step in steps {
            match step {
                Step::Join => {
                    model.push_back(places.len());
                    places.push(list.join(Some(places.len())));
                }
                Step::Leave(_) if places.is_empty() => {}
                Step::Leave(which) => {
                    let number = which.index(places.len());
                    let expected = model.iter().position(|waiting| *waiting == number);
                    prop_assert_eq!(list.leave(places[number]), expected.map(|_| Some(number)));
                    expected.map(|at| model.remove(at));
                }
                Step::Pop => prop_assert_eq!(list.pop().map(|popped| popped.payload), model.pop_front().map(Some)),
                Step::MoveAhead => drop(list.move_ahead()),
                Step::NotifySome(count) => {
                    list.notify(count);
                    model.drain(..count.min(model.len()));
                }
            }
            prop_assert_eq!(list.len(), model.len());
            for (number, place) in places.iter().enumerate() {
                let notified = list.poll_notified(*place, &mut Context::from_waker(Waker::noop())).is_ready();
                prop_assert_eq!(notified, !model.contains(&number));
            }
        }
    }
}
