//! `run_in_executor`: results, panics, the size of the pool, and its end.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::pending,
    rc::Rc,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    task::Poll,
    thread::{self, ThreadId},
    time::Duration,
};

use common::{Log, OnDrop, new_loop, poll_once, run, turns};
use ioloop::{ExecutorOptions, IOLoop, Job, JoinError, run_in_executor, spawn};

/// No test comes near it; one that hangs shall fail instead.
const PATIENCE: Duration = Duration::from_secs(60);
const FOR_EVER: Duration = Duration::MAX;

fn loop_with(options: ExecutorOptions) -> IOLoop {
    let ioloop = new_loop();
    ioloop.configure_executor(options);
    ioloop
}

fn one_thread() -> ExecutorOptions {
    ExecutorOptions::new().max_threads(1).keep_alive(FOR_EVER)
}

/// Tells when the thread it belongs to has ended.
struct TellEnd(Sender<ThreadId>, ThreadId);

impl Drop for TellEnd {
    fn drop(&mut self) {
        self.0.send(self.1).expect("the test listens");
    }
}

thread_local! {
    static AT_END: RefCell<Option<TellEnd>> = const { RefCell::new(None) };
}

fn tell_end(sender: &Sender<ThreadId>) {
    let at_end = TellEnd(sender.clone(), thread::current().id());
    AT_END.with(|place| place.replace(Some(at_end)));
}

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it comes")
}

#[test]
fn work_runs_on_another_thread_and_its_result_arrives_here() {
    let ioloop = new_loop();
    let here = thread::current().id();
    let (there, after) = run(&ioloop, async {
        let there = run_in_executor(|| thread::current().id()).await.unwrap();
        (there, thread::current().id())
    });
    assert_ne!(there, here);
    assert_eq!(after, here);
}

#[test]
fn work_is_under_way_before_anybody_awaits_it() {
    let ioloop = new_loop();
    let (sender, receiver) = mpsc::channel();
    let job = ioloop.run_in_executor(move || sender.send("running").unwrap());
    assert_eq!(next(&receiver), "running");
    run(&ioloop, job).unwrap();
}

#[test]
fn job_may_be_sent_to_and_awaited_on_another_loop() {
    let (mine, theirs) = (new_loop(), thread::current().id());
    let job = mine.run_in_executor(move || thread::current().id() != theirs);
    let awaited = thread::spawn(|| run(&new_loop(), job)).join().unwrap();
    assert!(awaited.unwrap());
}

#[test]
fn any_number_of_tasks_get_each_its_own_result() {
    let ioloop = loop_with(ExecutorOptions::new().max_threads(4));
    run(&ioloop, async {
        let tasks: Vec<_> =
            (0..500).map(|number| spawn(async move { run_in_executor(move || number * 2).await.unwrap() })).collect();
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), number * 2);
        }
    });
}

#[test]
fn panic_is_an_error_of_the_job_and_not_reported_by_the_loop() {
    let ioloop = loop_with(one_thread());
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push(report.message().to_owned()));
    run(&ioloop, async {
        let result = run_in_executor(|| -> u8 { panic!("no such {}", "luck") }).await;
        assert!(matches!(&result, Err(JoinError::Panicked { message }) if message == "no such luck"), "{result:?}");
        assert_eq!(run_in_executor(|| 1).await.unwrap(), 1, "the thread goes on");
        turns(2).await;
    });
    assert_eq!(reports.take(), Vec::<String>::new());
}

#[test]
fn dropped_job_still_runs_and_its_result_is_dropped() {
    let ioloop = new_loop();
    let (gate, opened) = mpsc::channel::<()>();
    let (dropped, drops) = mpsc::channel();
    let mut job = ioloop.run_in_executor(move || {
        opened.recv().unwrap();
        OnDrop(move || dropped.send("result").unwrap())
    });
    run(&ioloop, async { assert!(poll_once(&mut job).is_pending()) });
    drop(job);
    gate.send(()).unwrap();
    assert_eq!(next(&drops), "result");
}

