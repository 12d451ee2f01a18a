//! `LoopHandle`: the way in from other threads, and what it says when the loop is gone.

mod common;

use std::{
    future::pending,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use common::{Log, OnDrop, new_loop, run, start, turns};
use ioloop::{Error, IOLoop, LoopHandle, WorkKind};

fn is_send_and_sync<T: Send + Sync + Clone>() {}

#[test]
fn handle_is_send_sync_and_clone() {
    is_send_and_sync::<LoopHandle>();
}

#[test]
fn callbacks_of_many_threads_all_run_here_each_thread_in_its_order() {
    const THREADS: usize = 8;
    const CALLS: usize = 500;
    let ioloop = new_loop();
    let (sender, receiver) = mpsc::channel();
    let here = thread::current().id();
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (handle, sender) = (ioloop.handle(), sender.clone());
            thread::spawn(move || {
                for call in 0..CALLS {
                    let sender = sender.clone();
                    let callback = move || {
                        assert_eq!(thread::current().id(), here);
                        sender.send((number, call)).unwrap();
                    };
                    handle.add_callback(callback).unwrap();
                }
                let done = handle.clone();
                handle.spawn(async move { drop(done) }).unwrap();
            })
        })
        .collect();
    let mut seen = vec![Vec::new(); THREADS];
    run(&ioloop, async {
        let mut missing = THREADS * CALLS;
        while missing > 0 {
            turns(1).await;
            for (number, call) in receiver.try_iter() {
                seen[number].push(call);
                missing -= 1;
            }
        }
    });
    for calls in seen {
        assert_eq!(calls, (0..CALLS).collect::<Vec<_>>());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn sleeping_loop_is_woken_by_a_callback_a_spawn_and_a_stop() {
    let ioloop = new_loop();
    let handle = ioloop.handle();
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let first = sender.clone();
        handle.add_callback(move || first.send("callback").unwrap()).unwrap();
        assert_eq!(receiver.recv().unwrap(), "callback");
        handle.spawn(async move { sender.send("task").unwrap() }).unwrap();
        assert_eq!(receiver.recv().unwrap(), "task");
        handle.stop().unwrap();
    });
    start(&ioloop);
    thread.join().unwrap();
}

#[test]
fn each_signal_is_one_event_and_leaves_the_loop_free_to_sleep() {
    let ioloop = new_loop();
    let turn = || {
        let before = ioloop.metrics().events;
        ioloop.run_once(Some(Duration::ZERO));
        ioloop.metrics().events - before
    };
    assert_eq!(turn(), 0);
    for _ in 0..3 {
        // Between two turns the loop counts as asleep.
        ioloop.handle().add_callback(|| {}).unwrap();
        assert_eq!([turn(), turn(), turn()], [1, 0, 0]);
    }
}

