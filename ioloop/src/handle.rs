use std::{fmt, future::Future, panic::Location, sync::Arc};

use crate::{
    IOLoop, Result,
    remote::{Remote, RemoteWork},
    task,
};

/// The way into a loop from other threads: `Clone`, `Send` and `Sync`.
///
/// Each call locks a mutex for a push and, when the loop is asleep and not signalled yet, writes to an eventfd, which
/// the loop does not read back. A busy loop is never signalled: it takes in what was sent at its next poll (see [one
/// turn](crate#one-turn)). Wakers of the loop's tasks take the same way when they are called on another thread.
///
/// A handle outlives its loop. No call ever blocks: one that comes when the loop is closed or gone returns
/// [`Error::Closed`](crate::Error::Closed) and drops what it was given; what a loop had accepted and not yet run is
/// dropped when it closes, on its own thread.
///
/// # Examples
///
/// A thread that works, and tells the loop how far it has come. Where the work is one call with one result,
/// [`run_in_executor`](crate::run_in_executor) is shorter.
///
/// ```
/// use std::{cell::Cell, thread};
/// use ioloop::{IOLoop, LoopHandle};
///
/// thread_local! {
///     // What the callbacks touch need not be `Send`, as long as it is found on the loop's thread.
///     static PERCENT: Cell<u32> = const { Cell::new(0) };
/// }
///
/// fn work(ioloop: &LoopHandle) -> ioloop::Result<()> {
///     for percent in [25, 50, 75, 100] {
///         // ... a quarter of it, and then:
///         ioloop.add_callback(move || PERCENT.set(percent))?;
///     }
///     ioloop.stop()
/// }
///
/// fn main() {
///     let ioloop = IOLoop::current();
///     let handle = ioloop.handle();
///     let worker = thread::spawn(move || work(&handle));
///     ioloop.start();
///     assert_eq!(PERCENT.get(), 100);
///     worker.join().expect("the worker does not panic").expect("the loop was there");
///
///     // A handle may outlive its loop, and says so.
///     let handle = ioloop.handle();
///     ioloop.close();
///     assert!(matches!(handle.add_callback(|| ()), Err(ioloop::Error::Closed)));
/// }
/// ```
#[derive(Clone)]
pub struct LoopHandle {
    remote: Arc<Remote>,
}

impl IOLoop {
    /// The way into this loop from other threads: a clone of a reference count.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle::new(self.remote())
    }
}

impl LoopHandle {
    pub(crate) fn new(remote: Arc<Remote>) -> LoopHandle {
        LoopHandle { remote }
    }

    /// Runs `callback` on the loop's thread, in the order of the calls and without a [`context`](crate::context). Costs one
    /// allocation. May be called on the loop's own thread as well, where [`IOLoop::add_callback`] is cheaper.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`](crate::Error::Closed) when the loop has been closed; the callback is dropped on this thread. A
    /// callback accepted by a loop that is closed before it ran is dropped as well.
    #[track_caller]
    pub fn add_callback(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        self.remote.send(RemoteWork::Callback(Box::new(callback), Location::caller()))
    }

    /// Spawns `future` on the loop's thread and detaches it. To get a result back, let the future send it. Costs an
    /// allocation more than [`IOLoop::spawn_detached`], for the way.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`](crate::Error::Closed) when the loop has been closed; the future is dropped on this thread.
    #[track_caller]
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let location = Location::caller();
        self.remote.send(RemoteWork::Spawn(Box::new(move || task::detached(future, location))))
    }

    /// Stops the loop as [`IOLoop::stop`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`](crate::Error::Closed) when the loop has been closed.
    pub fn stop(&self) -> Result<()> {
        self.remote.send(RemoteWork::Stop)
    }
}

impl fmt::Debug for LoopHandle {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}
