use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use crate::{
    arena::{Arena, Key},
    ioloop,
    remote::{Remote, RemoteWork},
};

/// All tasks of a loop.
pub(crate) struct Tasks {
    slots: Arena<Task>,
}

struct Task {
    /// Out of its place while the task runs. Still out when it is aborted from within: then it is dropped after its poll.
    runnable: Option<Runnable>,
    location: &'static Location<'static>,
}

/// A task as it is polled, outside of any borrow: what it does may spawn, wake and abort tasks, itself included.
pub(crate) struct Runnable {
    pub(crate) future: Pin<Box<dyn Future<Output = ()>>>,
    /// Made once per task, so that polling touches no reference count.
    pub(crate) waker: Waker,
    signal: Arc<TaskWaker>,
}

/// What is behind a task's `Waker`.
struct TaskWaker {
    remote: Arc<Remote>,
    task: Key,
    /// Whether the task stands in the queue: it stands there once, however often it is woken.
    queued: AtomicBool,
}

/// The name of the future that `run_sync` polls itself, outside of the arena.
pub(crate) const ROOT: Key = Key { index: u32::MAX, generation: u32::MAX };

impl Tasks {
    pub(crate) fn new() -> Tasks {
        Tasks { slots: Arena::new() }
    }

    /// The new task counts as queued; the caller queues it.
    pub(crate) fn insert(
        &mut self,
        future: Pin<Box<dyn Future<Output = ()>>>,
        remote: &Arc<Remote>,
        location: &'static Location<'static>,
    ) -> Key {
        let key = self.slots.insert(Task { runnable: None, location });
        let signal = signal(remote, key);
        let runnable = Runnable { future, waker: Waker::from(Arc::clone(&signal)), signal };
        if let Some(task) = self.slots.get_mut(key) {
            task.runnable = Some(runnable);
        }
        key
    }

    /// Takes a task out to be polled. From here on a wake queues it again.
    pub(crate) fn begin(&mut self, key: Key) -> Option<(Runnable, &'static Location<'static>)> {
        let task = self.slots.get_mut(key)?;
        let runnable = task.runnable.take()?;
        runnable.signal.queued.store(false, Ordering::Relaxed);
        Some((runnable, task.location))
    }

    /// Puts a pending task back. Gives it back to the caller, to be dropped, when it was aborted meanwhile.
    pub(crate) fn suspend(&mut self, key: Key, runnable: Runnable) -> Option<Runnable> {
        match self.slots.get_mut(key) {
            Some(task) => task.runnable.replace(runnable),
            None => Some(runnable),
        }
    }

    /// Forgets a task that is done or aborted; what it leaves is for the caller to drop.
    pub(crate) fn remove(&mut self, key: Key) -> Option<(Runnable, &'static Location<'static>)> {
        let task = self.slots.remove(key)?;
        Some((task.runnable?, task.location))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Takes out all tasks but the one that runs now, which is dropped after its poll.
    pub(crate) fn drain(&mut self) -> Vec<(Runnable, &'static Location<'static>)> {
        let tasks = self.slots.drain().into_iter();
        tasks.filter_map(|(_, task)| Some((task.runnable?, task.location))).collect()
    }
}

/// A waker for `task`, which counts as queued.
pub(crate) fn waker(remote: &Arc<Remote>, task: Key) -> (Waker, impl Fn() + use<>) {
    let signal = signal(remote, task);
    (Waker::from(Arc::clone(&signal)), move || signal.queued.store(false, Ordering::Relaxed))
}

fn signal(remote: &Arc<Remote>, task: Key) -> Arc<TaskWaker> {
    Arc::new(TaskWaker { remote: Arc::clone(remote), task, queued: AtomicBool::new(true) })
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        // On the loop's own thread a wake is a push. Anywhere else, or when another loop is current on this thread, it
        // goes the way of all cross-thread work. A closed loop has no task left to wake.
        if !ioloop::queue_if_current(&self.remote, self.task) {
            let _ = self.remote.send(RemoteWork::Wake(self.task));
        }
    }
}
