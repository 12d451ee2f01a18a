use std::{collections::VecDeque, hint::black_box, mem, panic::Location, rc::Rc, task::Waker};

use super::{
    BoxedWork,
    tide::{Tide, Turn},
};
use crate::{
    arena::{Arena, ArenaKey},
    context::Node,
};

/// All tasks of a loop, and what is ready to run: woken tasks and callbacks, in the order in which they became so.
pub(crate) struct Scheduler {
    tasks: Arena<Task>,
    /// How many of the tasks are over and keep a result for their handle.
    ended: usize,
    /// Names of tasks, which are small and have no destructor; [`CALLBACK`] stands for the next of `callbacks`. A turn goes
    /// through what is there when it begins, and leaves that behind at its end: nearly always all, which is half the work of a
    /// ring that is pushed to and popped from.
    queue: Vec<ArenaKey>,
    callbacks: VecDeque<Callback>,
    /// Whoever waits for a task and has first asked while it ran and its place was empty: a loop inside of its poll, or its
    /// own destructor. As good as always nobody.
    early_waiters: Vec<(ArenaKey, Waker)>,
    tide: Tide,
    /// What it has told and nobody has heard yet.
    turn: Option<Turn>,
}

/// A function to be called, and who has handed it over.
pub(crate) type Callback = (Box<dyn FnOnce()>, &'static Location<'static>);

/// A task's place: what a wake-up looks at, and no more. With ten thousand tasks that sleep, each wake-up waits for memory,
/// and what is small stays in the cache.
struct Task {
    /// Out of its place while the task runs.
    work: Option<BoxedWork>,
    state: State,
    /// Whether there is a handle that may ask for the result.
    has_handle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits to be woken.
    Idle,
    /// Stands in the queue, once, however often it is woken.
    Queued,
    Running,
    /// Runs, and stands in the queue again.
    RunningQueued,
    /// Aborted from within: it is dropped after its poll.
    RunningAborted,
    /// Over; what is left is the result. An entry of the queue may be left as well.
    Ended,
}

/// What a wake-up has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The task stands in the queue.
    Queued,
    /// It does so because it has woken itself.
    ByItself,
    /// There is no such task.
    Nobody,
}

/// What is left of a task that is over, for the caller to drop and to wake when its borrow of the tasks has ended.
#[must_use]
pub(crate) struct Remains {
    pub(crate) work: Option<BoxedWork>,
    /// In most cases one at most: the waker that the handle was last asked with, and one that came while the task ran.
    pub(crate) waiters: [Option<Waker>; 2],
    /// Of a task whose result stays: whatever holds the handle may be a value of this context.
    pub(crate) context: Option<Rc<Node>>,
}

/// What a handle is told that asks for the result.
pub(crate) enum Join {
    Ended(BoxedWork),
    /// The waker is known already.
    Pending,
    /// A clone of the waker is to be given to [`Scheduler::set_waiter`].
    MustWait,
    /// Aborted, or dropped with its loop.
    Gone,
}

/// The name of the future that `run_sync` polls itself, outside of the arena.
pub(crate) const ROOT: ArenaKey = ArenaKey { index: u32::MAX, generation: u32::MAX };

/// The name of no task.
pub(crate) const NOBODY: ArenaKey = ArenaKey { index: u32::MAX - 2, generation: u32::MAX };

const CALLBACK: ArenaKey = ArenaKey { index: u32::MAX - 1, generation: u32::MAX };

/// Stands in the queue for what the tide tells.
const TIDE: ArenaKey = ArenaKey { index: u32::MAX - 3, generation: u32::MAX };

/// The room that is left to a queue behind a burst.
const LEAST_CAPACITY: usize = 16;

/// Room for so many entries of the queue is kept in any case.
const KEPT_CAPACITY: usize = 1024;

impl Scheduler {
    /// With room for so many entries in the queue.
    pub(crate) fn with_capacity(queue: usize) -> Scheduler {
        Scheduler {
            tasks: Arena::new(),
            ended: 0,
            queue: Vec::with_capacity(queue),
            callbacks: VecDeque::new(),
            early_waiters: Vec::new(),
            tide: Tide::default(),
            turn: None,
        }
    }

