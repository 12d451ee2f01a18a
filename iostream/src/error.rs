use std::{
    fmt, io,
    net::SocketAddr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
};

use ioloop::Printable;
use nix::errno::Errno;

use crate::HostFailure;

/// The result of this crate's fallible operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with streams and servers.
///
/// Cloneable, because one broken connection fails several operations at once: the cause is shared, not copied.
///
/// The text of an error names its cause, as in "the stream is closed: connection reset by peer". So
/// [`source`](std::error::Error::source) does not return that cause once more, and a reporter that prints the chain of
/// sources prints it once. To look at it, match the variant's `cause`.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream is closed, or its input has ended and what is buffered cannot satisfy the read.
    ///
    /// Without a cause it was closed in an orderly way: by [`IOStream::close`](crate::IOStream::close) or by the peer's
    /// FIN. With a cause the connection broke: a reset (`ECONNRESET`, `EPIPE`), a network that stopped answering
    /// (`ETIMEDOUT`), a peer that took nothing for too long
    /// ([`IOStream::set_write_timeout`](crate::IOStream::set_write_timeout)).
    #[error("the stream is closed{}", Because(cause.as_deref()))]
    Closed {
        /// What broke the connection, if it was broken.
        cause: Option<Arc<io::Error>>,
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

    /// The file of a [`send_file`](crate::IOStream::send_file) was cut short or could not be read while it was sent. The
    /// stream has been closed, because its peer waits for bytes that do not exist; this is the error of its writes.
    #[error("the stream is closed: the file that was sent could not be read{}", Because(Some(cause)))]
    SendFile {
        /// What the system said, or `UnexpectedEof` when the file has been cut short.
        cause: Arc<io::Error>,
    },

    /// Another read of this stream is under way: two readers would tear each other's messages apart.
    #[error("the stream is already being read")]
    AlreadyReading,

    /// No connection to this address could be made; usually `ECONNREFUSED` (no server listens there) or `ETIMEDOUT`.
    #[error("connecting to {addr}{}", Because(Some(cause)))]
    Connect {
        /// The address that was tried.
        addr: SocketAddr,
        /// What the system said.
        cause: Arc<io::Error>,
    },

    /// No connection to this Unix socket could be made; usually `ENOENT` or `ECONNREFUSED` (no server listens there).
    #[error("connecting to {}{}", UnixName(path), Because(Some(cause)))]
    ConnectUnix {
        /// The path that was tried. An abstract name begins with a NUL byte.
        path: PathBuf,
        /// What the system said.
        cause: Arc<io::Error>,
    },

    /// No connection to a host could be made by any of its addresses; see [`TcpClient`](crate::TcpClient).
    #[error("{0}")]
    ConnectHost(Arc<HostFailure>),

    /// No listening socket could be bound to this address; usually `EADDRINUSE` or, for ports below 1024, `EACCES`.
    #[error("listening on {addr}{}", Because(Some(cause)))]
    Bind {
        /// The address that was tried.
        addr: SocketAddr,
        /// What the system said.
        cause: Arc<io::Error>,
    },

    /// No listening Unix socket could be bound to this path; usually `EADDRINUSE` (a server listens there), `EACCES`, or a
    /// file that is not a socket in its place.
    #[error("listening on {}{}", UnixName(path), Because(Some(cause)))]
    BindUnix {
        /// The path; of an abstract name, a NUL and the name.
        path: PathBuf,
        /// What the system said.
        cause: Arc<io::Error>,
    },

    /// This name stands for no address: there is none, or the name servers could not be asked.
    #[error("resolving {}{}", Printable::text(host), Because(Some(cause)))]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        cause: Arc<io::Error>,
    },

    /// A proxy did not begin its connection with a valid header of the [PROXY protocol](crate::proxy_protocol): it is not set
    /// up to send one, or is no proxy.
    #[error("not a header of the PROXY protocol: {reason}")]
    ProxyHeader {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A thread of a server on several [`threads`](crate::threads) has panicked outside of any task.
    #[error("thread {thread} has panicked: {}", Printable::text(message))]
    ThreadPanicked {
        /// Its name.
        thread: String,
        /// The panic's message.
        message: String,
    },

    /// What was to be accepted from cannot be: a pipe, a datagram socket, a socket that does not listen.
    #[error("not a listening stream socket: {reason}")]
    NotAListener {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// What was to become a stream cannot be one, or not of this kind: a pipe given as a socket, a datagram socket, a socket
    /// that listens or is not connected, a file given as a pipe.
    #[error("it cannot be a stream of this kind: {reason}")]
    NotAStream {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A child process has ended with a code other than 0, or by a signal.
    #[error("the process has failed: {status}")]
    Exit {
        /// How it has ended.
        status: ExitStatus,
    },

    /// TLS was to begin on a stream that is in the middle of something else. Nothing has changed.
    #[error("TLS cannot begin: {reason}")]
    NotIdle {
        /// What it is in the middle of.
        reason: &'static str,
    },

    /// A TLS handshake has failed, because one side rejects the other or the peer speaks no TLS; or what was to configure
    /// TLS is of no use, such as a file without a certificate.
    ///
    /// Once the handshake is over, a session that fails is [`Error::Closed`] as any connection that breaks.
    #[error("TLS: {cause}")]
    Tls {
        /// What went wrong. The error of rustls, where there is one, is [inside](io::Error::get_ref) or its source.
        cause: Arc<io::Error>,
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
    /// Whether the connection is gone, in whatever way. That is an everyday event for a server: peers leave.
    pub fn is_closed(&self) -> bool {
        match self {
            Error::Closed { .. } | Error::SendFile { .. } => true,
            Error::Io(error) => is_disconnect(error),
            _ => false,
        }
    }

    /// Whether time ran out: [`Error::TimedOut`], or the system's `ETIMEDOUT`.
    pub fn is_timed_out(&self) -> bool {
        match self {
            Error::TimedOut => true,
            Error::Closed { cause: Some(cause) } | Error::Connect { cause, .. } | Error::Io(cause) => {
                kind(cause) == io::ErrorKind::TimedOut
            }
            Error::ConnectHost(failure) => failure.limit.is_some() || failure.attempts.iter().any(Error::is_timed_out),
            _ => false,
        }
    }

    pub(crate) fn connect(addr: SocketAddr) -> impl Fn(io::Error) -> Error {
        move |cause| Error::Connect { addr, cause: Arc::new(cause) }
    }

    pub(crate) fn connect_unix(path: &Path) -> impl Fn(io::Error) -> Error {
        move |cause| Error::ConnectUnix { path: path.to_owned(), cause: Arc::new(cause) }
    }

    pub(crate) fn bind_unix(path: &Path) -> impl Fn(io::Error) -> Error {
        move |cause| Error::BindUnix { path: path.to_owned(), cause: Arc::new(cause) }
    }

    pub(crate) fn resolve(host: &str) -> impl Fn(io::Error) -> Error {
        move |cause| Error::Resolve { host: host.to_owned(), cause: Arc::new(cause) }
    }

    /// An error of rustls, or of a file.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(cause: impl Into<TlsCause>) -> Error {
        Error::Tls { cause: Arc::new(cause.into().0) }
    }

    pub(crate) fn bind(addr: SocketAddr) -> impl Fn(io::Error) -> Error {
        move |cause| Error::Bind { addr, cause: Arc::new(cause) }
    }
}

/// What [`Error::tls`] takes.
#[cfg(feature = "tls")]
pub(crate) struct TlsCause(io::Error);

#[cfg(feature = "tls")]
impl From<io::Error> for TlsCause {
    fn from(error: io::Error) -> TlsCause {
        TlsCause(error)
    }
}

#[cfg(feature = "tls")]
impl From<rustls::Error> for TlsCause {
    fn from(error: rustls::Error) -> TlsCause {
        TlsCause(io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// ": " and the text of a cause, or nothing.
struct Because<'a>(Option<&'a io::Error>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cause) = self.0 else { return Ok(()) };
        match cause.raw_os_error().map(Errno::from_raw) {
            // Without the number that `io::Error` appends, and in the middle of a sentence.
            Some(errno) if errno != Errno::UnknownErrno => {
                let text = errno.desc();
                let is_word = text.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase);
                let (first, rest) = text.split_at(usize::from(is_word));
                write!(f, ": {}{rest}", first.to_ascii_lowercase())
            }
            _ => write!(f, ": {cause}"),
        }
    }
}

/// A path, or an abstract name as ss(8) shows it.
struct UnixName<'a>(&'a Path);

