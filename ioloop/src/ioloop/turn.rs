//! One iteration of the loop, its steps in order.

use std::{
    panic::Location,
    pin::Pin,
    task::{Poll, Waker},
    time::Duration,
};

use super::{IOLoop, Root};
use crate::{
    Event, JoinError, WorkKind,
    arena::ArenaKey,
    clock::nanos,
    ebb, memory,
    panic::{self, Payload},
    registry::{HandlerCallback, Notify},
    remote::RemoteWork,
    task::{BoxedWork, Fresh, TaskWork, Turn},
    timer::Due,
};

impl IOLoop {
    /// A turn; one of the queue alone, when there is work and the last poll is not long ago.
    #[inline]
    pub(super) fn turn(&self) {
        // With nothing queued there is nothing to do but poll. With work queued, a chain of wake-ups is run without a system
        // call between its links, for as long as `pace` allows.
        let has_work = self.has_work();
        if !has_work || self.inner.pace.is_over(|| self.clock_nanos().saturating_sub(self.turn_nanos())) {
            self.poll_world(None, has_work);
        }
        self.run_queue();
    }

    /// A whole turn, which waits no longer than `limit`.
    pub(super) fn turn_within(&self, limit: Option<Duration>) {
        self.poll_world(limit, self.has_work());
        self.run_queue();
    }

    /// Takes in everything from outside of the queue.
    #[inline]
    fn poll_world(&self, limit: Option<Duration>, has_work: bool) {
        self.wait(limit, has_work);
        // Before the queue, so that a request is read, handled and answered in the turn that finds it: one wait for each.
        self.dispatch();
        self.receive();
        self.fire_timers();
        // From here on the queue alone may run for a while.
        self.inner.pace.begin();
    }

    pub(super) fn has_work(&self) -> bool {
        self.inner.scheduler.borrow().ready() > 0 || self.inner.root.get() == Root::Ready
    }

    #[inline]
    fn wait(&self, limit: Option<Duration>, has_work: bool) {
        let inner = &self.inner;
        let (mut timeout, asked) = self.poll_timeout(has_work);
        if let Some(limit) = limit {
            timeout = Some(timeout.map_or(limit, |timeout| timeout.min(limit)));
        }
        // Declaring sleep before the wait closes the race with a sender: it either finds the loop asleep and signals, or is
        // found here. A poll that does not block needs no signal, and saves both atomic operations.
        let may_block = timeout != Some(Duration::ZERO);
        if may_block && !inner.remote.fall_asleep() {
            timeout = Some(Duration::ZERO);
        }
        let mut events = inner.events.borrow_mut();
        let result = inner.poller.borrow_mut().poll(&mut events, timeout);
        if may_block {
            inner.remote.wake_up();
        }
        // The only reading of the clock in a busy turn: timers and deadlines all count from this one.
        let now = self.clock_nanos();
        // A wait that does not block may count as a part of the turn before it: that saves a reading of the clock.
        inner.counters.turn_took(asked.unwrap_or(now).saturating_sub(self.set_turn_time(now)));
        inner.counters.waits.add(1);
        inner.counters.events.add(events.len() as u64);
        if let Err(error) = result {
            // EBADF, EFAULT, EINVAL: the loop itself is broken, and going on would spin.
            panic!("the poller failed: {error}");
        }
    }

    /// How long to wait: not at all with work queued, else until the next timer. Counted from now, not from the beginning
    /// of the turn: a turn that took long must not make a timer late twice. Beside it what the clock said, if it was asked.
    ///
    /// Inlined by force: the pair goes through memory otherwise, thirty instructions for each wait.
    #[inline(always)]
    pub(super) fn poll_timeout(&self, has_work: bool) -> (Option<Duration>, Option<u64>) {
        if has_work || self.inner.stopping.get() {
            return (Some(Duration::ZERO), None);
        }
        let now = self.clock_nanos();
        let deadline = self.inner.timers.borrow_mut().next_deadline();
        (deadline.map(|deadline| Duration::from_nanos(deadline.saturating_sub(now))), Some(now))
    }

