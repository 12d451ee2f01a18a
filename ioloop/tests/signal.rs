//! Signals. In a binary of its own, because signals belong to the process; each test has signals of its own, because
//! tests run side by side.

mod common;

use std::{cell::Cell, future::Future, pin::Pin, rc::Rc, thread, time::Duration};

use common::{new_loop, poll_once, run, turns, until};
use ioloop::{
    IOLoop,
    signal::{SIGHUP, SIGINT, SIGTERM, Signal, add_signal_handler, interrupt, shutdown, terminate},
    spawn,
};
use signal_hook::{consts, low_level::raise};

#[test]
fn signal_arrives_once_per_time_it_was_raised_and_waited_for() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let mut signal = Signal::new(consts::SIGUSR1).unwrap();
        turns(2).await;
        assert!(poll_once(signal.recv()).is_pending());
        for _ in 0..3 {
            raise(consts::SIGUSR1).unwrap();
            signal.recv().await;
            assert!(poll_once(signal.recv()).is_pending());
        }
    });
}

#[test]
fn signals_that_came_before_anybody_waited_are_merged_into_one() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let mut signal = Signal::new(consts::SIGUSR2).unwrap();
        for _ in 0..5 {
            raise(consts::SIGUSR2).unwrap();
        }
        signal.recv().await;
        assert!(poll_once(signal.recv()).is_pending());
    });
}

#[test]
fn every_listener_is_told_and_one_that_was_dropped_leaves_the_others_alone() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let mut listeners: Vec<_> = (0..3).map(|_| Signal::new(SIGHUP).unwrap()).collect();
        drop(listeners.remove(1));
        raise(SIGHUP).unwrap();
        for signal in &mut listeners {
            signal.recv().await;
        }
        drop(listeners);
        // Nobody listens any more; the default action, ending the process, must not come back.
        raise(SIGHUP).unwrap();
    });
}

#[test]
fn loops_of_several_threads_are_all_told() {
    let (ready, listening) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let ready = ready.clone();
            thread::spawn(move || {
                let ioloop = IOLoop::current();
                run(&ioloop, async {
                    let mut signal = Signal::new(consts::SIGWINCH).unwrap();
                    ready.send(()).unwrap();
                    signal.recv().await;
                });
            })
        })
        .collect();
    for _ in &threads {
        listening.recv().unwrap();
    }
    raise(consts::SIGWINCH).unwrap();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn recv_dropped_before_the_signal_loses_nothing() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let mut signal = Signal::new(consts::SIGCONT).unwrap();
        for _ in 0..3 {
            assert!(ioloop::timeout(Duration::ZERO, signal.recv()).await.is_err());
        }
        raise(consts::SIGCONT).unwrap();
        signal.recv().await;
    });
}

/// One test for SIGINT and SIGTERM, which the functions under test share.
#[test]
fn interrupt_terminate_and_shutdown_wait_for_their_signals() {
    let ioloop = new_loop();
    // What comes before any loop watches is there for the one that runs the future.
    let waits: [Pin<Box<dyn Future<Output = ioloop::Result<i32>>>>; 2] = [Box::pin(shutdown()), Box::pin(shutdown())];
    for (wait, signal) in waits.into_iter().zip([SIGTERM, SIGTERM]) {
        raise(signal).unwrap();
        assert_eq!(run(&new_loop(), wait).unwrap(), signal);
    }
    run(&ioloop, async {
        let interrupted = Rc::new(Cell::new(false));
        let flag = Rc::clone(&interrupted);
        spawn(async move {
            interrupt().await.unwrap();
            flag.set(true);
        });
        let terminated = spawn(terminate());
        let either = spawn(shutdown());
        turns(3).await;
        raise(SIGTERM).unwrap();
        terminated.await.unwrap().unwrap();
        assert_eq!(either.await.unwrap().unwrap(), SIGTERM);
        assert!(!interrupted.get());
        let either = spawn(shutdown());
        turns(2).await;
        raise(SIGINT).unwrap();
        assert_eq!(either.await.unwrap().unwrap(), SIGINT);
        until(|| interrupted.get()).await;
    });
}

#[test]
fn number_that_is_no_signal_is_an_error() {
    let ioloop = new_loop();
    run(&ioloop, async {
        assert!(Signal::new(12_345).is_err());
    });
}

#[test]
fn callback_is_called_for_each_signal_until_it_is_removed() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (calls, reports) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (called, reported) = (Rc::clone(&calls), Rc::clone(&reports));
        IOLoop::current().on_callback_exception(move |_| reported.set(reported.get() + 1));
        let handler = add_signal_handler(consts::SIGWINCH, move || {
            called.set(called.get() + 1);
            assert!(called.get() != 2, "the second call fails");
        })
        .unwrap();
        let another = add_signal_handler(consts::SIGWINCH, || {}).unwrap();
        for count in 1..=3 {
            raise(consts::SIGWINCH).unwrap();
            until(|| calls.get() == count).await;
        }
        assert_eq!(reports.get(), 1);
        handler.remove();
        let mut listener = Signal::new(consts::SIGWINCH).unwrap();
        raise(consts::SIGWINCH).unwrap();
        listener.recv().await;
        turns(3).await;
        assert_eq!(calls.get(), 3);
        // Dropping the handle leaves the callback in place, as with all registrations.
        drop(another);
    });
}
