//! Corners of the lives of tasks, one by one: what `task_lifecycles` tries at random, and what it cannot.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use common::{Count, Log, OnDrop, backend, drop_flag, new_loop, run, turns, until, waker};
use ioloop::{Clock, IOLoop, JoinError, JoinHandle, context, spawn, yield_now};

/// A value that makes the panic's payload panic in its turn.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("in a destructor"));
    }
}

#[test]
fn handle_first_asked_while_its_task_runs_wakes_whoever_asked() {
    let (outer, inner) = (new_loop(), new_loop());
    let (asked, waits) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(None)));
    let (own, driven, keep) = (Rc::clone(&asked), inner.clone(), Rc::clone(&waits));
    let task = outer.spawn(async move {
        let own: JoinHandle<i32> = own.take().unwrap();
        *keep.borrow_mut() = Some(driven.spawn(own));
        driven.run_once(Some(Duration::ZERO));
        7
    });
    *asked.borrow_mut() = Some(task);
    run(&outer, turns(1));
    inner.run_once(Some(Duration::ZERO));
    let waits: JoinHandle<Result<i32, JoinError>> = waits.take().unwrap();
    assert!(waits.is_finished(), "it was woken");
    assert_eq!(inner.run_sync(waits).unwrap().unwrap(), 7);
}

#[test]
fn handle_asked_in_the_destructor_of_its_future_wakes_whoever_asked() {
    let ioloop = new_loop();
    let own = Rc::new(RefCell::new(None));
    let woken = Arc::new(Count::default());
    let (asked, waiter) = (Rc::clone(&own), Waker::from(Arc::clone(&woken)));
    let guard = OnDrop(move || {
        let mut own: std::cell::RefMut<'_, Option<JoinHandle<i32>>> = asked.borrow_mut();
        assert!(Pin::new(own.as_mut().unwrap()).poll(&mut Context::from_waker(&waiter)).is_pending());
    });
    *own.borrow_mut() = Some(ioloop.spawn(async move {
        let _guard = guard;
        resume_unwind(Box::new("over"))
    }));
    ioloop.on_callback_exception(|_| {});
    run(&ioloop, turns(1));
    assert_eq!(woken.take(), 1);
    let own = own.take().unwrap();
    assert!(matches!(run(&ioloop, own), Err(JoinError::Panicked { .. })));
}

#[test]
fn context_goes_with_the_future_though_nobody_takes_the_result() {
    static REQUEST: context::Key<Rc<RefCell<Option<JoinHandle<()>>>>> = context::Key::new();
    let ioloop = new_loop();
    let request = Rc::new(RefCell::new(None));
    // As a request does that wants to be able to abort its work: a circle, while the work lasts.
    let spawn = |future: Pin<Box<dyn Future<Output = ()>>>| {
        let task = REQUEST.scope(Rc::clone(&request), || ioloop.spawn(future));
        *request.borrow_mut() = Some(task);
        run(&ioloop, turns(1));
    };
    ioloop.on_callback_exception(|_| {});
    spawn(Box::pin(async { assert!(REQUEST.get().is_some()) }));
    assert_eq!(Rc::strong_count(&request), 1);
    spawn(Box::pin(async { resume_unwind(Box::new("over")) }));
    assert_eq!(Rc::strong_count(&request), 1);
    assert!(request.borrow().as_ref().unwrap().is_finished());
}

#[test]
fn value_of_a_detached_task_is_dropped_within_its_boundary() {
    let ioloop = new_loop();
    let told = Log::new();
    let noted = told.clone();
    let task = context::catch(
        move |exception| {
            noted.push(exception.message().to_owned());
            true
        },
        || ioloop.spawn(async { Bomb }),
    );
    drop(task);
    run(&ioloop, turns(1));
    assert_eq!(told.take(), ["in a destructor"]);
}

#[test]
fn payload_that_panics_when_it_is_dropped_takes_nobody_along() {
    let ioloop = new_loop();
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push(report.kind()));
    ioloop.spawn_detached(async { resume_unwind(Box::new(Bomb)) });
    ioloop.add_callback(|| resume_unwind(Box::new(Bomb)));
    ioloop.call_later(Duration::ZERO, || resume_unwind(Box::new(Bomb)));
    let survivor = ioloop.spawn(async { 7 });
    assert_eq!(run(&ioloop, survivor).unwrap(), 7);
    assert_eq!(reports.len(), 3);
}

#[test]
fn hook_that_panics_with_such_a_payload_takes_nobody_along() {
    let ioloop = new_loop();
    ioloop.on_callback_exception(|_| resume_unwind(Box::new(Bomb)));
    ioloop.on_slow_callback(Duration::ZERO, |_| resume_unwind(Box::new(Bomb)));
    ioloop.spawn_detached(async { resume_unwind(Box::new("over")) });
    let survivor = ioloop.spawn(async { 7 });
    assert_eq!(run(&ioloop, survivor).unwrap(), 7);
}