    fn dispatch(&self) {
        let inner = &self.inner;
        // Lent out while handlers run: only a turn asks for it, and turns do not nest.
        let events = inner.events.borrow();
        for &event in events.iter() {
            if Some(event.token()) == inner.wakeup.get() {
                if inner.needs_rearming {
                    // The count says nothing; reading it resets the level.
                    let _ = inner.remote.eventfd.read();
                }
                continue;
            }
            // A key of a removed registration finds nothing: its generation differs also when the place is taken again.
            let notify = inner.registry.borrow_mut().record(event.token().key(), event.ready());
            match notify {
                // A push on the queue that runs later in this turn.
                Notify::Task(task) => self.wake_task(task),
                Notify::Nobody => {}
                Notify::Several(several) => self.wake_several(*several),
                Notify::Handler(callback, location) => self.call_handler(event, callback, location),
            }
        }
        drop(events);
        inner.events.borrow_mut().clear();
    }

    #[cold]
    fn wake_several(&self, (task, wakers): (Option<ArenaKey>, Vec<Waker>)) {
        if let Some(task) = task {
            self.wake_task(task);
        }
        self.wake_all(wakers);
    }

    fn call_handler(&self, event: Event, mut callback: HandlerCallback, location: &'static Location<'static>) {
        self.guard(WorkKind::Handler, location, || callback(event));
        let orphan = self.inner.registry.borrow_mut().put_back(event.token().key(), callback);
        self.guard(WorkKind::Handler, location, || drop(orphan));
    }

    /// Takes in what other threads have sent.
    fn receive(&self) {
        if !self.inner.remote.has_letters() {
            return;
        }
        // Swapped with the senders' list under their lock, which is held for no longer than that.
        let mut inbox = self.inner.inbox.borrow_mut();
        if !self.inner.remote.take(&mut inbox) {
            return;
        }
        for work in inbox.drain(..) {
            match work {
                RemoteWork::Callback(callback, location) => self.enqueue((callback, location)),
                RemoteWork::Spawn(make) => {
                    self.insert_task(make(), false);
                }
                RemoteWork::Wake(signal) => self.wake_task(signal.receive()),
                RemoteWork::Stop => self.stop(),
            }
        }
    }

    fn fire_timers(&self) {
        let inner = &self.inner;
        // By the reading that ended the wait: what becomes due while timers fire is for the next poll.
        let now = inner.turn_time.get();
        let late = inner.timers.borrow_mut().begin_firing(now);
        let Some(late) = late else { return };
        inner.counters.lagged(late);
        loop {
            let due = inner.timers.borrow_mut().pop_due(now);
            if due.is_some() {
                inner.counters.timers.add(1);
            }
            match due {
                Some(Due::Call(callback, location)) => {
                    self.guard(WorkKind::Timer, location, callback);
                }
                Some(Due::Task(task)) => self.wake_task(task),
                Some(Due::Wake(waker)) => self.wake(waker),
                None => break,
            }
        }
    }

    /// Runs what is queued at this point. What is queued from here on waits for the next turn.
    fn run_queue(&self) {
        self.inner.counters.turns.add(1);
        let count = self.inner.scheduler.borrow().ready();
        // At least one, for the future of `run_sync`, which is polled beside the queue.
        self.inner.pace.count(u32::try_from(count).unwrap_or(u32::MAX).max(1));
        for at in 0..count {
            // Each borrow ends before what it has found is run: a task may spawn, wake and abort any other, and itself.
            // Finds neither for a task that was aborted after it had been woken, and when the loop was closed meanwhile.
            let (key, work) = {
                let mut scheduler = self.inner.scheduler.borrow_mut();
                let next = at + 1;
                if next < count {
                    scheduler.look_ahead(next);
                }
                scheduler.begin(at)
            };
            match work {
                Some(work) => self.run_task(key, work),
                None => self.run_callback(key),
            }
        }
        self.inner.scheduler.borrow_mut().leave_behind(count);
    }

    fn run_callback(&self, key: ArenaKey) {
        let callback = self.inner.scheduler.borrow_mut().take_callback(key);
        if let Some((callback, location)) = callback {
            self.inner.counters.callbacks.add(1);
            self.guard(WorkKind::Callback, location, callback);
            return;
        }
        let turn = self.inner.scheduler.borrow_mut().take_turn(key);
        if let Some(turn) = turn {
            self.turn_memory(turn);
        }
    }

