use std::{sync::Arc, task::Waker};

use super::NOBODY;
use crate::{
    arena::ArenaKey,
    remote::{Remote, TaskWaker},
};

/// The waker by which tasks are polled that have none of their own. Most wait for nothing but a descriptor and a timer of
/// the loop, which keep the name of the task, or are done at once: then nobody has cloned it, and the next task may have it.
/// A task that has shown it to somebody who keeps it takes it for its own.
pub(crate) struct Fresh {
    pub(crate) waker: Waker,
    signal: Arc<TaskWaker>,
}

impl Fresh {
    /// Of no task yet.
    pub(crate) fn new(remote: &Arc<Remote>) -> Fresh {
        let signal = TaskWaker::new(remote, NOBODY);
        Fresh { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    /// Whether no clone of it is left, on any thread or on its way to the loop.
    #[inline]
    pub(crate) fn is_unused(&self) -> bool {
        // This and the one in `waker`. Behind a poll nobody else can make a third: that takes one to clone.
        Arc::strong_count(&self.signal) == 2
    }

    /// Gives it, unused, to another task.
    #[inline]
    pub(crate) fn rename(&self, task: ArenaKey) {
        self.signal.rename(task);
    }
}
