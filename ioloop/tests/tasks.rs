//! Tasks: results, abortion, detaching, wakers, fairness.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn},
    io::Write,
    pin::Pin,
    rc::Rc,
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use common::{
    Log, OnDrop, counting_polls, drop_flag, new_loop, pair, poll_once, run, turn, turns, until, virtual_loop, waker,
};
use ioloop::{IOLoop, Interest, JoinError, JoinHandle, WorkKind, spawn, yield_now};

#[test]
fn handle_gives_the_result() {
    let ioloop = new_loop();
    let task = ioloop.spawn(async {
        turns(3).await;
        "done"
    });
    assert!(!task.is_finished());
    assert_eq!(run(&ioloop, task).unwrap(), "done");
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn result_waits_for_whoever_asks_later() {
    let ioloop = new_loop();
    let task = ioloop.spawn(async { 7 });
    run(&ioloop, turns(3));
    assert!(task.is_finished());
    assert_eq!(run(&ioloop, task).unwrap(), 7);
}

#[test]
fn dropping_the_handle_detaches_the_task() {
    let ioloop = new_loop();
    let (done, guard) = drop_flag();
    let task = ioloop.spawn(async move {
        turns(3).await;
        drop(guard);
    });
    drop(task);
    run(&ioloop, until(|| done.get()));
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn tasks_run_in_the_order_in_which_they_were_spawned_and_woken() {
    let ioloop = new_loop();
    let log = Log::new();
    for name in ["a", "b", "c"] {
        let log = log.clone();
        ioloop.spawn_detached(async move {
            for _ in 0..2 {
                log.push(name);
                yield_now().await;
            }
        });
    }
    run(&ioloop, turns(3));
    assert_eq!(log.take(), ["a", "b", "c", "a", "b", "c"]);
}

#[test]
fn spawned_task_does_not_run_before_the_loop_does() {
    let (ioloop, world) = virtual_loop();
    let ran_in = Rc::new(Cell::new(0));
    let (inner, time) = (Rc::clone(&ran_in), Rc::clone(&world));
    ioloop.run_sync(async {
        spawn(async move { inner.set(time.turn()) }).await.unwrap();
    });
    assert_eq!(ran_in.get(), 1);
}

#[test]
fn yield_now_takes_exactly_one_turn() {
    let ioloop = new_loop();
    let seen = ioloop.spawn(async move {
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(turn());
            yield_now().await;
        }
        seen
    });
    assert_eq!(ioloop.run_sync(seen).unwrap(), [1, 2, 3]);
}

#[test]
fn task_aborted_before_its_first_poll_never_runs() {
    let ioloop = new_loop();
    let (dropped, guard) = drop_flag();
    let task = ioloop.spawn(async move {
        let _guard = guard;
        unreachable!("aborted");
    });
    task.abort();
    assert!(dropped.get(), "at once");
    assert!(task.is_finished());
    assert!(matches!(run(&ioloop, task), Err(JoinError::Cancelled)));
}

#[test]
fn suspended_task_is_dropped_at_once_by_abort_and_its_waiter_is_woken() {
    let ioloop = new_loop();
    let (dropped, guard) = drop_flag();
    let task = Rc::new(ioloop.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    run(&ioloop, async {
        turns(2).await;
        let victim = Rc::clone(&task);
        ioloop.add_callback(move || {
            victim.abort();
            drop(victim);
        });
        turns(2).await;
        assert!(dropped.get());
    });
    let task = Rc::into_inner(task).unwrap();
    assert!(matches!(run(&ioloop, task), Err(JoinError::Cancelled)));
}

#[test]
fn waiter_suspended_on_a_handle_is_woken_by_the_abortion() {
    let ioloop = new_loop();
    let task = Rc::new(RefCell::new(ioloop.spawn(pending::<()>())));
    let waited_for = Rc::clone(&task);
    let waiter = ioloop.spawn(poll_fn(move |cx| Pin::new(&mut *waited_for.borrow_mut()).poll(cx)));
    run(&ioloop, async {
        turns(2).await;
        assert!(!waiter.is_finished());
        task.borrow().abort();
        assert!(matches!(waiter.await.unwrap(), Err(JoinError::Cancelled)));
    });
}

/// A task that is given its own handle.
fn spawn_with_handle<F>(
    ioloop: &IOLoop,
    body: impl FnOnce(Rc<RefCell<Option<JoinHandle<()>>>>) -> F,
) -> Rc<RefCell<Option<JoinHandle<()>>>>
where
    F: Future<Output = ()> + 'static,
{
    let shared = Rc::new(RefCell::new(None));
    *shared.borrow_mut() = Some(ioloop.spawn(body(Rc::clone(&shared))));
    shared
}

#[test]
fn task_that_aborts_itself_goes_on_to_its_next_suspension_and_no_further() {
    let ioloop = new_loop();
    let log = Log::new();
    let noted = log.clone();
    let task = spawn_with_handle(&ioloop, |own| async move {
        let dropped = noted.clone();
        let _guard = OnDrop(move || dropped.push("dropped"));
        own.borrow().as_ref().unwrap().abort();
        assert!(!own.borrow().as_ref().unwrap().is_finished());
        noted.push("still here");
        yield_now().await;
        noted.push("not here");
    });
    run(&ioloop, turns(4));
    assert_eq!(log.take(), ["still here", "dropped"]);
    assert_eq!(ioloop.task_count(), 0);
    let handle = task.take().unwrap();
    assert!(matches!(run(&ioloop, handle), Err(JoinError::Cancelled)));
}

#[test]
fn task_that_aborts_itself_and_completes_keeps_its_result() {
    let ioloop = new_loop();
    let task = spawn_with_handle(&ioloop, |own| async move {
        own.borrow().as_ref().unwrap().abort();
    });
    run(&ioloop, turns(2));
    let handle = task.take().unwrap();
    assert!(run(&ioloop, handle).is_ok());
}

#[test]
fn abort_after_completion_changes_nothing_even_when_the_place_is_taken() {
    let ioloop = new_loop();
    let done = ioloop.spawn(async { 1 });
    run(&ioloop, turns(2));
    let successor = ioloop.spawn(async {
        turns(2).await;
        2
    });
    done.abort();
    assert_eq!(run(&ioloop, done).unwrap(), 1);
    assert_eq!(run(&ioloop, successor).unwrap(), 2);
}

#[test]
fn future_dropped_by_abort_may_come_back_to_the_loop() {
    let ioloop = new_loop();
    let other = ioloop.spawn(pending::<()>());
    let log = Log::new();
    let (inside, noted) = (ioloop.clone(), log.clone());
    let guard = OnDrop(move || {
        other.abort();
        let noted = noted.clone();
        inside.spawn_detached(async move { noted.push("spawned in a destructor") });
        inside.add_callback(|| {});
    });
    let task = ioloop.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    run(&ioloop, async {
        turns(1).await;
        task.abort();
        turns(2).await;
    });
    assert_eq!(log.take(), ["spawned in a destructor"]);
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn panic_ends_the_task_alone_and_is_reported_with_its_line() {
    let ioloop = new_loop();
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push(report.clone()));
    let line = line!() + 1;
    let task = ioloop.spawn(async {
        yield_now().await;
        panic!("number {}", 7);
    });
    let survivor = ioloop.spawn(async {
        turns(5).await;
        "alive"
    });
    match run(&ioloop, task) {
        Err(JoinError::Panicked { message }) => assert_eq!(message, "number 7"),
        other => panic!("{other:?}"),
    }
    assert_eq!(run(&ioloop, survivor).unwrap(), "alive");
    let reports = reports.take();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].kind(), WorkKind::Task);
    assert_eq!(reports[0].message(), "number 7");
    assert_eq!((reports[0].location().file(), reports[0].location().line()), (file!(), line));
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn free_function_spawn_reports_the_line_of_its_caller() {
    let ioloop = new_loop();
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push(report.location().line()));
    let line = run(&ioloop, async {
        let line = line!() + 1;
        let task = spawn(async { panic!("here") });
        task.await.unwrap_err();
        line
    });
    assert_eq!(reports.take(), [line]);
}

