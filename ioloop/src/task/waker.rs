use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Wake, Waker},
};

use super::flag::WakeFlag;
use crate::{
    arena::Key,
    ioloop,
    remote::{Remote, RemoteWork},
};

/// What is behind a task's `Waker`.
pub(crate) struct TaskWaker {
    remote: Arc<Remote>,
    /// A [`Key`]. Written again only while no waker is out: see [`Fresh`].
    task: AtomicU64,
    /// Raised while a wake from another thread is on its way.
    flag: WakeFlag,
}

impl TaskWaker {
    pub(crate) fn new(remote: &Arc<Remote>, task: Key) -> Arc<TaskWaker> {
        let task = AtomicU64::new(task.to_u64());
        Arc::new(TaskWaker { remote: Arc::clone(remote), task, flag: WakeFlag::new() })
    }

    /// The task that a wake from another thread is for; from here on the next one is sent again.
    pub(crate) fn receive(&self) -> Key {
        self.flag.lower();
        self.task()
    }

    /// The thread's current loop can be reached without a message, also when it does not run. Anywhere else, or when another
    /// loop is current on this thread, a wake goes the way of all cross-thread work. A closed loop has no task left to wake.
    #[cold]
    fn wake_from_outside(self: &Arc<Self>) {
        if !ioloop::wake_if_current(&self.remote, self.task()) && self.flag.raise() {
            let _ = self.remote.send(RemoteWork::Wake(Arc::clone(self)));
        }
    }

    fn task(&self) -> Key {
        Key::from_u64(self.task.load(Ordering::Relaxed))
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        // While the loop runs, a wake on its own thread is a push, without any atomic operation.
        if !ioloop::wake_if_running(&self.remote, self.task()) {
            self.wake_from_outside();
        }
    }
}

/// A waker for a task that is polled for the first time. Many tasks are done after one poll and have shown their waker to
/// nobody: then the next task may have it, and theirs has cost nothing.
pub(crate) struct Fresh {
    pub(crate) waker: Waker,
    signal: Arc<TaskWaker>,
}

impl Fresh {
    pub(crate) fn new(remote: &Arc<Remote>, task: Key) -> Fresh {
        let signal = TaskWaker::new(remote, task);
        Fresh { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    /// Whether no clone of it is left, on any thread or on its way to the loop.
    pub(crate) fn is_unused(&self) -> bool {
        // This and the one in `waker`. Nobody else can make a third: that takes one to clone.
        Arc::strong_count(&self.signal) == 2
    }

    /// Gives it, unused, to another task.
    pub(crate) fn rename(self, task: Key) -> Fresh {
        self.signal.task.store(task.to_u64(), Ordering::Relaxed);
        self
    }
}
