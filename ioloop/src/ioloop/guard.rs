//! How user code is called and dropped: a panic ends here.

use std::{os::fd::AsFd, panic::Location, task::Waker};

use super::IOLoop;
use crate::{
    CallbackException, WorkKind,
    panic::{self, Payload},
    timer::Action,
};

impl IOLoop {
    /// Drops everything registered, and what is registered by that: a few rounds settle all that does not go on for ever.
    pub(super) fn discard_everything(&self) {
        for _ in 0..8 {
            if self.discard_once() {
                break;
            }
        }
    }

    /// True when there was nothing.
    fn discard_once(&self) -> bool {
        let inner = &self.inner;
        // All borrows end before the first drop: destructors may come back to the loop.
        let (tasks, callbacks) = inner.scheduler.borrow_mut().drain();
        let timers = inner.timers.borrow_mut().drain();
        let (handlers, wakers, waiting) = inner.registry.borrow_mut().drain();
        let nothing =
            tasks.is_empty() && callbacks.is_empty() && timers.is_empty() && handlers.is_empty() && wakers.is_empty();
        for remains in tasks {
            self.clear_away(remains);
        }
        let drop_call = |kind, call: Box<dyn FnOnce()>, location| self.guard(kind, location, || drop(call));
        for (callback, location) in callbacks {
            drop_call(WorkKind::Callback, callback, location);
        }
        for action in timers {
            match action {
                Action::Call(callback, location) => {
                    drop_call(WorkKind::Timer, callback, location);
                }
                Action::Wake(sleeper) => self.guard_foreign(|| drop(sleeper)),
            }
        }
        for (token, handler) in handlers {
            self.guard_foreign(|| {
                let fd = handler.fd.as_fd();
                // A shared descriptor stays open, and would go on being reported.
                let _ = inner.poller.borrow_mut().remove(fd, token);
            });
            self.guard(WorkKind::Handler, handler.location, || drop(handler));
        }
        self.wake_all(wakers);
        // Those of the loop's own tasks are gone; the future of `run_sync` is not.
        for task in waiting {
            self.wake_task(task);
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
        match self.watching(kind, location, || panic::catch(work)) {
            Ok(value) => Some(value),
            Err(payload) => {
                self.report_panic(kind, location, &payload);
                None
            }
        }
    }

    #[cold]
    pub(super) fn report_panic(&self, kind: WorkKind, location: &'static Location<'static>, payload: &Payload) {
        self.inner.report_panic(kind, location, payload);
    }

    /// Calls user code that has no registration to blame: wakers, which are our own but for exotic cases, and destructors.
    ///
    /// Not inlined: where it is, each wake-up takes fifteen instructions more.
    #[inline(never)]
    pub(super) fn guard_foreign(&self, work: impl FnOnce()) {
        if let Err(payload) = panic::catch(work) {
            panic::log_error(format_args!("panic in a waker or a destructor: {}", payload.printable()));
        }
    }

    /// Wakes a task, which as good as always is one of this loop: a push on the queue.
    #[inline]
    pub(super) fn wake(&self, waker: Waker) {
        self.guard_foreign(|| waker.wake());
    }

    /// Tells the hook if there is one, else the log.
    #[cold]
    pub(crate) fn report(&self, exception: &CallbackException) {
        self.inner.report(exception);
    }
}
