//! The thread's current loop.

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, Weak},
    task::{Wake, Waker},
};

use super::{IOLoop, Root};
use crate::{
    arena::ArenaKey,
    context,
    remote::{Remote, TaskWaker},
};

/// The thread's loop, made when there is none.
pub(super) fn current() -> IOLoop {
    CURRENT.with(|current| {
        if let Some(ioloop) = &*current.ioloop.borrow() {
            return ioloop.clone();
        }
        let ioloop = IOLoop::new().expect("an epoll instance and an eventfd for this thread's loop");
        // What the poller's factory has made current meanwhile is dropped after the borrow.
        drop(current.ioloop.replace(Some(ioloop.clone())));
        ioloop
    })
}

/// The thread's loop, if there is one. None while the thread is ending.
#[inline]
pub(super) fn try_current() -> Option<IOLoop> {
    CURRENT.try_with(|current| current.ioloop.borrow().clone()).ok().flatten()
}

/// Replaces the thread's loop and gives back the one there was.
pub(super) fn replace(ioloop: Option<IOLoop>) -> Option<IOLoop> {
    CURRENT.with(|current| {
        // While a loop runs it is the current one: its wakers and everything it calls rely on that.
        let running = current.ioloop.borrow().as_ref().is_some_and(|ioloop| ioloop.inner.running.get());
        assert!(!running, "a loop is running on this thread");
        current.ioloop.replace(ioloop)
    })
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        // While the loop runs, a wake on its own thread is a push, without any atomic operation.
        if !wake_if_running(self) {
            wake_from_outside(self);
        }
    }
}

/// Wakes a task of the loop that runs on this thread. False when that is another one, or none.
#[inline]
fn wake_if_running(waker: &TaskWaker) -> bool {
    let wake = |current: &Current| match &*current.running.borrow() {
        Some(ioloop) if waker.belongs_to(&ioloop.inner.remote) => {
            ioloop.wake_task(waker.task());
            true
        }
        _ => false,
    };
    // Fails while the thread is ending, when nothing will run any more.
    CURRENT.try_with(wake).unwrap_or(false)
}

/// The thread's current loop is reached without a message also when it does not run; then the code around it has to notice.
/// Anywhere else, or when another loop is current on this thread, a wake goes the way of all cross-thread work.
#[cold]
fn wake_from_outside(waker: &Arc<TaskWaker>) {
    let wake = |current: &Current| match &*current.ioloop.borrow() {
        Some(ioloop) if waker.belongs_to(&ioloop.inner.remote) => {
            ioloop.wake_task(waker.task());
            ioloop.rouse();
            true
        }
        _ => false,
    };
    if !CURRENT.try_with(wake).unwrap_or(false) {
        waker.send();
    }
}

/// The number of the loop that runs on this thread and the name of the task that it polls, if that is polled with `waker`.
#[inline]
pub(crate) fn polled_task(waker: &Waker) -> Option<(u32, ArenaKey)> {
    let task = |current: &Current| {
        let running = current.running.borrow();
        let inner = &running.as_ref()?.inner;
        Some((inner.number, inner.polled.task_of(waker)?))
    };
    CURRENT.try_with(task).ok()?
}

/// Wakes a task of the thread's loop with this number.
#[inline]
pub(crate) fn wake_task(number: u32, task: ArenaKey) {
    let wake = |current: &Current| match &*current.running.borrow() {
        Some(ioloop) if ioloop.inner.number == number => {
            ioloop.wake_task(task);
            true
        }
        _ => false,
    };
    if !CURRENT.try_with(wake).unwrap_or(false) {
        wake_task_from_outside(number, task);
    }
}

/// As a waker does it: see [`wake_from_outside`]. A loop that has gone has left no task to wake.
#[cold]
fn wake_task_from_outside(number: u32, task: ArenaKey) {
    let find = |loops: &RefCell<Vec<(u32, Weak<Remote>)>>| {
        loops.borrow().iter().find(|(known, _)| *known == number).and_then(|(_, remote)| remote.upgrade())
    };
    if let Some(remote) = LOOPS.try_with(find).ok().flatten() {
        wake_from_outside(&TaskWaker::new(&remote, task));
    }
}

/// Takes a loop among those of the thread. Returns its number, by which [`wake_task`] finds it.
pub(super) fn enter(remote: &Arc<Remote>) -> u32 {
    let number = NEXT_NUMBER.get();
    NEXT_NUMBER.set(number.wrapping_add(1));
    // Fails while the thread is ending, when nothing will run any more.
    let _ = LOOPS.try_with(|loops| loops.borrow_mut().push((number, Arc::downgrade(remote))));
    number
}

/// A loop has gone.
pub(super) fn leave(number: u32) {
    // Fails while the thread is ending.
    let _ = LOOPS.try_with(|loops| loops.borrow_mut().retain(|(known, _)| *known != number));
}

thread_local! {
    static CURRENT: Current = const { Current { ioloop: RefCell::new(None), running: RefCell::new(None) } };
    /// All loops of the thread, by their numbers.
    static LOOPS: RefCell<Vec<(u32, Weak<Remote>)>> = const { RefCell::new(Vec::new()) };
    static NEXT_NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// The thread's loop. Closing it when the thread ends breaks the circles of tasks that hold their loop.
struct Current {
    ioloop: RefCell<Option<IOLoop>>,
    /// The same while it runs. Apart, so that a wake-up within the loop finds out by a comparison that it makes in any case.
    running: RefCell<Option<IOLoop>>,
}

impl Drop for Current {
    fn drop(&mut self) {
        if let Some(ioloop) = self.ioloop.take() {
            ioloop.close();
        }
    }
}

/// While this lives the loop is running and current; afterwards the previous loop is current again.
pub(super) struct RunGuard<'a> {
    ioloop: &'a IOLoop,
    /// What was current before.
    previous: Option<IOLoop>,
    /// What ran before, and goes on when this loop is done.
    outer: Option<IOLoop>,
}

impl<'a> RunGuard<'a> {
    pub(super) fn enter(ioloop: &'a IOLoop) -> RunGuard<'a> {
        assert!(!ioloop.inner.running.replace(true), "the loop is already running");
        let (previous, outer) = CURRENT.with(|current| {
            (current.ioloop.replace(Some(ioloop.clone())), current.running.replace(Some(ioloop.clone())))
        });
        // Made before the clock is asked, which may be a user's and panic.
        let running = RunGuard { ioloop, previous, outer };
        ioloop.leave_rest();
        // What was done before is no part of a turn, and time-outs set before the first wait count from here.
        ioloop.set_turn_time(ioloop.clock_nanos());
        ioloop.inner.pace.end();
        running
    }
}

impl Drop for RunGuard<'_> {
    fn drop(&mut self) {
        if self.ioloop.inner.closed.get() {
            // The closed loop may hold itself by what was registered since.
            context::detached(|| self.ioloop.discard_everything());
        }
        self.ioloop.inner.running.set(false);
        self.ioloop.inner.stopping.set(self.ioloop.inner.closed.get());
        self.ioloop.inner.root.set(Root::Absent);
        // Also when the future of `run_sync` has panicked.
        self.ioloop.inner.polled.end();
        let ended = CURRENT
            .with(|current| (current.ioloop.replace(self.previous.take()), current.running.replace(self.outer.take())));
        drop(ended);
        self.ioloop.rest();
    }
}