#[test]
fn result_whose_destructor_panics_leaves_the_thread_alive() {
    let ioloop = loop_with(one_thread());
    let (gate, opened) = mpsc::channel::<()>();
    let work = move || {
        opened.recv().unwrap();
        (thread::current().id(), OnDrop(|| panic!("in a destructor")))
    };
    drop(ioloop.run_in_executor(work));
    let first = ioloop.run_in_executor(|| thread::current().id());
    gate.send(()).unwrap();
    let first = run(&ioloop, first).unwrap();
    assert_eq!(run(&ioloop, ioloop.run_in_executor(|| thread::current().id())).unwrap(), first);
}

#[test]
fn pool_grows_to_its_limit_while_no_thread_is_idle() {
    const LIMIT: usize = 4;
    let ioloop = loop_with(ExecutorOptions::new().max_threads(LIMIT));
    let (barrier, at_once, most) =
        (Arc::new(Barrier::new(LIMIT)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let jobs: Vec<Job<()>> = (0..LIMIT * 5)
        .map(|_| {
            let (barrier, at_once, most) = (Arc::clone(&barrier), Arc::clone(&at_once), Arc::clone(&most));
            ioloop.run_in_executor(move || {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Passed by as many jobs as there shall be threads, or never.
                barrier.wait();
                at_once.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    run(&ioloop, async {
        for job in jobs {
            job.await.unwrap();
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), LIMIT);
}

#[test]
fn jobs_beyond_the_limit_wait_in_order() {
    let ioloop = loop_with(one_thread());
    let (gate, opened) = mpsc::channel::<()>();
    let (sender, receiver) = mpsc::channel();
    drop(ioloop.run_in_executor(move || opened.recv().unwrap()));
    let jobs: Vec<_> = (0..100)
        .map(|number| {
            let sender = sender.clone();
            ioloop.run_in_executor(move || sender.send(number).unwrap())
        })
        .collect();
    assert!(receiver.try_recv().is_err());
    gate.send(()).unwrap();
    run(&ioloop, async {
        for job in jobs {
            job.await.unwrap();
        }
    });
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}

#[test]
fn idle_thread_is_used_again() {
    let ioloop = loop_with(ExecutorOptions::new().max_threads(1).keep_alive(FOR_EVER));
    let ids = run(&ioloop, async {
        let first = run_in_executor(|| thread::current().id()).await.unwrap();
        (first, run_in_executor(|| thread::current().id()).await.unwrap())
    });
    assert_eq!(ids.0, ids.1);
}

#[test]
fn idle_threads_retire() {
    let ioloop = loop_with(ExecutorOptions::new().keep_alive(Duration::ZERO));
    let (sender, ends) = mpsc::channel();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let sender = sender.clone();
        let job = ioloop.run_in_executor(move || {
            tell_end(&sender);
            thread::current().id()
        });
        let id = run(&ioloop, job).unwrap();
        assert_eq!(next(&ends), id);
        assert!(!seen.contains(&id), "a new thread takes the place of one that is gone");
        seen.push(id);
    }
}

#[test]
fn lowered_limit_lets_idle_threads_go() {
    let ioloop = loop_with(ExecutorOptions::new().max_threads(3).keep_alive(FOR_EVER));
    let (sender, ends) = mpsc::channel();
    let barrier = Arc::new(Barrier::new(3));
    let jobs: Vec<_> = (0..3)
        .map(|_| {
            let (sender, barrier) = (sender.clone(), Arc::clone(&barrier));
            ioloop.run_in_executor(move || {
                tell_end(&sender);
                barrier.wait();
            })
        })
        .collect();
    run(&ioloop, async {
        for job in jobs {
            job.await.unwrap();
        }
    });
    ioloop.configure_executor(one_thread());
    let gone = [next(&ends), next(&ends)];
    let left = run(&ioloop, ioloop.run_in_executor(|| thread::current().id())).unwrap();
    assert!(!gone.contains(&left));
    assert!(ends.try_recv().is_err(), "one stays");
    ioloop.close();
    assert_eq!(ends.try_recv(), Ok(left), "joined");
}

/// The running job waits for something that a task holds: it has to be dropped before the job is waited for.
#[test]
fn close_drops_what_has_not_begun_and_waits_for_what_runs() {
    let ioloop = loop_with(one_thread());
    let (held, released) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    let finished = Arc::new(AtomicBool::new(false));
    let finish = Arc::clone(&finished);
    let running = ioloop.run_in_executor(move || {
        started.send(()).unwrap();
        assert!(released.recv().is_err());
        finish.store(true, Ordering::SeqCst);
        "result"
    });
    let waiting = ioloop.run_in_executor(|| panic!("it must not begin"));
    ioloop.spawn_detached(async move {
        let _held = held;
        pending().await
    });
    next(&start);
    ioloop.close();
    assert!(finished.load(Ordering::SeqCst));
    assert!(matches!(poll_once(running), Poll::Ready(Ok("result"))));
    assert!(matches!(poll_once(waiting), Poll::Ready(Err(JoinError::Cancelled))));
}

#[test]
fn closed_loop_runs_nothing() {
    let ioloop = new_loop();
    ioloop.close();
    let token = Arc::new(());
    let held = Arc::clone(&token);
    let job = ioloop.run_in_executor(move || drop(held));
    assert!(matches!(poll_once(job), Poll::Ready(Err(JoinError::Cancelled))));
    assert_eq!(Arc::strong_count(&token), 1);
    ioloop.configure_executor(one_thread());
}

#[test]
fn loop_that_goes_without_being_closed_waits_too() {
    let (sender, ends) = mpsc::channel();
    let ioloop = new_loop();
    for _ in 0..3 {
        let sender = sender.clone();
        drop(ioloop.run_in_executor(move || tell_end(&sender)));
    }
    drop(sender);
    drop(ioloop);
    // Those that had not begun are dropped; the others have come to their end, and no sender is left.
    assert!(ends.try_iter().count() <= 3);
    assert_eq!(ends.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn end_of_the_thread_waits_for_the_pool_of_its_loop() {
    let (sender, ends) = mpsc::channel();
    thread::spawn(move || {
        let job = IOLoop::current().run_in_executor(move || tell_end(&sender));
        run(&IOLoop::current(), job).unwrap();
    })
    .join()
    .unwrap();
    assert!(ends.try_recv().is_ok());
}

#[test]
fn job_that_sends_to_a_closing_loop_is_refused_and_ends() {
    let ioloop = loop_with(one_thread());
    let handle = ioloop.handle();
    let (held, released) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    let job = ioloop.run_in_executor(move || {
        started.send(()).unwrap();
        let _ = released.recv();
        handle.add_callback(|| {}).is_err()
    });
    ioloop.add_callback(move || drop(held));
    next(&start);
    ioloop.close();
    assert!(matches!(poll_once(job), Poll::Ready(Ok(true))));
}

#[test]
fn results_that_come_while_the_loop_is_busy_cost_no_wake_up() {
    let ioloop = new_loop();
    ioloop.configure_executor(one_thread());
    let (gate, opened) = mpsc::channel::<()>();
    let (sender, receiver) = mpsc::channel();
    let mut jobs: Vec<Job<()>> = vec![ioloop.run_in_executor(move || opened.recv().unwrap())];
    jobs.extend((0..10).map(|_| ioloop.run_in_executor(|| {})));
    // With one thread, this job runs when the results of all others have been handed over.
    drop(ioloop.run_in_executor(move || sender.send(()).unwrap()));
    let done = Rc::new(Cell::new(0));
    for job in jobs {
        let done = Rc::clone(&done);
        ioloop.spawn_detached(async move {
            job.await.unwrap();
            done.set(done.get() + 1);
        });
    }
    run(&ioloop, async {
        turns(2).await;
        gate.send(()).unwrap();
        next(&receiver);
        turns(2).await;
    });
    assert_eq!(done.get(), 11);
    assert_eq!(ioloop.metrics().events, 0);
}
