//! The threads of one loop.

use std::{
    collections::VecDeque,
    fmt, io, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use super::options::ExecutorOptions;
use crate::{panic, threads::start};

pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// A queue of work and the threads that take from it. Closed and joined when it is dropped.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Notified once per piece of work, and for all threads when something about the pool has changed.
    changed: Condvar,
}

struct State {
    queue: VecDeque<Work>,
    options: ExecutorOptions,
    closed: bool,
    /// The threads that wait. One that was notified is counted until it has the lock again.
    idle: usize,
    /// All threads that have not retired. A thread's handle is in here before the thread gets the lock.
    threads: Vec<JoinHandle<()>>,
    /// The thread that has retired last: on its way out, past the lock. It joins the one before it, so that joining this
    /// one joins all.
    retired: Option<JoinHandle<()>>,
}

impl Pool {
    #[inline]
    pub(crate) fn new() -> Pool {
        let state = State {
            queue: VecDeque::new(),
            options: ExecutorOptions::new(),
            closed: false,
            idle: 0,
            threads: Vec::new(),
            retired: None,
        };
        Pool { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Queues `work`, which a closed pool drops.
    ///
    /// # Errors
    ///
    /// When there is no thread and none can be started; `work` is dropped. With a thread there, work that lacks one waits.
    #[inline]
    pub(crate) fn submit(&self, work: Work) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            drop(work);
            return Ok(());
        }
        state.queue.push_back(work);
        // Threads that were notified and have not run yet are idle still, and what they will take is queued still.
        if state.queue.len() <= state.idle {
            drop(state);
            self.shared.changed.notify_one();
            return Ok(());
        }
        if state.threads.len() >= state.options.max_threads {
            return Ok(());
        }
        match start_thread(&self.shared) {
            Ok(thread) => state.threads.push(thread),
            Err(error) if state.threads.is_empty() => {
                let refused = state.queue.pop_back();
                drop(state);
                drop(refused);
                return Err(error);
            }
            Err(error) => {
                // A logger is foreign code, and may have work for the pool.
                drop(state);
                log::warn!("executor: no further thread, work has to wait: {error}");
            }
        }
        Ok(())
    }

    /// Whether work waits or runs. For a moment behind its end as well, until the thread waits for more.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        let state = self.shared.lock();
        !state.queue.is_empty() || state.threads.len() > state.idle
    }

    #[inline]
    pub(crate) fn configure(&self, options: ExecutorOptions) {
        self.shared.lock().options = options;
        self.shared.changed.notify_all();
    }

    /// Refuses work from here on, and drops what has not begun.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let queue = mem::take(&mut state.queue);
        drop(state);
        self.shared.changed.notify_all();
        for work in queue {
            guard(|| drop(work));
        }
    }

    /// Waits for what runs. For a closed pool, whose threads go when they are done.
    pub(crate) fn join(&self) {
        let mut state = self.shared.lock();
        let threads = mem::take(&mut state.threads);
        let retired = state.retired.take();
        drop(state);
        // Fails for a panic in a thread-local destructor, which has been printed.
        for thread in threads {
            let _ = thread.join();
        }
        if let Some(thread) = retired {
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
        self.join();
    }
}

impl fmt::Debug for Pool {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.shared.lock().threads.len()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Nothing of the user's runs under the lock: a poisoned one is as good as any.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[inline]
fn start_thread(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    start(thread::Builder::new().name("ioloop-executor".to_owned()), Box::new(move || serve(&shared)))
}

/// A thread's life.
#[inline]
fn serve(shared: &Shared) {
    let mut state = shared.lock();
    loop {
        if let Some(work) = state.queue.pop_front() {
            drop(state);
            guard(work);
            state = shared.lock();
            continue;
        }
        if state.closed {
            return;
        }
        if state.threads.len() > state.options.max_threads {
            return retire(state);
        }
        state.idle += 1;
        let keep_alive = state.options.keep_alive;
        let (woken, waited) = shared.changed.wait_timeout(state, keep_alive).unwrap_or_else(PoisonError::into_inner);
        state = woken;
        state.idle -= 1;
        if waited.timed_out() && state.queue.is_empty() && !state.closed {
            return retire(state);
        }
    }
}

/// Leaves the pool, so that a long-lived one keeps no handles of threads that are gone.
#[inline]
fn retire(mut state: MutexGuard<'_, State>) {
    let this = thread::current().id();
    let Some(place) = state.threads.iter().position(|thread| thread.thread().id() == this) else {
        // The pool is being closed and joins this thread.
        return;
    };
    let own = state.threads.swap_remove(place);
    let previous = state.retired.replace(own);
    drop(state);
    if let Some(previous) = previous {
        let _ = previous.join();
    }
}

/// Panics of the work itself do not come this far; those of its result's destructor and of wakers do.
fn guard(work: impl FnOnce()) {
    if let Err(payload) = panic::catch(work) {
        log::error!("panic while an executor's result was handed over or dropped: {}", payload.printable());
    }
}
