//! Worker processes that share what was opened before.

use std::{
    fs,
    io::{self, Write},
    os::unix::process::ExitStatusExt,
    process::{self, ExitStatus},
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        prctl,
        signal::{SigSet, SigmaskHow, Signal, kill},
    },
    unistd::{ForkResult, Pid, fork, getpid, getppid},
};

use super::{LOOPS, TASK_ID, cpu_count, failed, task_id};
use crate::{Error, Result};

/// Forks `count` worker processes (0: one per processor) and returns in each of them with its number, from 0. The parent
/// stays in here and watches over them:
///
/// * A worker that exits with status 0 is done. When all are, the parent exits with status 0.
/// * A worker that is killed by a signal or exits with another status is logged and started again, under the same number.
/// * After more than `max_restarts` of these, over all workers, the parent gets [`Error::TooManyRestarts`]; 100 is a
///   usual limit.
/// * SIGTERM or SIGINT to the parent goes to the workers as SIGTERM; from then on none is started again, and the parent
///   exits with status 0 when the last has ended.
/// * When the parent ends in any other way, the kernel sends SIGTERM to the workers.
///
/// Call it early in `main`: bind sockets before, make loops, threads and random generators after. What is registered with
/// the `log` crate tells of starts and ends.
///
/// The module's own [example](super#examples) is a complete program.
///
/// # Errors
///
/// [`Error::CannotFork`] when it would not be safe: a loop exists on any thread, dropped neither by its holders nor by
/// [`IOLoop::clear_current`](crate::IOLoop::clear_current); the process has more than one thread (a child has only the
/// one that forked, with the locks of all the others); or this is a worker itself. [`Error::TooManyRestarts`] in the
/// parent, whose remaining workers go on until it ends. [`Error::Io`] when fork(2) fails or /proc is missing.
#[inline]
pub fn fork_processes(count: usize, max_restarts: usize) -> Result<usize> {
    may_fork()?;
    let count = if count == 0 { cpu_count() } else { count };
    log::info!("Starting {count} processes");
    let mut parent = Parent::new()?;
    let worker = parent.supervise(count, max_restarts);
    // Here are the workers, and the parent only after an error.
    let restored = parent.restore_signals();
    let id = worker?;
    restored?;
    Ok(id)
}

#[inline]
fn may_fork() -> Result<()> {
    let reason = if task_id().is_some() {
        "this process is a worker of fork_processes already"
    } else if LOOPS.load(Ordering::SeqCst) > 0 {
        "a loop exists already; fork before the first use of IOLoop::current"
    } else if !is_single_threaded()? {
        "the process has more than one thread; fork before starting any"
    } else {
        return Ok(());
    };
    Err(Error::CannotFork { reason })
}

