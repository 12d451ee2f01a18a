//! What the rest of the crate needs of a loop.

use std::{
    future::Future,
    io,
    os::fd::{AsFd, BorrowedFd},
    panic::Location,
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use nix::errno::Errno;

use super::{IOLoop, Root};
use crate::{
    Error, Interest, Ready, Result, TimeoutHandle, Token, Trigger, WorkKind,
    arena::ArenaKey,
    clock::nanos,
    context,
    executor::Pool,
    registry::{HandlerCallback, Kept, Wait},
    remote::Remote,
    task::{self, BoxedWork, Callback, Join, ROOT, Remains, Woken},
    timer::{Action, MustClone, Started},
};

impl IOLoop {
    pub(crate) fn remote(&self) -> Arc<Remote> {
        Arc::clone(&self.inner.remote)
    }

    /// Whether a job of [`run_in_executor`](crate::run_in_executor) waits or runs.
    #[inline]
    pub(crate) fn has_jobs(&self) -> bool {
        self.inner.executor.get().is_some_and(Pool::is_busy)
    }

    /// The pool, made when there is none; `None` when the loop is closed.
    pub(crate) fn executor(&self) -> Option<&Pool> {
        let inner = &self.inner;
        (!inner.closed.get()).then(|| inner.executor.get_or_init(Pool::new))
    }

    pub(super) fn insert_handler(
        &self,
        fd: Rc<dyn AsFd>,
        interest: Interest,
        handler: HandlerCallback,
        location: &'static Location<'static>,
    ) -> Result<Token> {
        let callback = context::bind_handler(handler, location);
        let key = self.inner.registry.borrow_mut().insert_handler(Rc::clone(&fd), callback, location);
        let token = Token::from_key(key);
        self.watch(fd.as_fd(), token, interest, Trigger::Level)?;
        Ok(token)
    }

    pub(crate) fn add_source(&self, fd: BorrowedFd<'_>, interest: Interest, trigger: Trigger) -> Result<Token> {
        let token = Token::from_key(self.inner.registry.borrow_mut().insert_source());
        self.watch(fd, token, interest, trigger)?;
        Ok(token)
    }

    /// Tells the poller of a registration made in the registry; undoes that when the poller refuses.
    pub(super) fn watch(&self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> Result<()> {
        let watched = self.inner.poller.borrow_mut().add(fd, token, interest, trigger);
        watched.map_err(|source| {
            let removed = self.inner.registry.borrow_mut().remove(token.key());
            drop(removed);
            Error::Io { operation: refusal(&source), source }
        })
    }

    pub(crate) fn remove_source(&self, token: Token, fd: BorrowedFd<'_>) {
        let _ = self.inner.poller.borrow_mut().remove(fd, token);
        self.forget_source(token);
    }

    pub(crate) fn close_source(&self, token: Token, fd: BorrowedFd<'_>) {
        self.inner.poller.borrow_mut().closing(fd, token);
        self.forget_source(token);
    }

    /// Wakes the tasks that wait for the source: a read that is pending when another task closes the stream.
    fn forget_source(&self, token: Token) {
        let mut wakers = Vec::new();
        let task = self.inner.registry.borrow_mut().remove_source(token.key(), &mut wakers);
        if let Some(task) = task {
            self.wake_task(task);
            self.rouse();
        }
        self.wake_all(wakers);
    }

    pub(crate) fn source_ready(&self, token: Token) -> Ready {
        self.inner.registry.borrow().ready(token.key())
    }

    pub(crate) fn source_clear_unless(&self, token: Token, what: Ready, unless: Ready) {
        let cleared = self.inner.registry.borrow_mut().clear_unless(token.key(), what, unless);
        if self.inner.needs_rearming && cleared {
            self.inner.poller.borrow_mut().rearm(token, what);
        }
    }

    #[inline]
    pub(crate) fn source_ready_or_wait(&self, token: Token, wanted: Ready, waker: &Waker) -> Option<Ready> {
        let task = || self.inner.polled.task_of(waker);
        let wait = self.inner.registry.borrow_mut().ready_or_wait(token.key(), wanted, waker, task);
        match wait {
            Wait::Ready(ready) => Some(ready),
            Wait::Pending => None,
            Wait::NeedsClone => self.wait_with_clone(token, wanted, waker),
        }
    }

    /// For a waker that is not the one of the task being polled, and for a second task.
    #[cold]
    fn wait_with_clone(&self, token: Token, wanted: Ready, waker: &Waker) -> Option<Ready> {
        // Between two borrows, because it may be anybody's code and come back to the loop.
        let clone = waker.clone();
        // The low half of the count is enough to tell neighbouring turns apart.
        let turn = self.inner.counters.turns.get() as u32;
        let kept = self.inner.registry.borrow_mut().wait(token.key(), wanted, clone, turn);
        match kept {
            Kept::Yes => None,
            Kept::Swept(swept) => {
                self.wake_all(swept);
                None
            }
            Kept::No(clone) => {
                drop(clone);
                self.source_ready_or_wait(token, wanted, waker)
            }
        }
    }

    #[cold]
    pub(super) fn wake_all(&self, wakers: Vec<Waker>) {
        for waker in wakers {
            self.wake(waker);
        }
    }

    /// A call at `due`, in the current context. Like [`insert_handler`](IOLoop::insert_handler) apart from the public method,
    /// which is compiled for each kind of closure.
    pub(super) fn insert_call(
        &self,
        due: u64,
        callback: Box<dyn FnOnce()>,
        location: &'static Location<'static>,
    ) -> TimeoutHandle {
        TimeoutHandle(self.insert_timer(due, Action::call(callback, location)))
    }

    /// A deadline that has passed counts as now, so that it queues up behind those that are due already.
    pub(crate) fn insert_timer(&self, due: u64, action: Action) -> ArenaKey {
        let due = due.max(self.inner.turn_time.get());
        let timer = self.inner.timers.borrow_mut().insert(due, action);
        self.rouse();
        timer
    }

    pub(crate) fn remove_timer(&self, timer: ArenaKey) -> Option<Action> {
        self.inner.timers.borrow_mut().remove(timer)
    }

    pub(crate) fn set_timer_due(&self, timer: ArenaKey, due: u64) {
        let due = due.max(self.inner.turn_time.get());
        let is_earlier = self.inner.timers.borrow_mut().set_due(timer, due);
        if is_earlier {
            self.arm_timer(timer);
        }
    }

    /// A call of its own: a deadline is moved later with each request, and rarely ahead.
    #[inline(never)]
    fn arm_timer(&self, timer: ArenaKey) {
        self.inner.timers.borrow_mut().arm(timer);
        self.rouse();
    }

    pub(crate) fn timer_due(&self, timer: ArenaKey) -> u64 {
        self.inner.timers.borrow().due(timer)
    }

    /// Moves a timer's deadline and keeps who waits for it, in one.
    #[inline]
    pub(crate) fn set_timer(&self, timer: ArenaKey, due: u64, waker: &Waker) {
        let due = due.max(self.inner.turn_time.get());
        let task = self.inner.polled.task_of(waker);
        let started = self.inner.timers.borrow_mut().start(timer, due, task);
        if started == Started::Later {
            return;
        }
        self.set_timer_due(timer, due);
        self.set_timer_waker(timer, waker);
    }

    pub(crate) fn set_timer_waker(&self, timer: ArenaKey, waker: &Waker) {
        let task = self.inner.polled.task_of(waker);
        let is_kept = self.inner.timers.borrow_mut().keep(timer, waker, task);
        match is_kept {
            Ok(previous) => drop(previous),
            Err(MustClone) => self.replace_timer_waker(timer, waker),
        }
    }

    #[inline(never)]
    fn replace_timer_waker(&self, timer: ArenaKey, waker: &Waker) {
        // Cloned and dropped outside of the borrow: a waker may be anybody's code, and come back to the loop.
        let waker = waker.clone();
        let unused = self.inner.timers.borrow_mut().set_waker(timer, waker);
        drop(unused);
    }

    /// Notes when a turn has begun. Gives back when the one before did.
    #[inline]
    pub(super) fn set_turn_time(&self, nanos: u64) -> u64 {
        let previous = self.inner.turn_time.replace(nanos);
        let passed = nanos.wrapping_sub(previous);
        // From the one before, which spares a division.
        self.inner.turn_instant.set(match u32::try_from(passed) {
            Ok(passed) if passed < 1_000_000_000 => self.inner.turn_instant.get() + Duration::new(0, passed),
            _ => self.instant(nanos),
        });
        previous
    }

    /// The time now as the timers count it.
    pub(crate) fn clock_nanos(&self) -> u64 {
        self.inner.clock.nanos().saturating_sub(self.inner.origin)
    }

    /// An instant as the timers count it.
    pub(crate) fn nanos(&self, instant: Instant) -> u64 {
        instant.checked_duration_since(self.inner.epoch).map_or(0, nanos)
    }

    /// What the timers count, as an instant.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.inner.epoch + Duration::from_nanos(nanos)
    }

    /// Makes a task that nobody waits for.
    pub(crate) fn spawn_forgotten(
        &self,
        future: impl Future<Output = ()> + 'static,
        location: &'static Location<'static>,
    ) {
        self.insert_task(task::detached(future, location), false);
    }

    #[inline]
    pub(crate) fn insert_task(&self, work: BoxedWork, has_handle: bool) -> ArenaKey {
        let work = context::bind_task(work);
        let key = self.inner.scheduler.borrow_mut().insert(work, has_handle);
        self.rouse();
        key
    }

    /// A wake-up on the loop's own thread, or one that has arrived there.
    #[inline(always)]
    pub(super) fn wake_task(&self, key: ArenaKey) {
        let woken = self.inner.scheduler.borrow_mut().wake(key);
        match woken {
            Woken::Queued => {}
            Woken::ByItself => self.inner.pace.give_way(),
            Woken::Nobody => self.wake_root(key),
        }
    }

    #[cold]
    fn wake_root(&self, key: ArenaKey) {
        if key != ROOT {
            return;
        }
        match self.inner.root.get() {
            Root::Waiting => self.inner.root.set(Root::Ready),
            Root::Running => {
                self.inner.root.set(Root::Ready);
                self.inner.pace.give_way();
            }
            Root::Absent | Root::Ready => {}
        }
    }

    #[inline]
    pub(crate) fn abort_task(&self, key: ArenaKey) {
        let remains = self.inner.scheduler.borrow_mut().abort(key);
        if let Some(remains) = remains {
            context::detached(|| self.clear_away(remains));
        }
    }

    /// Drops what a task has left and wakes the tasks that wait for it.
    pub(super) fn clear_away(&self, remains: Remains) {
        let Remains { work, waiters, context } = remains;
        if let Some(work) = work {
            self.guard(WorkKind::Task, work.location(), || drop(work));
        }
        for waiter in waiters.into_iter().flatten() {
            self.wake(waiter);
        }
        if let Some(context) = context {
            self.guard_foreign(|| drop(context));
        }
    }

    /// Asks for a task's result for its handle; when there is none yet, `waker` is woken then.
    #[inline]
    pub(crate) fn join_task(&self, key: ArenaKey, waker: &Waker) -> Join {
        loop {
            let joined = self.inner.scheduler.borrow_mut().join(key, waker);
            let Join::MustWait = joined else { return joined };
            let waker = waker.clone();
            let kept = self.inner.scheduler.borrow_mut().set_waiter(key, waker);
            if let Ok(previous) = kept {
                drop(previous);
                return Join::Pending;
            }
        }
    }

    #[inline]
    pub(crate) fn detach_task(&self, key: ArenaKey) {
        let result = self.inner.scheduler.borrow_mut().detach(key);
        drop(result);
    }

    #[inline]
    pub(crate) fn is_task_finished(&self, key: ArenaKey) -> bool {
        self.inner.scheduler.borrow().is_finished(key)
    }

    /// Queues a callback that belongs to the current context.
    pub(crate) fn enqueue_callback(&self, callback: Box<dyn FnOnce()>, location: &'static Location<'static>) {
        let callback = context::bind_callback(callback, WorkKind::Callback, location);
        self.enqueue((callback, location));
    }

    pub(super) fn enqueue(&self, callback: Callback) {
        self.inner.pace.give_way();
        self.inner.scheduler.borrow_mut().add_callback(callback);
        self.rouse();
    }
}

/// What the system's error means for a registration: "file exists" alone would send its reader the wrong way.
fn refusal(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => "watching a descriptor of a kind that is always ready, such as a regular file",
        Some(Errno::EEXIST) => "watching a descriptor that is registered already",
        Some(Errno::EBADF) => "watching a descriptor that is closed",
        Some(Errno::ENOSPC) => "watching a descriptor beyond the limit of the system (fs.epoll.max_user_watches)",
        _ => "watching a descriptor",
    }
}