    /// How many pieces of work are ready.
    pub(crate) fn ready(&self) -> usize {
        self.queue.len()
    }

    /// Adds a task, which is ready for its first poll.
    #[inline]
    pub(crate) fn insert(&mut self, work: BoxedWork, has_handle: bool) -> ArenaKey {
        let key = self.tasks.insert(Task { work: Some(work), state: State::Queued, has_handle });
        self.queue.push(key);
        if let Some(turn) = self.tide.rise(self.tasks.len()) {
            self.tell(turn);
        }
        key
    }

    pub(crate) fn add_callback(&mut self, callback: Callback) {
        self.callbacks.push_back(callback);
        self.queue.push(CALLBACK);
    }

    /// Queues a task, unless it is over or stands in the queue already.
    #[inline]
    pub(crate) fn wake(&mut self, key: ArenaKey) -> Woken {
        let Some(task) = self.tasks.get_mut(key) else { return Woken::Nobody };
        match task.state {
            // The common case: one store, one push. The state keeps a second wake from queueing the task twice.
            State::Idle => {
                task.state = State::Queued;
                self.queue.push(key);
                Woken::Queued
            }
            State::Running => self.wake_running(key),
            _ => Woken::Queued,
        }
    }

    #[cold]
    fn wake_running(&mut self, key: ArenaKey) -> Woken {
        if let Some(task) = self.tasks.get_mut(key) {
            task.state = State::RunningQueued;
        }
        self.queue.push(key);
        Woken::ByItself
    }

    /// Has the processor fetch the task that is to run behind the one that has just begun, while that one runs.
    ///
    /// Of ten thousand tasks that are woken at once each lies in memory that has left the cache. The value read is not
    /// used, so nothing waits for it.
    #[inline]
    pub(crate) fn look_ahead(&self, at: usize) {
        if let Some(&key) = self.queue.get(at)
            && let Some(Task { work: Some(work), .. }) = self.tasks.get(key)
        {
            black_box(work.location());
        }
    }

    /// What stands in the queue at this place: a task, taken out of its own place to be polled, or `None` when there is none
    /// to poll, because it may be a callback to [take](Scheduler::take_callback). From here on a wake queues the task again.
    #[inline]
    pub(crate) fn begin(&mut self, at: usize) -> (ArenaKey, Option<BoxedWork>) {
        // Fewer than there were when the loop was closed meanwhile.
        let Some(&key) = self.queue.get(at) else { return (NOBODY, None) };
        match self.tasks.get_mut(key) {
            // Out of its place while it runs: what it does may spawn, wake and abort tasks, itself included, and no borrow
            // of the tasks outlives this call.
            Some(task) if task.state == State::Queued => {
                task.state = State::Running;
                (key, task.work.take())
            }
            // Over already, although it had woken itself.
            _ => (key, None),
        }
    }

    /// The first `count` entries of the queue have been run. What a burst has made it grow to is given up by and by.
    #[inline]
    pub(crate) fn leave_behind(&mut self, count: usize) {
        if self.queue.len() == count {
            self.queue.clear();
        } else {
            self.queue.drain(..count.min(self.queue.len()));
        }
        if self.queue.capacity() > KEPT_CAPACITY {
            self.shrink(count);
        }
    }

    #[cold]
    fn shrink(&mut self, count: usize) {
        if count < self.queue.capacity() / 8 {
            self.queue.shrink_to(self.queue.capacity() / 2);
            // Each callback has its entry in the queue, so these have grown by the same burst, if at all.
            self.callbacks.shrink_to((self.callbacks.capacity() / 2).max(KEPT_CAPACITY));
        }
    }

    /// None when `key` names a task, which was aborted after it had been woken.
    pub(crate) fn take_callback(&mut self, key: ArenaKey) -> Option<Callback> {
        if key == CALLBACK { self.callbacks.pop_front() } else { None }
    }

