use std::{fmt, future::Future, panic::Location, sync::Arc};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{
    Error, IOLoop, Result,
    mailbox::{Delivery, Mailbox},
    task::TaskWaker,
};

/// The way into a loop from other threads: `Clone`, `Send` and `Sync`.
///
/// Each call locks a mutex for a push and, when the loop is asleep and nobody has signalled it yet, writes to an
/// eventfd, which the loop does not read back. A loop that is busy is never signalled: it takes in what was sent whenever
/// it looks at its descriptors (see [one turn](crate#one-turn)). Wakers of the loop's tasks take the same way when they are
/// called on another thread.
///
/// A handle outlives its loop. No call ever blocks: one that comes when the loop is closed or gone says
/// [`Error::Closed`] and drops what it was given; what a loop had accepted and not yet run is dropped when it closes, on
/// its own thread.
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

/// The part of a loop that other threads may touch. It stays with the last handle or waker, also when the loop is gone.
pub(crate) struct Remote {
    mailbox: Mailbox<RemoteWork>,
    pub(crate) eventfd: EventFd,
}

/// What other threads ask of a loop.
pub(crate) enum RemoteWork {
    Callback(Box<dyn FnOnce() + Send>, &'static Location<'static>),
    Spawn(Box<dyn FnOnce(&IOLoop) + Send>),
    Wake(Arc<TaskWaker>),
    Stop,
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
    /// [`Error::Closed`] when the loop has been closed; the callback is dropped on this thread. A callback accepted by a
    /// loop that is closed before it ran is dropped as well.
    #[track_caller]
    pub fn add_callback(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        self.remote.send(RemoteWork::Callback(Box::new(callback), Location::caller()))
    }

    /// Spawns `future` on the loop's thread and detaches it. To get a result back, let the future send it. Costs an
    /// allocation more than [`IOLoop::spawn_detached`], for the way.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the loop has been closed; the future is dropped on this thread.
    #[track_caller]
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let location = Location::caller();
        self.remote.send(RemoteWork::Spawn(Box::new(move |ioloop| ioloop.spawn_forgotten(future, location))))
    }

    /// Stops the loop as [`IOLoop::stop`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the loop has been closed.
    pub fn stop(&self) -> Result<()> {
        self.remote.send(RemoteWork::Stop)
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}

impl Remote {
    pub(crate) fn new() -> Result<Remote> {
        let eventfd = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| Error::Io { operation: "creating an eventfd", source: errno.into() })?;
        Ok(Remote { mailbox: Mailbox::new(), eventfd })
    }

    /// Never blocks, also when the loop is closing or gone.
    pub(crate) fn send(&self, work: RemoteWork) -> Result<()> {
        match self.mailbox.push(work) {
            Ok(Delivery::Noticed) => Ok(()),
            Ok(Delivery::MustSignal) => {
                // EAGAIN would mean that the counter is full, and the loop signalled for sure.
                let _ = self.eventfd.write(1);
                Ok(())
            }
            Err(refused) => {
                drop(refused);
                Err(Error::Closed)
            }
        }
    }

    /// See [`Mailbox::fall_asleep`]. A loop inside of another one calls it at the end of its turn, since it is the outer
    /// loop that waits then, and [`wake_up`](Remote::wake_up) at the beginning of the next.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.mailbox.fall_asleep()
    }

    /// See [`Mailbox::wake_up`].
    pub(crate) fn wake_up(&self) {
        self.mailbox.wake_up();
    }

    /// See [`Mailbox::take`].
    pub(crate) fn take(&self, into: &mut Vec<RemoteWork>) -> bool {
        self.mailbox.take(into)
    }

    /// See [`Mailbox::close`].
    pub(crate) fn close(&self) -> Vec<RemoteWork> {
        self.mailbox.close()
    }
}
