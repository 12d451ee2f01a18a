//! Processes: a program that forks its workers before it makes a loop, and descriptors inherited from a service manager.
//!
//! One loop uses one processor. With the feature `fork`, `fork_processes` makes one process per processor, which share the
//! listening sockets that were bound before; threads with a loop each are the other way, and the better one where the
//! workers share memory.
//!
//! [`inherited_fds`] takes what a service manager has opened, and [`spawn_with_fds`] passes descriptors on in the same way:
//! to a new version of the program, for example, which then listens on the same sockets.
//!
//! This is the only module of the crate with unsafe code.
//!
//! # Examples
//!
//! ```no_run
//! use std::{io::Write, net::TcpListener, rc::Rc};
//! use ioloop::{IOLoop, Interest, process, signal};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // From the service manager if there is one, or else of our own; before the fork, so that all workers have it.
//!     let listener = match process::inherited_fds()?.into_iter().next() {
//!         Some(inherited) => TcpListener::from(inherited.fd),
//!         None => TcpListener::bind("127.0.0.1:8888")?,
//!     };
//!     // A connection wakes all workers; those that come late must not wait for the next.
//!     listener.set_nonblocking(true)?;
//!
//!     // A worker per processor. The parent stays in here for as long as they are needed.
//!     let worker = process::fork_processes(0, 100)?;
//!
//!     // From here on in each of the workers.
//!     let ioloop = IOLoop::current();
//!     let listener = Rc::new(listener);
//!     ioloop.add_handler(Rc::clone(&listener), Interest::READABLE, move |_| {
//!         if let Ok((mut connection, peer)) = listener.accept() {
//!             println!("worker {worker} serves {peer}");
//!             let _ = writeln!(connection, "hello from worker {worker}");
//!         }
//!     })?;
//!     // The parent's SIGTERM: this worker is done, and its exit status says so.
//!     ioloop.run_sync(signal::shutdown())?;
//!     Ok(())
//! }
//! ```
#![allow(unsafe_code, reason = "forking, reaping, adopting and passing on descriptors have no safe form")]

#[cfg(feature = "fork")]
mod fork;
mod inherited;
mod spawn;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use nix::errno::Errno;

#[cfg(feature = "fork")]
pub use self::fork::fork_processes;
pub use self::{
    inherited::{InheritedFd, inherited_fds},
    spawn::spawn_with_fds,
};
use crate::Error;

/// How many processors this process may use: those of its affinity mask and its control group's quota. At least one.
#[inline]
pub fn cpu_count() -> usize {
    thread::available_parallelism().map_or_else(
        |error| {
            log::error!("could not detect the number of processors, assuming one: {error}");
            1
        },
        usize::from,
    )
}

/// The number of this process among those made by `fork_processes`, from 0. `None` in any other process.
#[inline]
pub fn task_id() -> Option<usize> {
    match TASK_ID.load(Ordering::Relaxed) {
        NOT_A_WORKER => None,
        id => Some(id),
    }
}

static TASK_ID: AtomicUsize = AtomicUsize::new(NOT_A_WORKER);
const NOT_A_WORKER: usize = usize::MAX;

/// The loops of this process that live.
static LOOPS: AtomicUsize = AtomicUsize::new(0);

/// A loop's part in the count of those that live.
#[derive(Debug)]
pub(crate) struct Counted(());

impl Counted {
    #[inline]
    pub(crate) fn new() -> Counted {
        LOOPS.fetch_add(1, Ordering::SeqCst);
        Counted(())
    }
}

impl Drop for Counted {
    #[inline]
    fn drop(&mut self) {
        LOOPS.fetch_sub(1, Ordering::SeqCst);
    }
}

#[inline]
fn failed(operation: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::Io { operation, source: errno.into() }
}
