#![doc = include_str!("../README.md")]

#[cfg(not(target_os = "linux"))]
compile_error!("waterspout-ioloop needs Linux: it is built on epoll(7) and eventfd(2)");

mod arena;
mod clock;
pub mod context;
mod ebb;
mod error;
mod executor;
mod failure;
mod handle;
mod interval;
mod ioloop;
mod join;
mod mailbox;
mod memory;
mod panic;
mod periodic;
mod poller;
mod printable;
pub mod process;
mod registry;
mod remote;
pub mod signal;
mod source;
mod spawn;
pub mod sync;
mod task;
mod threads;
mod time;
mod timer;
mod virtual_clock;
mod waiter;

pub use crate::{
    clock::{Clock, MonotonicClock},
    ebb::{Ebb, move_ahead, on_ebb},
    error::{CallbackException, Error, Result, WorkKind},
    executor::{ExecutorOptions, Job, run_in_executor},
    failure::report_failure,
    handle::LoopHandle,
    interval::{Interval, interval},
    ioloop::{Builder, IOLoop, Metrics, PollerFactory, SlowCallback},
    join::JoinHandle,
    panic::panic_message,
    periodic::PeriodicCallback,
    poller::{Epoll, Event, Interest, Poller, PosixPoll, Ready, Token, Trigger},
    printable::Printable,
    source::Source,
    spawn::{YieldNow, spawn, yield_now},
    task::JoinError,
    time::{Deadline, Sleep, Timeout, sleep, sleep_until, timeout},
    timer::TimeoutHandle,
    virtual_clock::{Advance, VirtualClock},
    waiter::Waiter,
};
