use std::{io, net::SocketAddr, sync::Arc};

/// The result of this crate's fallible operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with streams and servers.
///
/// Cloneable, because one broken connection fails several operations at once: the cause is shared, not copied.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream is closed, or its input has ended and what is buffered cannot satisfy the read.
    ///
    /// Without a source it was closed in an orderly way: by [`IOStream::close`](crate::IOStream::close) or by the peer's
    /// FIN. With a source the connection broke: a reset (`ECONNRESET`, `EPIPE`), a network that stopped answering
    /// (`ETIMEDOUT`).
    #[error("the stream is closed")]
    Closed {
        /// What broke the connection, if it was broken.
        #[source]
        source: Option<Arc<io::Error>>,
    },

    /// A `read_until` found no delimiter, or a `read_until_close` no end, within its `max_bytes`. The stream has been
    /// closed: where the next message starts is unknown.
    #[error("the read cannot be satisfied within {limit} bytes")]
    Unsatisfiable {
        /// The `max_bytes` of the read.
        limit: usize,
    },

    /// A read needs more bytes than the stream may hold
    /// ([`IOStream::set_max_buffer_size`](crate::IOStream::set_max_buffer_size)). The stream has been closed.
    #[error("the read needs more than the {limit} bytes that the stream may buffer")]
    BufferFull {
        /// The stream's `max_buffer_size`.
        limit: usize,
    },

    /// A write would queue more than the stream may hold back
    /// ([`IOStream::set_max_write_buffer_size`](crate::IOStream::set_max_write_buffer_size)): the peer reads too slowly.
    /// Nothing of this write was sent or queued; the stream is as usable as before.
    #[error("the write exceeds the {limit} bytes that the stream may queue")]
    WriteBufferFull {
        /// The stream's `max_write_buffer_size`.
        limit: usize,
    },

    /// Another read of this stream is under way: two readers would tear each other's messages apart.
    #[error("the stream is already being read")]
    AlreadyReading,

    /// No connection to this address could be made; usually `ECONNREFUSED` (nobody listens) or `ETIMEDOUT`.
    #[error("connecting to {addr}: {source}")]
    Connect {
        /// The address that was tried.
        addr: SocketAddr,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// No listening socket could be bound to this address; usually `EADDRINUSE` or, for ports below 1024, `EACCES`.
    #[error("listening on {addr}: {source}")]
    Bind {
        /// The address that was tried.
        addr: SocketAddr,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// Time is over: an [`ioloop::timeout`] around an operation of this crate, passed on with `?`.
    #[error("operation timed out")]
    TimedOut,

    /// The loop refused, for example because no more descriptors can be watched.
    #[error(transparent)]
    Loop(Arc<ioloop::Error>),

    /// Any other system call failed, or an [`io::Error`] of the caller's own was passed on with `?`.
    #[error(transparent)]
    Io(Arc<io::Error>),
}

impl Error {
    /// Whether the connection is gone, in whatever way. Servers meet this every day: peers leave.
    pub fn is_closed(&self) -> bool {
        match self {
            Error::Closed { .. } => true,
            Error::Io(error) => is_disconnect(error),
            _ => false,
        }
    }

    /// Whether time ran out: [`Error::TimedOut`], or the system's `ETIMEDOUT`.
    pub fn is_timed_out(&self) -> bool {
        match self {
            Error::TimedOut => true,
            Error::Closed { source: Some(source) } | Error::Connect { source, .. } | Error::Io(source) => {
                source.kind() == io::ErrorKind::TimedOut
            }
            _ => false,
        }
    }

    pub(crate) fn connect(addr: SocketAddr) -> impl Fn(io::Error) -> Error {
        move |source| Error::Connect { addr, source: Arc::new(source) }
    }

    pub(crate) fn bind(addr: SocketAddr) -> impl Fn(io::Error) -> Error {
        move |source| Error::Bind { addr, source: Arc::new(source) }
    }
}

/// Errors by which a peer that went away shows itself; they are no news to anybody.
pub(crate) fn is_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(error.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected | TimedOut | UnexpectedEof)
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(Arc::new(error))
    }
}

impl From<ioloop::Error> for Error {
    fn from(error: ioloop::Error) -> Self {
        if error.is_timed_out() { Error::TimedOut } else { Error::Loop(Arc::new(error)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cross_threads_and_can_be_kept() {
        fn check<T: Clone + Send + Sync + 'static>() {}
        check::<Error>();
    }

    #[test]
    fn a_broken_connection_names_its_cause() {
        let reset = Error::Closed { source: Some(Arc::new(io::ErrorKind::ConnectionReset.into())) };
        assert!(reset.is_closed() && !reset.is_timed_out());
        assert!(std::error::Error::source(&reset).is_some());
        let silent = Error::Closed { source: Some(Arc::new(io::ErrorKind::TimedOut.into())) };
        assert!(silent.is_closed() && silent.is_timed_out());
    }

    #[test]
    fn a_timeout_of_the_loop_stays_a_timeout() {
        let error: Error = ioloop::Error::TimedOut.into();
        assert!(error.is_timed_out() && !error.is_closed());
    }
}