#[test]
fn stop_comes_after_the_callbacks_sent_before_it() {
    let ioloop = new_loop();
    let handle = ioloop.handle();
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..10 {
        let count = Arc::clone(&count);
        handle
            .add_callback(move || {
                count.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
    }
    handle.stop().unwrap();
    start(&ioloop);
    assert_eq!(count.load(Ordering::Relaxed), 10);
}

#[test]
fn handle_may_be_used_on_the_loops_own_thread() {
    let ioloop = new_loop();
    let handle = ioloop.handle();
    ioloop.add_callback(move || {
        let stop = handle.clone();
        handle.add_callback(move || stop.stop().unwrap()).unwrap();
    });
    start(&ioloop);
}

#[test]
fn panic_in_a_callback_from_another_thread_is_reported_with_its_line() {
    let ioloop = new_loop();
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push(report.clone()));
    let handle = ioloop.handle();
    let lines = thread::spawn(move || {
        let first = line!() + 1;
        handle.add_callback(|| panic!("callback")).unwrap();
        let second = line!() + 1;
        handle.spawn(async { panic!("task") }).unwrap();
        [(WorkKind::Callback, first), (WorkKind::Task, second)]
    })
    .join()
    .unwrap();
    run(&ioloop, turns(3));
    let seen: Vec<_> = reports.take().iter().map(|report| (report.kind(), report.location().line())).collect();
    assert_eq!(seen, lines);
}

fn assert_closed(handle: &LoopHandle) {
    assert!(matches!(handle.add_callback(|| {}), Err(Error::Closed)));
    assert!(matches!(handle.spawn(async {}), Err(Error::Closed)));
    assert!(matches!(handle.stop(), Err(Error::Closed)));
}

#[test]
fn closed_loop_refuses_and_drops_what_is_sent_to_it() {
    let ioloop = new_loop();
    let handle = ioloop.handle();
    ioloop.close();
    assert_closed(&handle);
    let token = Arc::new(());
    let held = Arc::clone(&token);
    assert!(handle.add_callback(move || drop(held)).is_err());
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn loop_dropped_without_being_closed_refuses_too() {
    let ioloop = new_loop();
    let handle = ioloop.handle();
    let token = Arc::new(());
    let held = Arc::clone(&token);
    handle.add_callback(move || drop(held)).unwrap();
    drop(ioloop);
    assert_closed(&handle);
    assert_eq!(Arc::strong_count(&token), 1, "accepted, never run, dropped");
}

#[test]
fn end_of_the_thread_closes_its_loop_and_drops_its_tasks() {
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let handle = thread::spawn(move || {
        let ioloop = IOLoop::current();
        // A circle: the loop holds the task, the task holds the loop.
        let own = ioloop.clone();
        ioloop.spawn_detached(async move {
            let _held = (held, own);
            pending().await
        });
        run(&ioloop, turns(2));
        ioloop.handle()
    })
    .join()
    .unwrap();
    assert_eq!(Arc::strong_count(&token), 1);
    assert_closed(&handle);
}

#[test]
fn thread_may_end_with_tasks_whose_destructors_want_the_loop_or_panic() {
    let token = Arc::new(());
    let held = Arc::clone(&token);
    thread::spawn(move || {
        let ioloop = IOLoop::current();
        for number in 0..3 {
            let held = Arc::clone(&held);
            ioloop.spawn_detached(async move {
                let _held = held;
                let _guard = OnDrop(move || match number {
                    0 => panic!("in a destructor"),
                    // Panics as well: the thread has no loop any more.
                    _ => IOLoop::current().add_callback(|| {}),
                });
                pending().await
            });
        }
        run(&ioloop, turns(2));
    })
    .join()
    .unwrap();
    assert_eq!(Arc::strong_count(&token), 1, "every task was dropped");
}

#[test]
fn loop_closed_while_others_send_loses_nothing_silently() {
    const THREADS: usize = 4;
    let ioloop = new_loop();
    let (ran, token, barrier) = (Arc::new(AtomicUsize::new(0)), Arc::new(()), Arc::new(Barrier::new(THREADS)));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (handle, ran, token, barrier) =
                (ioloop.handle(), Arc::clone(&ran), Arc::clone(&token), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                let mut accepted = 0;
                loop {
                    let (ran, token) = (Arc::clone(&ran), Arc::clone(&token));
                    let callback = move || {
                        ran.fetch_add(1, Ordering::Relaxed);
                        drop(token);
                    };
                    match handle.add_callback(callback) {
                        Ok(()) => accepted += 1,
                        Err(Error::Closed) => return accepted,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    run(&ioloop, async {
        while ran.load(Ordering::Relaxed) < 1_000 {
            turns(1).await;
        }
    });
    ioloop.close();
    let accepted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(accepted >= ran.load(Ordering::Relaxed));
    assert_eq!(Arc::strong_count(&token), 1, "run or dropped, none is kept");
}

#[test]
fn loops_are_made_and_closed_on_several_threads_at_once() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                for _ in 0..20 {
                    let ioloop = new_loop();
                    let handle = ioloop.handle();
                    let other = thread::spawn(move || handle.stop());
                    start(&ioloop);
                    ioloop.close();
                    other.join().unwrap().unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