#[test]
fn hooks_that_replace_themselves_may_panic_in_their_destructors() {
    let ioloop = new_loop();
    let (bomb, inside) = (OnDrop(|| drop(Bomb)), ioloop.clone());
    ioloop.on_callback_exception(move |_| {
        let _ = &bomb;
        inside.on_callback_exception(|_| {});
    });
    let (bomb, inside) = (OnDrop(|| drop(Bomb)), ioloop.clone());
    ioloop.on_slow_callback(Duration::ZERO, move |_| {
        let _ = &bomb;
        inside.on_slow_callback(Duration::ZERO, |_| {});
    });
    ioloop.spawn_detached(async { resume_unwind(Box::new("over")) });
    let survivor = ioloop.spawn(async { 7 });
    assert_eq!(run(&ioloop, survivor).unwrap(), 7);
    ioloop.close();
}

#[test]
fn what_is_registered_after_a_close_goes_when_the_run_is_over() {
    let ioloop = new_loop();
    let (mut flags, mut guards) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (flag, guard) = drop_flag();
        flags.push(flag);
        guards.push(guard);
    }
    let inside = ioloop.clone();
    ioloop.spawn_detached(async move {
        inside.close();
        let [task, callback, timer] = [(); 3].map(|()| (inside.clone(), guards.pop()));
        inside.spawn_detached(async move {
            let _held = task;
            pending().await
        });
        inside.add_callback(move || drop(callback));
        inside.call_later(Duration::ZERO, move || drop(timer));
    });
    ioloop.start();
    assert!(flags.iter().all(|flag| flag.get()), "they hold the loop, and nobody would drop them");
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn clock_that_panics_as_a_run_begins_leaves_the_loop_usable() {
    struct Moody(Arc<AtomicUsize>);
    impl Clock for Moody {
        fn now(&self) -> Duration {
            if self.0.swap(0, Ordering::Relaxed) == 1 {
                resume_unwind(Box::new("no time"));
            }
            Duration::ZERO
        }
    }
    let mood = Arc::new(AtomicUsize::new(0));
    let ioloop = IOLoop::with_poller(backend(), Box::new(Moody(Arc::clone(&mood)))).unwrap();
    mood.store(1, Ordering::Relaxed);
    let run = || catch_unwind(AssertUnwindSafe(|| ioloop.run_sync(async { 7 })));
    assert!(run().is_err());
    assert_eq!(run().unwrap(), 7);
}

#[test]
fn handle_passed_on_wakes_the_one_who_asked_last() {
    let ioloop = new_loop();
    let [first, last] = [(); 2].map(|()| Arc::new(Count::default()));
    let mut task = ioloop.spawn(async {});
    for count in [&first, &last, &last] {
        let waker = Waker::from(Arc::clone(count));
        assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&first), 1, "its waker has been dropped");
    run(&ioloop, turns(1));
    assert_eq!((first.take(), last.take()), (0, 1));
    assert!(task.is_finished());
}

/// A foreign waker that comes back to the current loop whatever is done to it.
struct Visitor {
    visits: Arc<AtomicUsize>,
}

impl Visitor {
    fn waker(visits: &Arc<AtomicUsize>) -> Waker {
        Waker::from(Arc::new(Visitor { visits: Arc::clone(visits) }))
    }