/// A thread that was joined a moment ago may still be on its way out of the kernel, and listed: those get a tenth of a
/// second.
#[inline]
fn is_single_threaded() -> Result<bool> {
    for _ in 0..100 {
        let tasks = fs::read_dir("/proc/self/task").map_err(Error::io("counting the threads of the process"))?;
        if tasks.count() == 1 {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
}

/// The process that forks and waits.
struct Parent {
    pid: Pid,
    /// What it sleeps for: its children and the signals that stop it. They are blocked, so that none comes between looking
    /// and waiting, and so that those to stop it do not act by themselves.
    signals: SigSet,
    /// The mask from before, which is the workers'.
    mask: SigSet,
    workers: Vec<Worker>,
    restarts: usize,
    stopping: bool,
}

#[derive(Clone, Copy)]
struct Worker {
    pid: Pid,
    id: usize,
}

impl Parent {
    #[inline]
    fn new() -> Result<Parent> {
        let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT]);
        let mask = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(failed("blocking signals"))?;
        Ok(Parent { pid: getpid(), signals, mask, workers: Vec::new(), restarts: 0, stopping: false })
    }

    #[inline]
    fn restore_signals(&self) -> Result<()> {
        self.mask.thread_set_mask().map_err(failed("unblocking signals"))
    }

    /// In a worker returns its number, in the parent only an error.
    #[inline]
    fn supervise(&mut self, count: usize, max_restarts: usize) -> Result<usize> {
        for id in 0..count {
            if self.start(id)? {
                return Ok(id);
            }
        }
        while !self.workers.is_empty() {
            match self.signals.wait().map_err(failed("waiting for signals"))? {
                // Several ends may have been merged into one signal.
                Signal::SIGCHLD => {
                    while let Some((worker, status)) = self.reap()? {
                        if self.must_restart(worker, status, max_restarts)? && self.start(worker.id)? {
                            return Ok(worker.id);
                        }
                    }
                }
                signal => self.stop(signal),
            }
        }
        process::exit(0)
    }

    /// Forks one worker. True in the worker.
    #[inline]
    fn start(&mut self, id: usize) -> Result<bool> {
        // What stands in the buffer would be written by each worker as well.
        let _ = io::stdout().flush();
        // SAFETY: this is the only thread of the process (`may_fork` has counted, and nobody but this thread could have
        // started another since), so no lock is held by a thread the child lacks, and all of the child's memory is in a
        // consistent state.
        match unsafe { fork() }.map_err(failed("forking"))? {
            ForkResult::Parent { child } => {
                self.workers.push(Worker { pid: child, id });
                Ok(false)
            }
            ForkResult::Child => {
                TASK_ID.store(id, Ordering::Relaxed);
                self.workers.clear();
                self.end_with_parent()?;
                Ok(true)
            }
        }
    }

    /// In a worker: asks for SIGTERM when the parent is gone.
    #[inline]
    fn end_with_parent(&self) -> Result<()> {
        prctl::set_pdeathsig(Signal::SIGTERM).map_err(failed("asking for a signal at the parent's end"))?;
        if getppid() != self.pid {
            // It ended before that; its signal is not going to come.
            process::exit(0);
        }
        Ok(())
    }

    /// Takes one worker that has ended off the list. Asks for each by name: other children are none of its business.
    #[inline]
    fn reap(&mut self) -> Result<Option<(Worker, ExitStatus)>> {
        for place in 0..self.workers.len() {
            if let Some(status) = ended(self.workers[place].pid)? {
                return Ok(Some((self.workers.swap_remove(place), status)));
            }
        }
        Ok(None)
    }

    #[inline]
    fn must_restart(&mut self, worker: Worker, status: ExitStatus, max_restarts: usize) -> Result<bool> {
        let Worker { pid, id } = worker;
        let what_next = if self.stopping { "" } else { ", restarting" };
        match (status.signal(), status.code()) {
            (Some(signal), _) => log::warn!("child {id} (pid {pid}) killed by signal {signal}{what_next}"),
            (None, Some(code)) if code != 0 => {
                log::warn!("child {id} (pid {pid}) exited with status {code}{what_next}");
            }
            _ => {
                log::info!("child {id} (pid {pid}) exited normally");
                return Ok(false);
            }
        }
        if self.stopping {
            return Ok(false);
        }
        self.restarts += 1;
        if self.restarts > max_restarts {
            return Err(Error::TooManyRestarts);
        }
        Ok(true)
    }

    #[inline]
    fn stop(&mut self, signal: Signal) {
        log::info!("got {signal}, stopping {} processes", self.workers.len());
        self.stopping = true;
        for worker in &self.workers {
            // It may have ended already; until it is reaped, its number is not given to another.
            let _ = kill(worker.pid, Signal::SIGTERM);
        }
    }
}

/// How a child has ended; `None` while it runs. Not through nix, which has no word for a death by a real-time signal and
/// reports an error instead.
#[inline]
fn ended(child: Pid) -> Result<Option<ExitStatus>> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for an int, and the call touches nothing else of ours.
    match unsafe { libc::waitpid(child.as_raw(), &mut status, libc::WNOHANG) } {
        0 => Ok(None),
        -1 => Err(failed("waiting for a worker")(Errno::last())),
        _ => Ok(Some(ExitStatus::from_raw(status))),
    }
}
