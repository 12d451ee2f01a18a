//! Tasks: futures the loop polls until they are done. How they are made and awaited is in `spawn` and `join`.

mod error;
mod flag;
mod fresh;
mod polled;
mod scheduler;
mod tide;
mod work;

pub use error::JoinError;
pub(crate) use flag::WakeFlag;
pub(crate) use fresh::Fresh;
pub(crate) use polled::Polled;
pub(crate) use scheduler::{Callback, Join, NOBODY, ROOT, Remains, Scheduler, Woken};
pub(crate) use tide::Turn;
pub(crate) use work::{BoxedWork, TaskWork, detached, joinable, take_result};