    fn visit(&self) {
        let ioloop = IOLoop::current();
        drop(ioloop.spawn(async {}));
        ioloop.spawn(pending::<()>()).abort();
        assert!(ioloop.metrics().live_tasks > 0);
        self.visits.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wake for Visitor {
    fn wake(self: Arc<Self>) {
        self.visit();
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.visit();
    }
}

#[test]
fn wakers_may_come_back_to_the_loop_when_they_are_woken_replaced_and_dropped() {
    let ioloop = new_loop();
    let visits = Arc::new(AtomicUsize::new(0));
    let ask = |task: &mut JoinHandle<()>| Pin::new(task).poll(&mut Context::from_waker(&Visitor::waker(&visits)));
    run(&ioloop, async {
        let mut task = ioloop.spawn(async { turns(2).await });
        assert!(ask(&mut task).is_pending());
        assert!(ask(&mut task).is_pending());
        assert_eq!(visits.swap(0, Ordering::Relaxed), 1, "replaced");
        until(|| task.is_finished()).await;
        assert_eq!(visits.swap(0, Ordering::Relaxed), 2, "woken and dropped");

        let mut aborted = ioloop.spawn(pending());
        assert!(ask(&mut aborted).is_pending());
        aborted.abort();
        assert_eq!(visits.swap(0, Ordering::Relaxed), 2);

        let mut detached = ioloop.spawn(pending());
        assert!(ask(&mut detached).is_pending());
        drop(detached);
        ioloop.close();
        assert_eq!(visits.swap(0, Ordering::Relaxed), 2);
    });
}

#[test]
fn wakers_that_came_while_the_task_ran_may_come_back_as_well() {
    let ioloop = new_loop();
    let visits = Arc::new(AtomicUsize::new(0));
    let own = Rc::new(RefCell::new(None));
    let (asked, seen) = (Rc::clone(&own), Arc::clone(&visits));
    *own.borrow_mut() = Some(ioloop.spawn(async move {
        let mut own: JoinHandle<()> = asked.take().unwrap();
        for _ in 0..3 {
            let waker = Visitor::waker(&seen);
            assert!(Pin::new(&mut own).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(seen.swap(0, Ordering::Relaxed), 2, "each has replaced the one before");
        drop(own);
    }));
    run(&ioloop, turns(1));
    assert_eq!(visits.load(Ordering::Relaxed), 2, "woken and dropped");
}

#[test]
fn waker_that_its_task_has_given_away_in_its_only_poll_never_wakes_another() {
    let ioloop = new_loop();
    let polls = Rc::new(Cell::new(0));
    run(&ioloop, async {
        for _ in 0..3 {
            // The first leaves its waker behind for the next, which keeps a clone.
            spawn(async {}).await.unwrap();
            let kept = spawn(waker()).await.unwrap();
            let bystander = ioloop.spawn(common::counting_polls(&polls));
            turns(2).await;
            kept.wake_by_ref();
            let sender = kept.clone();
            thread::spawn(move || sender.wake()).join().unwrap();
            turns(2).await;
            bystander.abort();
            drop(kept);
        }
    });
    assert_eq!(polls.get(), 3, "once each");
}

#[test]
fn waker_on_its_way_from_another_thread_counts_as_given_away() {
    let ioloop = new_loop();
    let polls = Rc::new(Cell::new(0));
    run(&ioloop, async {
        let wakes_itself_from_afar = poll_fn(|cx| {
            let waker = cx.waker().clone();
            // Joined: the wake-up lies in the inbox when the task is over.
            thread::spawn(move || waker.wake()).join().unwrap();
            Poll::Ready(())
        });
        ioloop.spawn_detached(wakes_itself_from_afar);
        ioloop.spawn_detached(common::counting_polls(&polls));
        turns(3).await;
    });
    assert_eq!(polls.get(), 1);
}

/// What a task tells the thread that wakes it.
struct Request {
    waker: Waker,
    /// The number of wake-ups that were meant, written before each.
    meant: Arc<AtomicUsize>,
}

/// Wakes in every way there is, by a fixed sequence of chances.
fn wake_at_random(requests: &mpsc::Receiver<Request>) {
    let mut chance = 12345_u32;
    for Request { waker, meant } in requests {
        chance = chance.wrapping_mul(1_103_515_245).wrapping_add(12345);
        let spare = waker.clone();
        meant.fetch_add(1, Ordering::Relaxed);
        match chance >> 30 {
            0 => waker.wake(),
            1 => waker.wake_by_ref(),
            2 => {
                waker.wake();
                spare.wake();
            }
            _ => {
                drop(waker);
                spare.wake_by_ref();
                spare.wake();
            }
        }
    }
}

#[test]
fn no_wake_up_from_another_thread_is_lost_among_those_of_the_loop() {
    const ROUNDS: usize = 300;
    let ioloop = new_loop();
    let (requests, receiver) = mpsc::channel();
    let wakes = thread::spawn(move || wake_at_random(&receiver));
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (requests, meant) = (requests.clone(), Arc::new(AtomicUsize::new(0)));
            ioloop.spawn(async move {
                for round in 1..=ROUNDS {
                    let waker = waker().await;
                    requests.send(Request { waker, meant: Arc::clone(&meant) }).unwrap();
                    // Each is seen after its own wake-up at the latest: an old one may come earlier.
                    poll_fn(|_| if meant.load(Ordering::Relaxed) >= round { Poll::Ready(()) } else { Poll::Pending })
                        .await;
                    if (round + number) % 7 == 0 {
                        yield_now().await;
                        // Tasks that end in their first poll pass their wakers on meanwhile.
                        spawn(async {}).await.unwrap();
                    }
                }
                assert_eq!(meant.load(Ordering::Relaxed), ROUNDS);
                number
            })
        })
        .collect();
    let aborted = ioloop.spawn(async move {
        requests.send(Request { waker: waker().await, meant: Arc::default() }).unwrap();
        pending::<()>().await;
    });
    run(&ioloop, async {
        turns(1).await;
        aborted.abort();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number);
        }
    });
    wakes.join().unwrap();
    assert_eq!(ioloop.task_count(), 0);
}
