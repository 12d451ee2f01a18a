#![doc = include_str!("../README.md")]

#[cfg(not(target_os = "linux"))]
compile_error!("waterspout-ioloop needs Linux: its only complete poller is epoll(7)");

mod arena;
mod clock;
mod error;
mod ioloop;
mod periodic;
mod poller;
mod registry;
mod remote;
pub mod signal;
mod source;
mod task;
mod time;
mod timer;

pub use crate::{
    clock::{Clock, MonotonicClock},
    error::{CallbackException, Error, Result, WorkKind},
    ioloop::IOLoop,
    periodic::PeriodicCallback,
    poller::{Epoll, Event, Interest, Poller, Ready, Token, Trigger},
    remote::LoopHandle,
    source::Source,
    task::{JoinError, JoinHandle, YieldNow, spawn, yield_now},
    time::{Deadline, Sleep, Timeout, sleep, sleep_until, timeout},
    timer::TimeoutHandle,
};