    /// Puts a pending task back. Something remains when it was aborted meanwhile.
    #[inline]
    pub(crate) fn suspend(&mut self, key: ArenaKey, work: BoxedWork) -> Option<Remains> {
        match self.tasks.get_mut(key) {
            Some(task) if task.state != State::RunningAborted => {
                task.state = if task.state == State::Running { State::Idle } else { State::Queued };
                // Its place is empty while it runs. Saying so saves what an assignment does to drop what was there.
                mem::forget(task.work.replace(work));
                None
            }
            _ => Some(self.bury(key, work)),
        }
    }

    /// A task is over. Its result stays if a handle may ask for it; then mostly nothing else remains.
    #[inline]
    pub(crate) fn end(&mut self, key: ArenaKey, mut work: BoxedWork) -> Option<Remains> {
        let Some(task) = self.tasks.get_mut(key).filter(|task| task.has_handle) else {
            return Some(self.bury(key, work));
        };
        let (waiter, context) = work.as_mut().finish();
        mem::forget(task.work.replace(work));
        task.state = State::Ended;
        self.ended += 1;
        let early = self.take_early_waiter(key);
        if waiter.is_none() && early.is_none() && context.is_none() {
            return None;
        }
        Some(Remains { work: None, waiters: [waiter, early], context })
    }

    /// Removes a task that is suspended. One that runs is marked, and goes after its poll; one that has ended keeps its
    /// result.
    pub(crate) fn abort(&mut self, key: ArenaKey) -> Option<Remains> {
        let task = self.tasks.get_mut(key)?;
        if task.state == State::Ended {
            return None;
        }
        match task.work.take() {
            Some(work) => Some(self.bury(key, work)),
            None => {
                task.state = State::RunningAborted;
                None
            }
        }
    }

    fn bury(&mut self, key: ArenaKey, mut work: BoxedWork) -> Remains {
        self.remove(key);
        let waiter = work.as_mut().waiter().and_then(Option::take);
        Remains { work: Some(work), waiters: [waiter, self.take_early_waiter(key)], context: None }
    }

    #[inline]
    pub(crate) fn join(&mut self, key: ArenaKey, waker: &Waker) -> Join {
        let Some(task) = self.tasks.get_mut(key) else { return Join::Gone };
        if task.state == State::Ended {
            self.ended -= 1;
            let work = self.remove(key).and_then(|task| task.work);
            return work.map_or(Join::Gone, Join::Ended);
        }
        match task.work.as_mut().and_then(|work| work.as_mut().waiter()) {
            Some(Some(known)) if known.will_wake(waker) => Join::Pending,
            _ => Join::MustWait,
        }
    }

    /// Keeps the waker of whoever waits for a task, and gives back the one that was there before.
    ///
    /// # Errors
    ///
    /// The waker itself when the task is over: making it was foreign code, which may have come back to the loop.
    #[inline]
    pub(crate) fn set_waiter(&mut self, key: ArenaKey, waker: Waker) -> Result<Option<Waker>, Waker> {
        let Some(task) = self.tasks.get_mut(key).filter(|task| task.state != State::Ended) else { return Err(waker) };
        match task.work.as_mut().and_then(|work| work.as_mut().waiter()) {
            Some(place) => Ok(place.replace(waker)),
            None => Ok(self.set_early_waiter(key, waker)),
        }
    }

    #[cold]
    #[inline]
    fn set_early_waiter(&mut self, key: ArenaKey, waker: Waker) -> Option<Waker> {
        let previous = self.take_early_waiter(key);
        self.early_waiters.push((key, waker));
        previous
    }

    #[inline]
    fn take_early_waiter(&mut self, key: ArenaKey) -> Option<Waker> {
        if self.early_waiters.is_empty() {
            return None;
        }
        let position = self.early_waiters.iter().position(|(task, _)| *task == key)?;
        Some(self.early_waiters.swap_remove(position).1)
    }

    /// Nobody will ask for the result any more. Gives what there is of it, to be dropped.
    #[inline]
    pub(crate) fn detach(&mut self, key: ArenaKey) -> Option<BoxedWork> {
        let task = self.tasks.get_mut(key)?;
        task.has_handle = false;
        if task.state != State::Ended {
            return None;
        }
        self.ended -= 1;
        self.remove(key)?.work
    }

