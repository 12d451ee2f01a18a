//! What other threads may touch of a loop, and what they ask of it. The public way in is `handle`.

use std::{
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{
    Error, Result,
    arena::ArenaKey,
    mailbox::{Delivery, Mailbox},
    task::{BoxedWork, WakeFlag},
};

/// The part of a loop that other threads may touch. It stays with the last handle or waker, also when the loop is gone.
pub(crate) struct Remote {
    mailbox: Mailbox<RemoteWork>,
    pub(crate) eventfd: EventFd,
}

/// What other threads ask of a loop.
pub(crate) enum RemoteWork {
    Callback(Box<dyn FnOnce() + Send>, &'static Location<'static>),
    /// Makes a task that nobody waits for, on the loop's thread.
    Spawn(Box<dyn FnOnce() -> BoxedWork + Send>),
    Wake(Arc<TaskWaker>),
    Stop,
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

    /// See [`Mailbox::has_letters`].
    #[inline]
    pub(crate) fn has_letters(&self) -> bool {
        self.mailbox.has_letters()
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

/// What is behind a task's `Waker`. How it wakes is in `ioloop::current`, where the thread's loop is known.
pub(crate) struct TaskWaker {
    remote: Arc<Remote>,
    /// An [`ArenaKey`]. Written again only while no waker is out: see [`Fresh`](crate::task::Fresh).
    task: AtomicU64,
    /// Raised while a wake from another thread is on its way.
    flag: WakeFlag,
}

impl TaskWaker {
    pub(crate) fn new(remote: &Arc<Remote>, task: ArenaKey) -> Arc<TaskWaker> {
        let task = AtomicU64::new(task.to_u64());
        Arc::new(TaskWaker { remote: Arc::clone(remote), task, flag: WakeFlag::new() })
    }

    /// The task that a wake from another thread is for; from here on the next one is sent again.
    pub(crate) fn receive(&self) -> ArenaKey {
        self.flag.lower();
        self.task()
    }

    /// Sends the wake to the loop, unless one is on its way. A closed loop has no task left to wake.
    pub(crate) fn send(self: &Arc<Self>) {
        if self.flag.raise() {
            let _ = self.remote.send(RemoteWork::Wake(Arc::clone(self)));
        }
    }

    pub(crate) fn task(&self) -> ArenaKey {
        ArenaKey::from_u64(self.task.load(Ordering::Relaxed))
    }

    /// Gives it, unused, to another task.
    pub(crate) fn rename(&self, task: ArenaKey) {
        self.task.store(task.to_u64(), Ordering::Relaxed);
    }

    /// Whether it is for a task of the loop with this `remote`.
    #[inline]
    pub(crate) fn belongs_to(&self, remote: &Arc<Remote>) -> bool {
        Arc::ptr_eq(&self.remote, remote)
    }
}
