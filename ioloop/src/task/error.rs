use crate::Printable;

/// Why a task has no result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It was aborted, or its loop was closed, or closed before a [`Job`](crate::Job) of its began.
    #[error("the task was cancelled")]
    Cancelled,
    /// It panicked. A task's panic has been reported by the loop already; a [`Job`](crate::Job)'s is told here alone.
    #[error("the task panicked: {}", Printable::text(message))]
    Panicked {
        /// The panic's message as it was. `Display` shows it as [`Printable`].
        message: String,
    },
    /// A [`Job`](crate::Job) could not begin: the system refuses to start a thread, and the pool has none.
    #[error("no thread could be started: {}", Printable::text(message))]
    NoThread {
        /// The system's error.
        message: String,
    },
}
