//! One iteration of the loop, its steps in order.

use std::{
    panic::Location,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{IOLoop, Root, Work};
use crate::{
    Event, WorkKind,
    arena::Key,
    registry::{HandlerCallback, Notify},
    remote::RemoteWork,
    task::{ROOT, Runnable},
    timer::Due,
};

impl IOLoop {
    pub(super) fn turn(&self) {
        self.turn_within(None);
    }

    /// A turn that waits no longer than `limit`.
    #[inline]
    pub(super) fn turn_within(&self, limit: Option<Duration>) {
        self.inner.turn.set(self.inner.turn.get().wrapping_add(1));
        self.wait(limit);
        self.dispatch();
        self.receive();
        self.fire_timers();
        self.run_queue();
    }

    #[inline]
    fn wait(&self, limit: Option<Duration>) {
        let inner = &self.inner;
        let mut timeout = self.poll_timeout();
        if let Some(limit) = limit {
            timeout = Some(timeout.map_or(limit, |timeout| timeout.min(limit)));
        }
        let may_block = timeout != Some(Duration::ZERO);
        if may_block && !inner.remote.fall_asleep() {
            timeout = Some(Duration::ZERO);
        }
        let mut events = inner.events.borrow_mut();
        let result = inner.poller.borrow_mut().poll(&mut events, timeout);
        if may_block {
            inner.remote.wake_up();
        }
        inner.turn_time.set(self.clock_nanos());
        if let Err(error) = result {
            // EBADF, EFAULT, EINVAL: the loop itself is broken, and going on would spin.
            panic!("the poller failed: {error}");
        }
    }

    /// How long to wait: not at all with work queued, else until the next timer. Counted from now, not from the beginning
    /// of the turn: a turn that took long must not make a timer late twice.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let inner = &self.inner;
        if !inner.queue.borrow().is_empty() || inner.root.get() == Root::Ready || inner.stopping.get() {
            return Some(Duration::ZERO);
        }
        let deadline = inner.timers.borrow_mut().next_deadline()?;
        Some(Duration::from_nanos(deadline.saturating_sub(self.clock_nanos())))
    }

    fn dispatch(&self) {
        let inner = &self.inner;
        // Taken, because a handler may run the loop's methods; put back for its capacity.
        let mut events = inner.events.take();
        let mut others = Vec::new();
        for event in &events {
            if Some(event.token()) == inner.wakeup.get() {
                // The count says nothing; reading it resets the level.
                let _ = inner.remote.eventfd.read();
                continue;
            }
            let notify = inner.registry.borrow_mut().record(event.token().key(), event.ready(), &mut others);
            match notify {
                Notify::Waiters(Some(first)) => self.guard_foreign(|| first.wake()),
                Notify::Waiters(None) | Notify::Nobody => {}
                Notify::Handler(callback, location) => self.call_handler(*event, callback, location),
            }
            if !others.is_empty() {
                others.drain(..).for_each(|waker: Waker| self.guard_foreign(|| waker.wake()));
            }
        }
        events.clear();
        inner.events.replace(events);
    }

    fn call_handler(&self, event: Event, mut callback: HandlerCallback, location: &'static Location<'static>) {
        self.guard(WorkKind::Handler, location, || callback(event));
        let orphan = self.inner.registry.borrow_mut().put_back(event.token().key(), callback);
        self.guard(WorkKind::Handler, location, || drop(orphan));
    }

    /// Takes in what other threads have sent.
    fn receive(&self) {
        let mut inbox = self.inner.inbox.borrow_mut();
        if !self.inner.remote.take(&mut inbox) {
            return;
        }
        for work in inbox.drain(..) {
            match work {
                RemoteWork::Callback(callback, location) => self.enqueue(Work::Callback(callback, location)),
                RemoteWork::Spawn(spawn) => spawn(self),
                RemoteWork::Wake(task) => self.enqueue(Work::Task(task)),
                RemoteWork::Stop => self.stop(),
            }
        }
    }

    fn fire_timers(&self) {
        let inner = &self.inner;
        let (now, mark) = (inner.turn_time.get(), inner.timers.borrow().mark());
        loop {
            let due = inner.timers.borrow_mut().pop_due(now, mark);
            match due {
                Some(Due::Call(callback, location)) => {
                    self.guard(WorkKind::Timer, location, callback);
                }
                Some(Due::Wake(waker)) => self.guard_foreign(|| waker.wake()),
                None => break,
            }
        }
    }

    /// Runs what is queued at this point. The length is taken once: what is queued from here on waits for the next turn.
    fn run_queue(&self) {
        let count = self.inner.queue.borrow().len();
        for _ in 0..count {
            let work = self.inner.queue.borrow_mut().pop_front();
            match work {
                Some(Work::Callback(callback, location)) => {
                    self.guard(WorkKind::Callback, location, callback);
                }
                Some(Work::Task(ROOT)) => {
                    if self.inner.root.get() == Root::Waiting {
                        self.inner.root.set(Root::Ready);
                    }
                }
                Some(Work::Task(task)) => self.run_task(task),
                // The loop was closed by the previous piece of work.
                None => break,
            }
        }
    }

    fn run_task(&self, key: Key) {
        // Nothing is found when the task was aborted after it had been queued.
        let Some((mut runnable, location)) = self.inner.tasks.borrow_mut().begin(key) else {
            return;
        };
        let Runnable { future, waker, .. } = &mut runnable;
        let polled = self.guard(WorkKind::Task, location, || future.as_mut().poll(&mut Context::from_waker(waker)));
        let leftover = match polled {
            Some(Poll::Pending) => self.inner.tasks.borrow_mut().suspend(key, runnable),
            Some(Poll::Ready(())) | None => {
                self.inner.tasks.borrow_mut().remove(key);
                Some(runnable)
            }
        };
        if let Some(leftover) = leftover {
            self.guard(WorkKind::Task, location, || drop(leftover));
        }
    }
}
