use std::{sync::Arc, task::Waker};

use crate::{
    arena::ArenaKey,
    remote::{Remote, TaskWaker},
};

/// A waker for a task that is polled for the first time. Many tasks are done after one poll and have shown their waker to
/// nobody: then the next task may have it, and theirs has cost nothing.
pub(crate) struct Fresh {
    pub(crate) waker: Waker,
    signal: Arc<TaskWaker>,
}

impl Fresh {
    pub(crate) fn new(remote: &Arc<Remote>, task: ArenaKey) -> Fresh {
        let signal = TaskWaker::new(remote, task);
        Fresh { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    /// Whether no clone of it is left, on any thread or on its way to the loop.
    pub(crate) fn is_unused(&self) -> bool {
        // This and the one in `waker`. Nobody else can make a third: that takes one to clone.
        Arc::strong_count(&self.signal) == 2
    }

    /// Gives it, unused, to another task.
    pub(crate) fn rename(self, task: ArenaKey) -> Fresh {
        self.signal.rename(task);
        self
    }
}
