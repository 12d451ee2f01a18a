//! `run_in_executor`: blocking calls and long computations beside the loop. The threads are in `pool`.

mod options;
mod pool;

pub use options::ExecutorOptions;
pub(crate) use pool::Pool;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{IOLoop, JoinError, panic};

/// Runs `work` on a thread of the current loop's pool: [`IOLoop::run_in_executor`] of [`IOLoop::current`].
pub fn run_in_executor<T, F>(work: F) -> Job<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    IOLoop::current().run_in_executor(work)
}

impl IOLoop {
    /// Runs `work` on a thread of this loop's pool, for calls that block and computations that take long. It is under
    /// way when this returns; awaiting the [`Job`] returns its result.
    ///
    /// The pool is made by the first call, grows by a thread whenever none is idle, up to
    /// [`ExecutorOptions::max_threads`], and lets threads go that have been idle for
    /// [`ExecutorOptions::keep_alive`]. Beyond its limit jobs wait, in order.
    ///
    /// [`close`](IOLoop::close) drops the jobs that have not begun and waits for those that run. So does the end of the
    /// loop's thread, and dropping the last handle of a loop: a job that never ends keeps it from ending.
    ///
    /// Costs two allocations, a lock and a futex call; the way back is that of any wake-up from another thread, one
    /// eventfd write for all jobs that end while the loop sleeps.
    ///
    /// # Examples
    ///
    /// ```
    /// use ioloop::{IOLoop, run_in_executor};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let text = IOLoop::current().run_sync(async {
    ///     run_in_executor(|| std::fs::read_to_string("/proc/self/comm")).await
    /// })??;
    /// assert!(text.ends_with('\n'));
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_in_executor<T, F>(&self, work: F) -> Job<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let job = Job { slot: Arc::default() };
        let Some(pool) = self.executor() else {
            job.slot().state = State::Done(Err(JoinError::Cancelled));
            return job;
        };
        let promise = Promise(Arc::clone(&job.slot));
        let submitted = pool.submit(Box::new(move || {
            let result = panic::catch(work);
            promise.fulfil(result.map_err(|payload| JoinError::Panicked { message: payload.message().to_owned() }));
        }));
        if let Err(error) = submitted {
            job.slot().state = State::Done(Err(JoinError::NoThread { message: error.to_string() }));
        }
        job
    }

    /// Changes the limits of this loop's pool, at any time. Threads beyond a lowered limit go when they have done what
    /// they are at.
    ///
    /// # Examples
    ///
    /// ```
    /// use ioloop::{ExecutorOptions, IOLoop};
    ///
    /// // Jobs one after the other, in order.
    /// IOLoop::current().configure_executor(ExecutorOptions::new().max_threads(1));
    /// ```
    #[inline]
    pub fn configure_executor(&self, options: ExecutorOptions) {
        if let Some(pool) = self.executor() {
            pool.configure(options);
        }
    }
}

/// The result to come of [`run_in_executor`].
///
/// Resolves to what the work returned, or to [`JoinError::Panicked`] when it panicked (which is not reported to the
/// loop, since the `Job` returns it), [`JoinError::Cancelled`] when the loop was closed before the work began, and
/// [`JoinError::NoThread`] when the system refused the pool's first thread.
///
/// May be awaited anywhere, on another loop as well.
///
/// # Cancel safety
///
/// Awaiting through `&mut job` and dropping that future loses nothing. Dropping the job itself does not cancel the work,
/// which nothing can once it runs; it forgets the result, which is dropped where it was made, or with the job
/// when it is there already.
///
/// # Examples
///
/// The size of what lies below some folders, counted on several threads while the loop does something else:
///
/// ```
/// use std::{fs, io, path::Path, time::Duration};
/// use ioloop::{IOLoop, Job, PeriodicCallback, run_in_executor};
///
/// /// Blocks: there is no other way to read a directory.
/// fn size(folder: &Path) -> io::Result<u64> {
///     let mut total = 0;
///     for entry in fs::read_dir(folder)? {
///         let entry = entry?;
///         let about = entry.metadata()?;
///         total += if about.is_dir() { size(&entry.path())? } else { about.len() };
///     }
///     Ok(total)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let ioloop = IOLoop::current();
///     let progress = PeriodicCallback::new(Duration::from_millis(100), || println!("still counting"));
///     progress.start();
///     ioloop.run_sync(async {
///         let here = Path::new(env!("CARGO_MANIFEST_DIR"));
///         // Both are under way before the first is awaited.
///         let jobs: Vec<Job<_>> = ["src", "tests"].map(|name| run_in_executor(move || size(&here.join(name)))).into();
///         for job in jobs {
///             println!("{} bytes", job.await??);
///         }
///         // A panic on the other thread is an error here.
///         assert!(run_in_executor(|| panic!("on a thread of the pool")).await.is_err());
///         Ok(())
///     })
/// }
/// ```
#[must_use = "the result is lost unless it is awaited; `drop` it to say so"]
pub struct Job<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

struct Slot<T> {
    state: State<T>,
    waiter: Option<Waker>,
}

enum State<T> {
    Running,
    Done(Result<T, JoinError>),
    Taken,
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot { state: State::Running, waiter: None }
    }
}

impl<T> Slot<T> {
    fn poll(&mut self) -> Poll<Result<T, JoinError>> {
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Running => {
                self.state = State::Running;
                Poll::Pending
            }
            State::Done(result) => Poll::Ready(result),
            State::Taken => panic!("a Job gives its result once"),
        }
    }
}

impl<T> Job<T> {
    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        lock(&self.slot)
    }
}

/// What panics under the lock has changed nothing before: a poisoned one is as good as any.
fn lock<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Future for Job<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// When polled again after it gave the result.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.slot();
        let polled = slot.poll();
        if polled.is_ready() || slot.waiter.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            return polled;
        }
        drop(slot);
        // Wakers may be anybody's code: cloned and dropped outside of the lock. Hence the second look.
        let waiter = cx.waker().clone();
        let mut slot = self.slot();
        let polled = slot.poll();
        let unused = if polled.is_pending() { slot.waiter.replace(waiter) } else { Some(waiter) };
        drop(slot);
        drop(unused);
        polled
    }
}

/// Nobody is to be woken any more.
impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        let waiter = self.slot().waiter.take();
        drop(waiter);
    }
}

impl<T> fmt::Debug for Job<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = !matches!(self.slot().state, State::Running);
        f.debug_struct("Job").field("finished", &finished).finish_non_exhaustive()
    }
}

/// The work's end of a job. Dropped with work that never began, it says so.
struct Promise<T>(Arc<Mutex<Slot<T>>>);

impl<T> Promise<T> {
    fn fulfil(&self, result: Result<T, JoinError>) {
        let mut slot = lock(&self.0);
        if !matches!(slot.state, State::Running) {
            return;
        }
        slot.state = State::Done(result);
        let waiter = slot.waiter.take();
        drop(slot);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.fulfil(Err(JoinError::Cancelled));
    }
}
