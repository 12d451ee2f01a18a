//! `sync::Queue` and its relatives: order, bounds, and nothing lost by those who give up.

mod sync_common;

use std::{cmp::Reverse, collections::VecDeque, panic::AssertUnwindSafe, panic::catch_unwind, rc::Rc, time::Duration};

use ioloop::{
    IOLoop, spawn,
    sync::{Fifo, Full, Get, LifoQueue, PriorityQueue, Put, Queue},
    timeout, yield_now,
};
use proptest::prelude::*;
use sync_common::{Manual, reentrant_waker};

#[test]
fn items_come_out_in_the_order_of_the_queue() {
    let (fifo, lifo, priority) = (Queue::unbounded(), LifoQueue::unbounded(), PriorityQueue::unbounded());
    for item in [1, 0, 3, 2] {
        fifo.try_put(item).expect("unbounded");
        lifo.try_put(item).expect("unbounded");
        priority.try_put(item).expect("unbounded");
    }
    let drain = |get: &dyn Fn() -> Option<i32>| std::iter::from_fn(get).collect::<Vec<_>>();
    assert_eq!(drain(&|| fifo.try_get()), [1, 0, 3, 2]);
    assert_eq!(drain(&|| lifo.try_get()), [2, 3, 0, 1]);
    assert_eq!(drain(&|| priority.try_get()), [0, 1, 2, 3]);
}

