use std::{
    fmt,
    future::Future,
    panic::Location,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{Error, IOLoop, Result, arena::Key};

/// The way into a loop from other threads: `Clone`, `Send` and `Sync`.
///
/// Each call locks a mutex for a push and, when the loop is asleep and nobody has signalled it yet, writes to an
/// eventfd. A loop that is busy is never signalled: it looks at its inbox once per turn.
///
/// # Examples
///
/// ```
/// use ioloop::IOLoop;
///
/// let ioloop = IOLoop::current();
/// let handle = ioloop.handle();
/// let thread = std::thread::spawn(move || {
///     let stop = handle.clone();
///     handle.add_callback(move || { let _ = stop.stop(); })
/// });
/// ioloop.start();
/// thread.join().unwrap().unwrap();
/// ```
#[derive(Clone)]
pub struct LoopHandle {
    remote: Arc<Remote>,
}

/// The part of a loop that other threads may touch.
pub(crate) struct Remote {
    inbox: Mutex<Inbox>,
    /// Set with every push, so that a turn with an empty inbox costs one load instead of a lock.
    pending: AtomicBool,
    /// True only while the loop is in, or about to enter, a wait that may block. Whoever swaps it to false signals.
    sleeping: AtomicBool,
    pub(crate) eventfd: EventFd,
}

struct Inbox {
    work: Vec<RemoteWork>,
    closed: bool,
}

/// What other threads ask of a loop.
pub(crate) enum RemoteWork {
    Callback(Box<dyn FnOnce() + Send>, &'static Location<'static>),
    Spawn(Box<dyn FnOnce(&IOLoop) + Send>),
    Wake(Key),
    Stop,
}

impl LoopHandle {
    pub(crate) fn new(remote: Arc<Remote>) -> LoopHandle {
        LoopHandle { remote }
    }

    /// Runs `callback` on the loop's thread, in the order of the calls.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the loop has been closed; the callback is dropped on this thread. A callback accepted by a
    /// loop that is closed before it ran is dropped as well.
    #[track_caller]
    pub fn add_callback(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        self.remote.send(RemoteWork::Callback(Box::new(callback), Location::caller()))
    }

    /// Spawns `future` on the loop's thread and detaches it. To get a result back, let the future send it.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the loop has been closed.
    #[track_caller]
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let location = Location::caller();
        self.remote.send(RemoteWork::Spawn(Box::new(move |ioloop| ioloop.spawn_boxed(Box::pin(future), location))))
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
        Ok(Remote {
            inbox: Mutex::new(Inbox { work: Vec::new(), closed: false }),
            pending: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
            eventfd,
        })
    }

    /// Publish, then look whether the loop sleeps, then signal. The loop does the mirror image in
    /// [`fall_asleep`](Remote::fall_asleep): declare sleep, then look whether something was published. With both sides
    /// sequentially consistent at least one of them sees the other.
    pub(crate) fn send(&self, work: RemoteWork) -> Result<()> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.closed {
            drop(inbox);
            // `work` may hold user values: they are dropped here, outside of the lock.
            return Err(Error::Closed);
        }
        inbox.work.push(work);
        drop(inbox);
        self.pending.store(true, Ordering::SeqCst);
        if self.sleeping.swap(false, Ordering::SeqCst) {
            // EAGAIN would mean that the counter is full, and the loop signalled for sure.
            let _ = self.eventfd.write(1);
        }
        Ok(())
    }

    /// Declares that the loop is about to wait. False when something came in meanwhile and it must not.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.pending.load(Ordering::SeqCst) {
            self.sleeping.store(false, Ordering::SeqCst);
            return false;
        }
        true
    }

    pub(crate) fn wake_up(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Moves what has come in to `into`, which is empty and whose capacity is left in exchange. False, at the cost of one
    /// load, when there is nothing.
    pub(crate) fn take(&self, into: &mut Vec<RemoteWork>) -> bool {
        if !self.pending.load(Ordering::Relaxed) {
            return false;
        }
        // Cleared before the inbox is taken: a push that comes in between leaves the flag set and an empty inbox, which
        // costs one look, never a lost message.
        self.pending.store(false, Ordering::SeqCst);
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut inbox.work, into);
        true
    }

    pub(crate) fn close(&self) -> Vec<RemoteWork> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.closed = true;
        std::mem::take(&mut inbox.work)
    }
}