    /// A burst of tasks begins, ebbs or is over.
    #[cold]
    fn turn_memory(&self, turn: Turn) {
        let now = self.turn_nanos();
        match turn {
            Turn::Begins => return self.inner.memory.borrow_mut().begin(now),
            Turn::Ebbs | Turn::IsOver => {
                // Out of its place: others are told meanwhile.
                let mut memory = self.inner.memory.take();
                self.guard_foreign(|| memory.give_back(now, turn == Turn::IsOver, || self.move_ahead()));
                self.inner.memory.replace(memory);
            }
            Turn::Trickles => {}
        }
        let wants_look = self.inner.scheduler.borrow_mut().wants_look();
        if wants_look {
            let look = || IOLoop::current().look_at_tide();
            self.insert_call(now.saturating_add(nanos(memory::LOOK_AFTER)), Box::new(look), Location::caller());
        }
    }

    fn look_at_tide(&self) {
        let turn = self.inner.scheduler.borrow_mut().look();
        if let Some(turn) = turn {
            self.turn_memory(turn);
        }
    }

    /// Puts what stays of a burst to other places. Returns what is left, to be dropped when all has been allocated.
    fn move_ahead(&self) -> impl Sized + use<> {
        let holders = ebb::holders();
        let mut of_others = Vec::with_capacity(holders.len());
        for holder in &holders {
            self.guard_foreign(|| of_others.push(holder.ebb()));
        }
        // The spare waker was made when the last task of a burst waited, so its block lies behind all of theirs.
        let fresh = Fresh::new(&self.inner.remote);
        let spare = self.inner.spare.replace(fresh);
        let scheduler = self.inner.scheduler.borrow_mut().move_ahead();
        let timers = self.inner.timers.borrow_mut().move_ahead();
        let registry = self.inner.registry.borrow_mut().move_ahead();
        (holders, of_others, spare, scheduler, timers, registry)
    }

    #[inline]
    fn run_task(&self, key: ArenaKey, mut work: BoxedWork) {
        let inner = &self.inner;
        inner.polled.prepare(key);
        let polled = {
            // Lent out while user code runs, because nobody else ever asks for it: turns of a loop do not nest.
            let spare = inner.spare.borrow();
            spare.rename(key);
            self.poll_task(&mut work, |work| work.poll(&spare.waker, &inner.polled))
        };
        inner.polled.end();
        if !inner.spare.borrow().is_unused() {
            self.keep_spare(&mut work);
        }
        match polled {
            Poll::Pending => self.suspend_task(key, work),
            Poll::Ready(()) => self.end_task(key, work),
        }
    }

    /// The spare waker has become that of a task.
    #[cold]
    fn keep_spare(&self, work: &mut BoxedWork) {
        let fresh = self.inner.spare.replace(Fresh::new(&self.inner.remote));
        work.as_mut().keep_waker(fresh.waker);
    }

    /// A panic is reported, and is the end of the task.
    #[inline(always)]
    fn poll_task(&self, work: &mut BoxedWork, poll: impl FnOnce(Pin<&mut dyn TaskWork>) -> Poll<()>) -> Poll<()> {
        self.inner.counters.polls.add(1);
        let watched = self.inner.watchdog.is_on().then(|| work.location());
        let poll = || panic::catch(|| poll(work.as_mut()));
        let polled = match watched {
            Some(location) => self.timed(WorkKind::Task, location, poll),
            None => poll(),
        };
        match polled {
            Ok(polled) => polled,
            Err(payload) => {
                self.fail_task(work, &payload);
                Poll::Ready(())
            }
        }
    }

    #[cold]
    fn fail_task(&self, work: &mut BoxedWork, payload: &Payload) {
        let location = work.location();
        self.report_panic(WorkKind::Task, location, payload);
        let error = JoinError::Panicked { message: payload.message().to_owned() };
        self.guard(WorkKind::Task, location, || work.as_mut().fail(error));
    }

    #[inline(always)]
    fn suspend_task(&self, key: ArenaKey, work: BoxedWork) {
        let aborted = self.inner.scheduler.borrow_mut().suspend(key, work);
        if let Some(remains) = aborted {
            self.clear_away(remains);
        }
    }

    fn end_task(&self, key: ArenaKey, work: BoxedWork) {
        let remains = self.inner.scheduler.borrow_mut().end(key, work);
        if let Some(remains) = remains {
            self.clear_away(remains);
        }
    }
}
