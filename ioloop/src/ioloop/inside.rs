//! What the rest of the crate needs of a loop, and how user code is called.

use std::{
    future::Future,
    os::fd::{AsFd, BorrowedFd},
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    task::Waker,
    time::{Duration, Instant},
};

use super::{IOLoop, Work};
use crate::{
    CallbackException, Error, Interest, Ready, Result, Token, Trigger, WorkKind, arena::Key, context,
    error::panic_message, executor::Pool, registry::Wait, timer::Action,
};

impl IOLoop {
    /// The pool, made when there is none; `None` when the loop is closed.
    pub(crate) fn executor(&self) -> Option<&Pool> {
        let inner = &self.inner;
        (!inner.closed.get()).then(|| inner.executor.get_or_init(Pool::new))
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
            Error::Io { operation: "watching a descriptor", source }
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

    /// Wakes whoever waits for the source: a read that is pending when another task closes the stream.
    fn forget_source(&self, token: Token) {
        let mut wakers = Vec::new();
        self.inner.registry.borrow_mut().remove_source(token.key(), &mut wakers);
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
        let wait = self.inner.registry.borrow_mut().ready_or_wait(token.key(), wanted, waker, self.inner.turn.get());
        match wait {
            Wait::Ready(ready) => Some(ready),
            Wait::Pending => None,
            Wait::Swept(swept) => {
                self.wake_all(swept);
                None
            }
        }
    }

    #[cold]
    fn wake_all(&self, wakers: Vec<Waker>) {
        for waker in wakers {
            self.guard_foreign(|| waker.wake());
        }
    }

    /// A deadline that has passed counts as now, so that it queues up behind those that are due already.
    pub(crate) fn insert_timer(&self, due: u64, action: Action) -> Key {
        let due = due.max(self.inner.turn_time.get());
        self.inner.timers.borrow_mut().insert(due, action)
    }

    pub(crate) fn remove_timer(&self, timer: Key) -> Option<Action> {
        self.inner.timers.borrow_mut().remove(timer)
    }

    pub(crate) fn set_timer_due(&self, timer: Key, due: u64) {
        let due = due.max(self.inner.turn_time.get());
        self.inner.timers.borrow_mut().set_due(timer, due);
    }

    pub(crate) fn timer_due(&self, timer: Key) -> u64 {
        self.inner.timers.borrow().due(timer)
    }

    /// Moves a timer's deadline and keeps its waker, in one.
    pub(crate) fn set_timer(&self, timer: Key, due: u64, waker: &Waker) {
        let due = due.max(self.inner.turn_time.get());
        let mut timers = self.inner.timers.borrow_mut();
        timers.set_due(timer, due);
        let previous = timers.set_waker(timer, waker);
        drop(timers);
        drop(previous);
    }

    pub(crate) fn set_timer_waker(&self, timer: Key, waker: &Waker) {
        let previous = self.inner.timers.borrow_mut().set_waker(timer, waker);
        drop(previous);
    }

    pub(crate) fn turn_nanos(&self) -> u64 {
        self.inner.turn_time.get()
    }

    /// The time now as the timers count it.
    pub(crate) fn clock_nanos(&self) -> u64 {
        nanos(self.inner.clock.now()).saturating_sub(self.inner.origin)
    }

    /// An instant as the timers count it.
    pub(crate) fn nanos(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.inner.epoch))
    }

    pub(crate) fn spawn_boxed(&self, future: Pin<Box<dyn Future<Output = ()>>>, location: &'static Location<'static>) {
        self.insert_task(future, location);
    }

    /// What the timers count, as an instant.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.inner.epoch + Duration::from_nanos(nanos)
    }

    pub(super) fn insert_task(
        &self,
        future: Pin<Box<dyn Future<Output = ()>>>,
        location: &'static Location<'static>,
    ) -> Key {
        let future = context::bind_future(future, location);
        let key = self.inner.tasks.borrow_mut().insert(future, &self.inner.remote, location);
        self.enqueue(Work::Task(key));
        key
    }

    pub(crate) fn abort_task(&self, key: Key) {
        let removed = self.inner.tasks.borrow_mut().remove(key);
        if let Some((runnable, location)) = removed {
            self.guard(WorkKind::Task, location, || context::detached(|| drop(runnable)));
        }
    }

    /// Queues a callback that belongs to the current context.
    pub(crate) fn enqueue_callback(&self, callback: Box<dyn FnOnce()>, location: &'static Location<'static>) {
        let callback = context::bind_callback(callback, WorkKind::Callback, location);
        self.enqueue(Work::Callback(callback, location));
    }

    pub(super) fn enqueue(&self, work: Work) {
        self.inner.queue.borrow_mut().push_back(work);
    }
}

/// Where user code is called or dropped.
impl IOLoop {
    /// Drops everything registered. True when there was nothing.
    pub(super) fn discard_everything(&self) -> bool {
        let inner = &self.inner;
        // All borrows end before the first drop: destructors may come back to the loop.
        let tasks = inner.tasks.borrow_mut().drain();
        let queue = inner.queue.take();
        let timers = inner.timers.borrow_mut().drain();
        let (handlers, wakers) = inner.registry.borrow_mut().drain();
        let nothing =
            tasks.is_empty() && queue.is_empty() && timers.is_empty() && handlers.is_empty() && wakers.is_empty();
        for (task, location) in tasks {
            self.guard(WorkKind::Task, location, || drop(task));
        }
        for work in queue {
            if let Work::Callback(callback, location) = work {
                self.guard(WorkKind::Callback, location, || drop(callback));
            }
        }
        for action in timers {
            if let Action::Call(callback, location) = action {
                self.guard(WorkKind::Timer, location, || drop(callback));
            }
        }
        for (token, handler) in handlers {
            // A shared descriptor stays open, and would go on being reported.
            let _ = inner.poller.borrow_mut().remove(handler.fd.as_fd(), token);
            self.guard(WorkKind::Handler, handler.location, || drop(handler));
        }
        for waker in wakers {
            self.guard_foreign(|| waker.wake());
        }
        nothing
    }

    /// Calls user code: a panic is reported and ends here.
    pub(super) fn guard<T>(
        &self,
        kind: WorkKind,
        location: &'static Location<'static>,
        work: impl FnOnce() -> T,
    ) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(value) => Some(value),
            Err(payload) => {
                if !context::was_settled(&*payload) {
                    self.report(&CallbackException::panic(kind, location, &*payload));
                }
                None
            }
        }
    }

    /// Calls user code that has no registration to blame: wakers, which are our own but for exotic cases, and destructors.
    pub(super) fn guard_foreign(&self, work: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
            log::error!("panic in a waker or a destructor: {}", panic_message(&*payload));
        }
    }

    #[cold]
    pub(crate) fn report(&self, exception: &CallbackException) {
        let hook = self.inner.exception_hook.borrow().clone();
        match hook {
            // Letting a panic of the hook through would tear the turn apart and lose what is left of its batch.
            Some(hook) => {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook(exception))) {
                    log::error!("{exception}; then its hook panicked: {}", panic_message(&*payload));
                }
            }
            None => log::error!("{exception}"),
        }
    }
}

/// A duration as the timers count it; one beyond 584 years is for ever.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}