    fn remove(&mut self, key: ArenaKey) -> Option<Task> {
        let task = self.tasks.remove(key)?;
        if let Some(turn) = self.tide.fall(self.tasks.len()) {
            self.tell(turn);
        }
        Some(task)
    }

    /// Behind the work that is queued: what this task and others of its turn have left is free by then.
    #[cold]
    fn tell(&mut self, turn: Turn) {
        match self.turn {
            None => self.queue.push(TIDE),
            // Whoever hears of the other will ask for this.
            Some(_) if turn == Turn::Trickles => return,
            Some(_) => {}
        }
        self.turn = Some(turn);
    }

    /// What is to be done about memory for an entry of the queue that is neither a task nor a callback.
    #[inline]
    pub(crate) fn take_turn(&mut self, key: ArenaKey) -> Option<Turn> {
        if key == TIDE { self.turn.take() } else { None }
    }

    /// Whether somebody is to [`look`](Scheduler::look) a while later, which this takes as a promise to do.
    #[cold]
    pub(crate) fn wants_look(&mut self) -> bool {
        self.tide.wants_look()
    }

    /// What the tide has to tell a while after it ebbed.
    #[cold]
    pub(crate) fn look(&mut self) -> Option<Turn> {
        self.tide.look(self.tasks.len())
    }

    /// Allocates anew what grows with the tasks and stays. Returns what is left.
    #[cold]
    pub(crate) fn move_ahead(&mut self) -> impl Sized + use<> {
        let mut queue = Vec::with_capacity(self.queue.len().max(LEAST_CAPACITY));
        queue.extend_from_slice(&self.queue);
        let mut callbacks = VecDeque::with_capacity(self.callbacks.len());
        callbacks.append(&mut self.callbacks);
        let queue = mem::replace(&mut self.queue, queue);
        let callbacks = mem::replace(&mut self.callbacks, callbacks);
        (queue, callbacks, self.tasks.move_ahead())
    }

    #[inline]
    pub(crate) fn is_finished(&self, key: ArenaKey) -> bool {
        self.tasks.get(key).is_none_or(|task| task.state == State::Ended)
    }

    /// How many tasks are alive.
    pub(crate) fn task_count(&self) -> usize {
        self.tasks.len() - self.ended
    }

    /// Empties the queue, and takes out all tasks that are suspended. The one that runs now goes after its poll.
    pub(crate) fn drain(&mut self) -> (Vec<Remains>, VecDeque<Callback>) {
        self.queue = Vec::new();
        let mut remains = Vec::new();
        for index in 0..self.tasks.end() {
            if let Some((key, _)) = self.tasks.at(index) {
                remains.extend(self.abort(key));
            }
        }
        (remains, mem::take(&mut self.callbacks))
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;
    use crate::task::joinable;

    #[test]
    fn waker_that_comes_too_late_is_given_back() {
        let mut scheduler = Scheduler::with_capacity(1);
        let key = scheduler.insert(joinable(async {}, Location::caller()), true);
        let work = scheduler.begin(0).1.expect("it is queued");
        assert!(matches!(scheduler.join(key, Waker::noop()), Join::MustWait));
        drop(scheduler.end(key, work));
        assert!(scheduler.set_waiter(key, Waker::noop().clone()).is_err(), "the task has ended meanwhile");
        drop(scheduler.detach(key));
        assert!(scheduler.set_waiter(key, Waker::noop().clone()).is_err(), "and is gone");
    }

    #[test]
    fn memory_of_a_burst_of_callbacks_is_given_back() {
        let mut scheduler = Scheduler::with_capacity(1);
        for callbacks in iter::once(100_000).chain(iter::repeat_n(1, 32)) {
            (0..callbacks).for_each(|_| scheduler.add_callback((Box::new(|| {}), Location::caller())));
            for at in 0..callbacks {
                let (key, _) = scheduler.begin(at);
                drop(scheduler.take_callback(key));
            }
            scheduler.leave_behind(callbacks);
        }
        let rooms = [scheduler.queue.capacity(), scheduler.callbacks.capacity()];
        assert!(rooms.iter().all(|room| *room <= KEPT_CAPACITY), "{rooms:?}");
    }
}