#[test]
fn of_items_with_the_same_priority_the_oldest_comes_first() {
    #[derive(Debug)]
    struct Job(u8, &'static str);
    impl PartialEq for Job {
        fn eq(&self, other: &Job) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Job {}
    impl PartialOrd for Job {
        fn partial_cmp(&self, other: &Job) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Job {
        fn cmp(&self, other: &Job) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }
    let queue = PriorityQueue::unbounded();
    for job in [Job(1, "a"), Job(0, "b"), Job(1, "c"), Job(0, "d")] {
        queue.try_put(job).expect("unbounded");
    }
    let names: Vec<_> = std::iter::from_fn(|| queue.try_get()).map(|job| job.1).collect();
    assert_eq!(names, ["b", "d", "a", "c"]);
}

#[test]
fn a_priority_queue_of_reversed_items_gives_the_greatest_first() {
    let queue = PriorityQueue::bounded(2);
    queue.try_put(Reverse(1)).expect("there is room");
    queue.try_put(Reverse(2)).expect("there is room");
    assert!(queue.is_full());
    assert_eq!(queue.try_get(), Some(Reverse(2)));
}

#[test]
fn a_full_queue_gives_the_item_back() {
    let queue = Queue::bounded(1);
    assert_eq!(queue.try_put("a"), Ok(()));
    assert_eq!(queue.try_put("b"), Err(Full("b")));
    assert!(queue.is_full());
    assert_eq!((queue.len(), queue.max_len()), (1, 1));
    assert_eq!(Full("b").to_string(), "the queue is full");
}

#[test]
fn a_queue_for_nothing_is_refused() {
    assert!(catch_unwind(|| Queue::<u8>::bounded(0)).is_err());
}

#[test]
fn an_item_put_while_somebody_waits_bypasses_the_queue() {
    let queue = Queue::bounded(1);
    let mut getter = Manual::waiting(queue.get());
    queue.try_put(0).expect("there is room");
    assert!(queue.is_empty());
    assert_eq!(queue.try_get(), None, "it is meant for the getter");
    queue.try_put(1).expect("there is room");
    assert!(getter.is_woken());
    assert_eq!(getter.finish(), 0);
    assert_eq!(queue.try_get(), Some(1));
}

#[test]
fn getters_are_served_in_their_order() {
    let queue = Queue::unbounded();
    let mut getters: Vec<_> = (0..3).map(|_| Manual::waiting(queue.get())).collect();
    for item in 0..3 {
        queue.try_put(item).expect("unbounded");
        let woken: Vec<_> = getters.iter().map(Manual::is_woken).collect();
        assert_eq!(woken, [true, item >= 1, item >= 2]);
    }
    let got: Vec<_> = getters.iter_mut().map(Manual::finish).collect();
    assert_eq!(got, [0, 1, 2]);
}

#[test]
fn an_item_set_aside_for_a_dropped_getter_goes_to_the_next() {
    let queue = Queue::unbounded();
    let first = Manual::waiting(queue.get());
    let mut second = Manual::waiting(queue.get());
    queue.try_put('a').expect("unbounded");
    drop(first);
    assert_eq!(second.finish(), 'a');

    let third = Manual::waiting(queue.get());
    queue.try_put('b').expect("unbounded");
    queue.try_put('c').expect("unbounded");
    drop(third);
    assert_eq!((queue.try_get(), queue.try_get()), (Some('b'), Some('c')));
}

#[test]
fn the_oldest_waiting_put_is_taken_in_as_soon_as_there_is_room() {
    let queue = Queue::bounded(1);
    queue.try_put(0).expect("there is room");
    let mut first = Manual::waiting(queue.put(1));
    let second = Manual::waiting(queue.put(2));
    assert_eq!(queue.try_get(), Some(0));
    assert!(first.is_woken() && !second.is_woken());
    assert!(queue.is_full(), "nobody gets the room but the first");
    // It has been put, whatever becomes of the future.
    first.finish();
    assert_eq!((queue.try_get(), queue.try_get(), queue.try_get()), (Some(1), Some(2), None));
}

#[test]
fn a_dropped_put_puts_nothing_and_drops_the_item() {
    let queue = Queue::bounded(1);
    let item = Rc::new(());
    queue.try_put(Rc::clone(&item)).expect("there is room");
    let waits = Manual::waiting(queue.put(Rc::clone(&item)));
    assert_eq!(Rc::strong_count(&item), 3);
    drop(waits);
    assert_eq!(Rc::strong_count(&item), 2);
    drop(queue.try_get());
    assert!(queue.is_empty());
}

#[test]
fn those_who_timed_out_are_skipped() {
    IOLoop::current().run_sync(async {
        let (short, long) = (Duration::from_millis(2), Duration::from_secs(60));
        let queue = Queue::bounded(1);
        assert!(timeout(short, queue.get()).await.is_err());
        queue.put(0).await;
        assert!(timeout(short, queue.put(1)).await.is_err());
        assert_eq!(timeout(long, queue.get()).await.expect("it is there"), 0);
        assert!(queue.is_empty());
        timeout(long, queue.put(2)).await.expect("there is room");
        assert_eq!(queue.try_get(), Some(2));
    });
}

#[test]
fn join_waits_until_all_that_was_put_is_done() {
    let queue = Queue::unbounded();
    Manual::new(queue.join()).finish();
    queue.try_put(1).expect("unbounded");
    queue.try_put(2).expect("unbounded");
    let mut join = Manual::waiting(queue.join());
    assert_eq!((queue.try_get(), queue.try_get()), (Some(1), Some(2)));
    queue.task_done();
    assert!(!join.is_woken());
    queue.task_done();
    join.finish();
    assert!(catch_unwind(AssertUnwindSafe(|| queue.task_done())).is_err(), "called too many times");
}

#[test]
fn iterated_items_are_done_when_dropped() {
    IOLoop::current().run_sync(async {
        let queue = Rc::new(Queue::<i32>::bounded(2));
        let worker = spawn({
            let queue = Rc::clone(&queue);
            async move {
                let (mut items, mut sum) = (queue.items(), 0_i32);
                loop {
                    let mut item = items.next().await;
                    yield_now().await;
                    *item += 1;
                    sum += item.into_inner();
                    if sum == 6 {
                        return sum;
                    }
                }
            }
        });
        for item in 0..3 {
            queue.put(item).await;
        }
        queue.join().await;
        assert_eq!(worker.await.expect("the task does not panic"), 6);
    });
}

#[test]
fn work_that_panics_is_done_as_well() {
    let ioloop = IOLoop::current();
    ioloop.on_callback_exception(|_| {});
    ioloop.run_sync(async {
        let queue = Rc::new(Queue::unbounded());
        queue.put("bad").await;
        let inner = Rc::clone(&queue);
        let worker = spawn(async move {
            let item = inner.items().next().await;
            panic!("{}", *item);
        });
        assert!(worker.await.is_err());
        queue.join().await;
    });
}

#[test]
fn a_waker_or_an_item_may_use_the_queue_it_comes_from() {
    struct PutsWhenDropped(Rc<Queue<Option<PutsWhenDropped>>>);
    impl Drop for PutsWhenDropped {
        fn drop(&mut self) {
            self.0.try_put(None).ok().expect("unbounded");
        }
    }
    let queue = Rc::new(Queue::unbounded());
    let mut getter = Manual::new(queue.get());
    let inner = Rc::clone(&queue);
    let waker = reentrant_waker(move || inner.try_put(None).ok().expect("unbounded"));
    assert!(getter.poll_with(&waker).is_pending());
    queue.try_put(Some(PutsWhenDropped(Rc::clone(&queue)))).ok().expect("unbounded");
    assert_eq!(queue.len(), 1, "what the waker has put");
    drop(getter.finish());
    assert_eq!(queue.len(), 2);

    // Its item is dropped with the place in line.
    let full = Rc::new(Queue::bounded(1));
    full.try_put(None).ok().expect("there is room");
    drop(Manual::waiting(full.put(Some(PutsWhenDropped(Rc::clone(&queue))))));
    assert_eq!(queue.len(), 3);
}

#[derive(Debug, Clone)]
enum Step {
    TryPut,
    TryGet,
    Put,
    Get,
    PollGet(prop::sample::Index),
    DropGet(prop::sample::Index),
    DropPut(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        2 => Just(Step::TryPut),
        2 => Just(Step::TryGet),
        3 => Just(Step::Put),
        3 => Just(Step::Get),
        3 => index().prop_map(Step::PollGet),
        1 => index().prop_map(Step::DropGet),
        1 => index().prop_map(Step::DropPut),
    ]
}

type Named<F> = Vec<(usize, Manual<F>)>;

/// Items in a line, getters in a line, putters in a line.
struct Model {
    max: usize,
    items: VecDeque<usize>,
    getting: VecDeque<usize>,
    promised: Vec<usize>,
    putting: VecDeque<usize>,
}

impl Model {
    fn free_items(&self) -> usize {
        self.items.len() - self.promised.len()
    }

    fn try_put(&mut self, item: usize) -> bool {
        let room = self.free_items() < self.max;
        if room {
            self.items.push_back(item);
            self.promise();
        }
        room
    }

    fn promise(&mut self) {
        if self.free_items() > 0 {
            self.promised.extend(self.getting.pop_front());
        }
    }

    fn take(&mut self) -> Option<usize> {
        let item = self.items.pop_front();
        while self.free_items() < self.max
            && let Some(waiting) = self.putting.pop_front()
        {
            self.try_put(waiting);
        }
        item
    }

    fn try_get(&mut self) -> Option<usize> {
        if self.free_items() > 0 { self.take() } else { None }
    }

    fn collect(&mut self, getter: usize) -> bool {
        let before = self.promised.len();
        self.promised.retain(|other| *other != getter);
        self.promised.len() < before
    }

    fn finish_get(&mut self, getter: usize) -> Option<usize> {
        if self.collect(getter) { self.take() } else { None }
    }

    fn drop_get(&mut self, getter: usize) {
        self.getting.retain(|other| *other != getter);
        if self.collect(getter) {
            self.promise();
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_three_lists(max in 1_usize..4, steps in prop::collection::vec(step(), 1..150)) {
        let queue = Queue::bounded(max);
        let mut model = Model { max, items: VecDeque::new(), getting: VecDeque::new(), promised: Vec::new(), putting: VecDeque::new() };
        let mut gets: Named<Get<'_, usize, Fifo<usize>>> = Vec::new();
        let mut puts: Named<Put<'_, usize, Fifo<usize>>> = Vec::new();
        for (name, step) in steps.into_iter().enumerate() {
            match step {
                Step::TryPut => prop_assert_eq!(queue.try_put(name).is_ok(), model.try_put(name)),
                Step::TryGet => prop_assert_eq!(queue.try_get(), model.try_get()),
                Step::Put => {
                    let mut put = Manual::new(queue.put(name));
                    let done = put.poll().is_ready();
                    prop_assert_eq!(done, model.try_put(name));
                    if !done {
                        model.putting.push_back(name);
                        puts.push((name, put));
                    }
                }
                Step::Get => {
                    let mut get = Manual::new(queue.get());
                    let got = get.poll();
                    let expected = model.try_get();
                    prop_assert_eq!(got.is_ready(), expected.is_some());
                    match got {
                        std::task::Poll::Ready(item) => prop_assert_eq!(Some(item), expected),
                        std::task::Poll::Pending => {
                            model.getting.push_back(name);
                            gets.push((name, get));
                        }
                    }
                }
                Step::PollGet(which) if !gets.is_empty() => {
                    let at = which.index(gets.len());
                    let expected = model.finish_get(gets[at].0);
                    prop_assert_eq!(gets[at].1.is_woken(), expected.is_some());
                    match gets[at].1.poll() {
                        std::task::Poll::Ready(item) => {
                            prop_assert_eq!(Some(item), expected);
                            gets.remove(at);
                        }
                        std::task::Poll::Pending => prop_assert_eq!(expected, None),
                    }
                }
                Step::DropGet(which) if !gets.is_empty() => {
                    let (name, _get) = gets.remove(which.index(gets.len()));
                    model.drop_get(name);
                }
                Step::DropPut(which) if !puts.is_empty() => {
                    let (name, _put) = puts.remove(which.index(puts.len()));
                    model.putting.retain(|other| *other != name);
                }
                _ => {}
            }
            prop_assert_eq!(queue.len(), model.free_items());
            for (name, put) in &puts {
                prop_assert_eq!(put.is_woken(), !model.putting.contains(name));
            }
        }
        // What was put and not got is still there, in its order.
        for (name, get) in gets {
            drop(get);
            model.drop_get(name);
        }
        while let Some(item) = queue.try_get() {
            prop_assert_eq!(Some(item), model.take());
        }
        prop_assert!(model.items.is_empty());
    }
}