#[test]
fn task_may_spawn_tasks_which_run_in_the_next_turn() {
    let ioloop = new_loop();
    let log = Log::new();
    let noted = log.clone();
    let result = ioloop.run_sync(async {
        spawn(async move {
            noted.push(turn());
            let inner = spawn(async move {
                noted.push(turn());
                21
            });
            inner.await.unwrap() * 2
        })
        .await
    });
    assert_eq!(result.unwrap(), 42);
    assert_eq!(log.take(), [1, 2]);
}

#[test]
fn task_woken_many_times_is_polled_once() {
    let ioloop = new_loop();
    let (polls, kept) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let (count, keep) = (Rc::clone(&polls), Rc::clone(&kept));
    ioloop.spawn_detached(poll_fn(move |cx| {
        count.set(count.get() + 1);
        *keep.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }));
    run(&ioloop, async {
        turns(2).await;
        assert_eq!(polls.get(), 1);
        let waker: Waker = kept.take().unwrap();
        for _ in 0..5 {
            waker.wake_by_ref();
        }
        turns(3).await;
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn task_that_wakes_itself_while_it_runs_is_polled_again_in_the_next_turn() {
    let ioloop = new_loop();
    let log = Log::new();
    let noted = log.clone();
    let task = ioloop.spawn(poll_fn(move |cx| {
        noted.push(turn());
        cx.waker().wake_by_ref();
        cx.waker().wake_by_ref();
        if noted.len() == 3 { Poll::Ready(()) } else { Poll::Pending }
    }));
    ioloop.run_sync(task).unwrap();
    assert_eq!(log.take(), [1, 2, 3]);
}

#[test]
fn waker_kept_after_its_task_is_gone_wakes_nobody() {
    let ioloop = new_loop();
    let old = run(&ioloop, ioloop.spawn(waker())).unwrap();
    let polls = Rc::new(Cell::new(0));
    let successor = ioloop.spawn(counting_polls(&polls));
    run(&ioloop, async {
        turns(2).await;
        old.wake_by_ref();
        old.wake();
        turns(2).await;
    });
    assert_eq!(polls.get(), 1);
    successor.abort();
}

#[test]
fn waker_kept_after_its_loop_is_gone_is_harmless_on_any_thread() {
    let ioloop = new_loop();
    let old = run(&ioloop, ioloop.spawn(waker())).unwrap();
    drop(ioloop);
    old.wake_by_ref();
    thread::spawn(move || old.wake()).join().unwrap();
}

#[test]
fn task_is_woken_from_another_thread() {
    let ioloop = new_loop();
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let woken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = std::sync::Arc::clone(&woken);
    let waking = thread::spawn(move || {
        let waker = receiver.recv().unwrap();
        flag.store(true, std::sync::atomic::Ordering::SeqCst);
        waker.wake();
    });
    let mut sent = false;
    let task = ioloop.spawn(poll_fn(move |cx| {
        if !sent {
            sent = true;
            sender.send(cx.waker().clone()).unwrap();
            return Poll::Pending;
        }
        assert!(woken.load(std::sync::atomic::Ordering::SeqCst));
        Poll::Ready(())
    }));
    run(&ioloop, task).unwrap();
    waking.join().unwrap();
}

#[test]
fn task_that_always_wakes_itself_delays_timers_and_events_by_no_more_than_a_turn() {
    let (ioloop, world) = virtual_loop();
    let time = Rc::clone(&world);
    let busy = ioloop.spawn(poll_fn(move |cx| {
        time.skip(Duration::from_millis(1));
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    let (ours, mut theirs) = pair();
    let written_in = Rc::new(Cell::new(0));
    let (noted, time) = (Rc::clone(&written_in), Rc::clone(&world));
    ioloop.call_later(Duration::from_millis(50), move || {
        noted.set(time.turn());
        theirs.write_all(b"x").unwrap();
    });
    let (stop, time, written) = (ioloop.clone(), Rc::clone(&world), Rc::clone(&written_in));
    let handled = Rc::new(Cell::new(0));
    let noted = Rc::clone(&handled);
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            noted.set(time.turn() - written.get());
            stop.stop();
        })
        .unwrap();
    ioloop.start();
    assert_eq!(handled.get(), 1);
    assert!((50..=52).contains(&written_in.get()), "turn {}", written_in.get());
    busy.abort();
}

#[test]
fn spawn_detached_runs_and_frees_its_place() {
    let ioloop = new_loop();
    let (done, guard) = drop_flag();
    ioloop.spawn_detached(async move { drop(guard) });
    assert_eq!(ioloop.task_count(), 1);
    run(&ioloop, turns(1));
    assert!(done.get());
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn future_of_a_task_is_dropped_when_it_completes_not_when_its_handle_goes() {
    let ioloop = new_loop();
    let (dropped, guard) = drop_flag();
    let mut guard = Some(guard);
    let task = ioloop.spawn(poll_fn(move |_| {
        let _ = &mut guard;
        Poll::Ready(())
    }));
    run(&ioloop, turns(2));
    assert!(dropped.get());
    assert!(task.is_finished());
}

#[test]
#[should_panic(expected = "gives its result once")]
fn handle_polled_after_it_gave_the_result_panics() {
    let ioloop = new_loop();
    let mut task = ioloop.spawn(async {});
    run(&ioloop, &mut task).unwrap();
    let _ = poll_once(&mut task);
}
