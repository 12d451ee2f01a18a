//! Unix sockets: connecting to them, and who is at the other end.

use std::{io, path::Path, time::Duration};

use ioloop::{Source, sleep};
use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{
    Error, IOStream, Result,
    error::errno,
    transport::{Transport, Unix},
};

/// How long an attempt waits before the next one, while the server's backlog is full: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

impl IOStream {
    /// Connects to the Unix stream socket at `path`. A path that begins with a NUL byte is an abstract name (unix(7)),
    /// as in `"\0my-service"`.
    ///
    /// A Unix socket connects at once or not at all. When the server's backlog is full, the attempt is made again after 1
    /// to 50 ms, until there is room: put [`ioloop::timeout`] around it to wait for less than for ever.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectUnix`], which names the path: `ENOENT` when there is no such socket, `ECONNREFUSED` when nobody
    /// listens to it any more, `EACCES` when it may not be written, `EPROTOTYPE` when it is not a stream socket,
    /// `InvalidInput` for a path of more than 107 bytes.
    ///
    /// # Cancel safety
    ///
    /// A dropped attempt is given up and its socket closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOLoop, IOStream};
    /// use std::{io::Write, os::unix::net::UnixListener};
    ///
    /// let path = std::env::temp_dir().join(format!("waterspout-doc-{}.sock", std::process::id()));
    /// let listener = UnixListener::bind(&path)?;
    /// let stream = IOLoop::current().run_sync(IOStream::connect_unix(&path))?;
    /// std::fs::remove_file(&path)?;
    /// listener.accept()?.0.write_all(b"welcome\n")?;
    /// assert_eq!(IOLoop::current().run_sync(stream.read_until(b"\n"))?, "welcome\n");
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub async fn connect_unix(path: impl AsRef<Path>) -> Result<IOStream> {
        let path = path.as_ref();
        let mut pause = RETRY.0;
        loop {
            match connect(path) {
                Ok(socket) => {
                    return Ok(IOStream::from_transport(Transport::Unix(Unix::new(Source::new(socket.into())?)), true));
                }
                // The backlog is full. Nothing tells when there is room.
                Err(error) if errno(&error) == Errno::EAGAIN => sleep(pause).await,
                Err(error) => return Err(Error::connect_unix(path)(error)),
            }
            pause = (2 * pause).min(RETRY.1);
        }
    }
}

#[inline]
fn connect(path: &Path) -> io::Result<Socket> {
    let addr = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.connect(&addr)?;
    Ok(socket)
}

/// The process at the other end of a Unix socket, as the kernel knows it (`SO_PEERCRED`). See [`IOStream::peer_cred`].
#[cfg(feature = "peer-cred")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCred {
    /// Its process id. 0 when it is in a PID namespace that this process cannot see. A number that may by now belong to
    /// another process: good for a log line, not for a decision.
    pub pid: i32,
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
}

#[cfg(feature = "peer-cred")]
impl IOStream {
    /// Who has connected, or who listens: the process that called `connect`, `listen` or `socketpair` for the other end, as
    /// it was then. The kernel answers for it, so a local server can tell its users apart without a password.
    ///
    /// Needs the feature `peer-cred`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed, [`Error::Io`] (`Unsupported`) when it is not a Unix socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::IOStream;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let peer = IOStream::from_unix(ours)?.peer_cred()?;
    /// assert_eq!(peer.pid as u32, std::process::id());
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub fn peer_cred(&self) -> Result<PeerCred> {
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

        if self.is_closed() {
            return Err(self.inner.closed_error());
        }
        let transport = self.inner.transport.borrow();
        let Transport::Unix(socket) = transport.carrier() else {
            let reason = "only a Unix socket knows the process at its other end";
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason).into());
        };
        let cred = getsockopt(socket.get_ref(), PeerCredentials).map_err(io::Error::from)?;
        Ok(PeerCred { pid: cred.pid(), uid: cred.uid(), gid: cred.gid() })
    }
}
