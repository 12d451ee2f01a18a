//! The end of a loop that nobody has closed: it goes with its last handle.

use std::panic::Location;

use super::{Inner, current};
use crate::{
    CallbackException, WorkKind, context,
    panic::{self, Payload},
    task::Remains,
    timer::Action,
};

impl Drop for Inner {
    /// Its handles must not accept work that nobody does. What is left is dropped piece by piece: were it left to the fields,
    /// a panic of a destructor would come out of the drop of the last handle, and a second one would end the process.
    fn drop(&mut self) {
        let _detached = context::enter(None);
        let letters = self.remote.close();
        current::leave(self.number);
        for letter in letters {
            let_go(letter);
        }
        let (tasks, callbacks) = self.scheduler.get_mut().drain();
        let timers = self.timers.get_mut().drain();
        let (handlers, wakers, _) = self.registry.get_mut().drain();
        for Remains { work, waiters, context } in tasks {
            if let Some(work) = work {
                self.discard(WorkKind::Task, work.location(), work);
            }
            let_go((waiters, context));
        }
        for (callback, location) in callbacks {
            self.discard(WorkKind::Callback, location, callback);
        }
        for action in timers {
            match action {
                Action::Call(callback, location) => self.discard(WorkKind::Timer, location, callback),
                Action::Wake(sleeper) => let_go(sleeper),
            }
        }
        for (_, handler) in handlers {
            self.discard(WorkKind::Handler, handler.location, handler);
        }
        for waker in wakers {
            let_go(waker);
        }
        let_go(self.exception_hook.take());
        let_go(self.watchdog.set(u64::MAX, None));
    }
}

impl Inner {
    /// Drops `work`; a panic is reported as one of a loop that is closed.
    fn discard<T>(&self, kind: WorkKind, location: &'static Location<'static>, work: T) {
        if let Err(payload) = panic::catch(move || drop(work)) {
            self.report_panic(kind, location, &payload);
        }
    }

    #[cold]
    pub(super) fn report_panic(&self, kind: WorkKind, location: &'static Location<'static>, payload: &Payload) {
        if !panic::was_settled(payload.as_any()) {
            self.report(&CallbackException::panic(kind, location, payload.as_any()));
        }
    }

    /// Tells the hook if there is one, else the log.
    #[cold]
    pub(super) fn report(&self, exception: &CallbackException) {
        let hook = self.exception_hook.borrow().clone();
        match hook {
            // Letting a panic of the hook through would tear the turn apart and lose what is left of its batch. The hook is
            // dropped within, for the case that it has replaced itself.
            Some(hook) => {
                if let Err(payload) = panic::catch(move || hook(exception)) {
                    panic::log_error(format_args!("{exception}; then its hook panicked: {}", payload.printable()));
                }
            }
            None => panic::log_error(format_args!("{exception}")),
        }
    }
}

/// Drops what nobody has registered by itself.
#[inline(never)]
fn let_go<T>(what: T) {
    if let Err(payload) = panic::catch(move || drop(what)) {
        panic::log_error(format_args!("panic in a waker or a destructor: {}", payload.printable()));
    }
}
