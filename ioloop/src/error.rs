use std::{any::Any, error::Error as StdError, fmt, io, panic::Location, sync::Arc};

use crate::{Printable, panic_message};

/// The result of this crate's fallible operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in the loop itself.
///
/// Panics of user code are not errors: the loop catches them, reports them as a [`CallbackException`] and goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed. While registering a descriptor this is `EPERM` for a regular file (epoll cannot watch
    /// them), `EEXIST` for a descriptor that is registered already, `ENOSPC` or `EMFILE` when the system is out of
    /// watches or descriptors.
    #[error("{operation}: {source}")]
    Io {
        /// What the loop was doing, in a few words.
        operation: &'static str,
        /// The error of the system call.
        source: io::Error,
    },

    /// The time given to [`timeout`](crate::timeout) or [`IOLoop::try_run_sync`](crate::IOLoop::try_run_sync) is over.
    #[error("the operation timed out")]
    TimedOut,

    /// The loop was stopped before the future given to [`IOLoop::try_run_sync`](crate::IOLoop::try_run_sync) was done.
    #[error("the loop was stopped before the future completed")]
    Stopped,

    /// The token names a registration that has been removed.
    #[error("no handler is registered under this token; it has been removed")]
    NotRegistered,

    /// The loop behind a [`LoopHandle`](crate::LoopHandle) has been closed or its thread has ended.
    #[error("the loop is closed, or its thread has ended")]
    Closed,

    /// `process::fork_processes` was called where a fork would not be safe: beside a loop or
    /// another thread, or in a worker.
    #[error("cannot fork: {reason}")]
    CannotFork {
        /// What stands against it, and what to do.
        reason: &'static str,
    },

    /// The workers of `process::fork_processes` fail again and again.
    #[error("the workers failed more often than they may be restarted")]
    TooManyRestarts,

    /// The descriptors given by [`inherited_fds`](crate::process::inherited_fds) have been taken before.
    #[error("the inherited descriptors were taken before; they are handed out once")]
    AlreadyTaken,

    /// What the environment says of inherited descriptors is not so: it was set for another program, or by hand.
    #[error("inherited descriptors: {reason}")]
    BadInheritance {
        /// What is wrong.
        reason: &'static str,
    },
}

impl Error {
    /// Whether this is [`Error::TimedOut`].
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Error::TimedOut)
    }

    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { operation, source }
    }
}

/// The kind of work that panicked, or that was slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkKind {
    /// A callback given to `add_callback`.
    Callback,
    /// A timer given to `call_later` or `call_at`.
    Timer,
    /// A descriptor's handler.
    Handler,
    /// A spawned task.
    Task,
    /// What ran in the scope of an [`ErrorBoundary`](crate::context::ErrorBoundary) itself. The location is that of the
    /// scope.
    Scope,
    /// No panic: an error given to [`context::report`](crate::context::report), at this location.
    Error,
}

impl fmt::Display for WorkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WorkKind::Callback => "callback",
            WorkKind::Timer => "timer",
            WorkKind::Handler => "handler",
            WorkKind::Task => "task",
            WorkKind::Scope => "scope",
            WorkKind::Error => "error",
        })
    }
}

/// A panic that the loop caught: what kind of work it was, where that work was handed to the loop, and the message. Or
/// an error given to [`report`](crate::context::report).
///
/// Its `Display` form is the line that is logged when no
/// [`on_callback_exception`](crate::IOLoop::on_callback_exception) hook is set: one line, with the message shown as
/// [`Printable`].
#[derive(Debug, Clone)]
pub struct CallbackException {
    pub(crate) kind: WorkKind,
    pub(crate) location: &'static Location<'static>,
    pub(crate) message: String,
    pub(crate) error: Option<Arc<dyn StdError + Send + Sync>>,
}

impl CallbackException {
    pub(crate) fn panic(
        kind: WorkKind,
        location: &'static Location<'static>,
        payload: &(dyn Any + Send),
    ) -> CallbackException {
        CallbackException { kind, location, message: panic_message(payload).to_owned(), error: None }
    }

    /// What kind of work panicked.
    pub fn kind(&self) -> WorkKind {
        self.kind
    }

    /// The source line that registered or spawned the work.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The panic's message as it was, or `<not a string>` when its payload is something else; the text of a reported error.
    /// It may have several lines and hold what came from outside: to log it, show it as [`Printable::text`].
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error that was [reported](crate::context::report); `None` for a panic.
    pub fn error(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.error.as_deref()
    }
}

impl fmt::Display for CallbackException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = Printable::text(&self.message);
        match self.kind {
            WorkKind::Error => write!(f, "error reported at {}: {message}", self.location),
            kind => write!(f, "panic in the {kind} registered at {}: {message}", self.location),
        }
    }
}