impl fmt::Display for UnixName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_os_str().as_bytes().strip_prefix(b"\0") {
            Some(name) => write!(f, "@{}", Printable::bytes(name)),
            None => write!(f, "{}", Printable::bytes(self.0.as_os_str().as_bytes())),
        }
    }
}

/// Of a stream whose loop is closed. As of a peer that has gone, which the log does not call unexpected.
pub(crate) fn loop_is_closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "its loop is closed")
}

/// Errors by which a peer that went away shows itself; not worth a line in the log.
pub(crate) fn is_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(kind(error), ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected | TimedOut | UnexpectedEof)
}

/// Errors for which the peer alone is to blame: it has left, or sent what no TLS session understands.
pub(crate) fn is_peers_doing(error: &io::Error) -> bool {
    is_disconnect(error) || kind(error) == io::ErrorKind::InvalidData
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(Arc::new(error))
    }
}

/// For code that speaks [`io::Error`] alone. The system's errors keep their numbers; of the rest the kind tells what a
/// program can decide by, and the error itself is [inside](io::Error::get_ref).
impl From<Error> for io::Error {
    #[inline]
    fn from(error: Error) -> io::Error {
        use io::ErrorKind::*;
        let kind = match &error {
            Error::Closed { cause: Some(cause) } | Error::Io(cause) => match cause.raw_os_error() {
                Some(errno) => return io::Error::from_raw_os_error(errno),
                None => kind(cause),
            },
            Error::Connect { cause, .. }
            | Error::ConnectUnix { cause, .. }
            | Error::Bind { cause, .. }
            | Error::BindUnix { cause, .. }
            | Error::Resolve { cause, .. }
            | Error::Tls { cause } => kind(cause),
            Error::Closed { cause: None } => NotConnected,
            Error::Unsatisfiable { .. } | Error::BufferFull { .. } | Error::ProxyHeader { .. } => InvalidData,
            Error::WriteBufferFull { .. } => StorageFull,
            Error::AlreadyReading => ResourceBusy,
            Error::NotAStream { .. } | Error::NotAListener { .. } | Error::NotIdle { .. } => InvalidInput,
            Error::ConnectHost(failure) => match &failure.attempts[..] {
                _ if failure.limit.is_some() => TimedOut,
                [.., Error::Connect { cause, .. }] => kind(cause),
                _ => Other,
            },
            Error::TimedOut => TimedOut,
            Error::SendFile { .. } | Error::Exit { .. } | Error::Loop(_) | Error::ThreadPanicked { .. } => Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<ioloop::Error> for Error {
    fn from(error: ioloop::Error) -> Self {
        if error.is_timed_out() { Error::TimedOut } else { Error::Loop(Arc::new(error)) }
    }
}

/// The kind of an error. The standard library's own is long, and would be in every place that asks.
#[inline(never)]
pub(crate) fn kind(error: &io::Error) -> io::ErrorKind {
    error.kind()
}

/// The code of the system's error; that of an error which is none of the system's has no name.
pub(crate) fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
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
    fn a_broken_connection_names_its_cause_once() {
        let closed = |errno: Errno| Error::Closed { cause: Some(Arc::new(errno.into())) };
        let reset = closed(Errno::ECONNRESET);
        assert!(reset.is_closed() && !reset.is_timed_out());
        assert_eq!(reset.to_string(), "the stream is closed: connection reset by peer");
        assert!(std::error::Error::source(&reset).is_none(), "a reporter would print it again");
        assert!(closed(Errno::ETIMEDOUT).is_timed_out());
        assert_eq!(closed(Errno::EIO).to_string(), "the stream is closed: I/O error");
        assert_eq!(Error::Closed { cause: None }.to_string(), "the stream is closed");
    }

    #[test]
    fn an_address_comes_with_what_the_system_said() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 80));
        let refused = Error::connect(addr)(Errno::ECONNREFUSED.into());
        assert_eq!(refused.to_string(), "connecting to 127.0.0.1:80: connection refused");
        let taken = Error::bind(addr)(Errno::EADDRINUSE.into());
        assert_eq!(taken.to_string(), "listening on 127.0.0.1:80: address already in use");
    }

    #[test]
    fn an_io_error_keeps_the_number_or_the_kind_and_the_reason() {
        let reset = io::Error::from(Error::Closed { cause: Some(Arc::new(Errno::ECONNRESET.into())) });
        assert_eq!(reset.raw_os_error(), Some(Errno::ECONNRESET as i32));
        let late = io::Error::new(io::ErrorKind::TimedOut, "nothing taken for 30s");
        let late = io::Error::from(Error::Closed { cause: Some(Arc::new(late)) });
        assert_eq!((late.kind(), late.to_string().contains("30s")), (io::ErrorKind::TimedOut, true));
        let closed = io::Error::from(Error::Closed { cause: None });
        assert!(is_disconnect(&closed) && closed.get_ref().is_some_and(|inner| inner.is::<Error>()));
    }

    #[test]
    fn a_timeout_of_the_loop_stays_a_timeout() {
        let error: Error = ioloop::Error::TimedOut.into();
        assert!(error.is_timed_out() && !error.is_closed());
    }
}
