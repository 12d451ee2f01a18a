//! The other files' tests once more, over poll(2) instead of epoll(7): `common` looks where it is compiled.
#![allow(clippy::duplicate_mod, reason = "each file brings its own `mod common`")]

#[path = "callbacks.rs"]
mod callbacks;
#[path = "closing.rs"]
mod closing;
mod common;
#[path = "context.rs"]
mod context;
#[path = "context_errors.rs"]
mod context_errors;
#[path = "current.rs"]
mod current;
#[path = "deadline.rs"]
mod deadline;
#[path = "ecosystem.rs"]
mod ecosystem;
#[path = "executor.rs"]
mod executor;
#[path = "fairness.rs"]
mod fairness;
#[path = "faults.rs"]
mod faults;
#[path = "handlers.rs"]
mod handlers;
#[path = "interval.rs"]
mod interval;
#[path = "metrics.rs"]
mod metrics;
#[path = "nested.rs"]
mod nested;
#[path = "panics.rs"]
mod panics;
#[path = "periodic.rs"]
mod periodic;
#[path = "reentrance.rs"]
mod reentrance;
#[path = "run_sync.rs"]
mod run_sync;
#[path = "scheduler.rs"]
mod scheduler;
#[path = "signal.rs"]
mod signal;
#[path = "slow_callbacks.rs"]
mod slow_callbacks;
#[path = "source.rs"]
mod source;
#[path = "task_corners.rs"]
mod task_corners;
#[path = "task_lifecycles/main.rs"]
mod task_lifecycles;
#[path = "tasks.rs"]
mod tasks;
#[path = "threads.rs"]
mod threads;
#[path = "timers.rs"]
mod timers;
#[path = "virtual_clock.rs"]
mod virtual_clock;
#[path = "virtual_clock_loops.rs"]
mod virtual_clock_loops;

#[test]
fn loops_of_these_tests_wait_with_poll() {
    let ioloop = common::new_loop();
    assert!(ioloop.as_fd().is_err(), "only epoll has a descriptor");
    assert!(ioloop::IOLoop::new().unwrap().as_fd().is_err(), "the process is configured for it");
}
