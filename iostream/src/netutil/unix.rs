use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    path::Path,
};

use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{Error, Result, error::errno};

/// How [`bind_unix_socket`] binds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnixBindOptions {
    /// The permissions of the socket's file; `0o600` by default. To connect takes the permission to write. Directories that
    /// a client cannot enter keep it out as well. An abstract name has no permissions: everyone in the network namespace can
    /// connect to it.
    pub mode: u32,
    /// How many connections may wait to be accepted; 4096 by default. The system caps it at
    /// `/proc/sys/net/core/somaxconn`.
    pub backlog: u32,
    /// Whether a socket is replaced on which another process listens; off by default. For a restart in which the new
    /// process takes over the name while the old one serves the connections that it has.
    pub take_over: bool,
}

impl UnixBindOptions {
    /// The defaults.
    pub fn new() -> Self {
        UnixBindOptions { mode: 0o600, backlog: 4096, take_over: false }
    }

    /// Sets [`mode`](UnixBindOptions::mode).
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets [`backlog`](UnixBindOptions::backlog).
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets [`take_over`](UnixBindOptions::take_over).
    #[must_use]
    pub fn take_over(mut self, take_over: bool) -> Self {
        self.take_over = take_over;
        self
    }
}

impl Default for UnixBindOptions {
    fn default() -> Self {
        UnixBindOptions::new()
    }
}

/// A listening, non-blocking Unix socket at `path`. A path that begins with a NUL is a name in the abstract namespace,
/// which has no file.
///
/// The file stays when the listener goes. So a socket that is found at `path` is replaced when nobody listens on it, which
/// is found out by connecting. Tornado replaces any; here that takes [`UnixBindOptions::take_over`], because a program
/// started twice by mistake would cut off the first.
///
/// # Errors
///
/// [`Error::BindUnix`]: `AddrInUse` when another process listens there, `AlreadyExists` when a file of another kind is in
/// the way, `InvalidInput` when the path is longer than 107 bytes, and whatever else the system says.
///
/// # Examples
///
/// ```
/// use iostream::netutil::{UnixBindOptions, bind_unix_socket};
///
/// let path = std::env::temp_dir().join(format!("example-{}.sock", std::process::id()));
/// let listener = bind_unix_socket(&path, &UnixBindOptions::new().mode(0o660))?;
/// assert!(bind_unix_socket(&path, &UnixBindOptions::new()).is_err(), "somebody listens there");
/// drop(listener);
/// bind_unix_socket(&path, &UnixBindOptions::new())?;
/// # std::fs::remove_file(path)?;
/// # Ok::<_, iostream::Error>(())
/// ```
pub fn bind_unix_socket(path: impl AsRef<Path>, options: &UnixBindOptions) -> Result<UnixListener> {
    let path = path.as_ref();
    bind(path, options).map_err(Error::bind_unix(path))
}

#[inline]
fn bind(path: &Path, options: &UnixBindOptions) -> io::Result<UnixListener> {
    let addr = SockAddr::unix(path)?;
    let socket = new_socket()?;
    // listen(2) caps the number at somaxconn.
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    if is_abstract(path) {
        socket.bind(&addr)?;
        socket.listen(backlog)?;
        return Ok(socket.into());
    }
    make_room(path, &addr, options.take_over)?;
    socket.bind(&addr)?;
    // The permissions first: until it listens, nobody can connect.
    let listening =
        fs::set_permissions(path, Permissions::from_mode(options.mode)).and_then(|()| socket.listen(backlog));
    if let Err(error) = listening {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(socket.into())
}

#[inline]
fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(b"\0")
}

#[inline]
fn new_socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)
}

/// Removes a socket that is in the way.
#[inline]
fn make_room(path: &Path, addr: &SockAddr, take_over: bool) -> io::Result<()> {
    let file_type = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !file_type.is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is not a socket"));
    }
    if !take_over {
        must_be_stale(addr)?;
    }
    match fs::remove_file(path) {
        // Another process has had the same thought.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Connects, which says whether somebody listens. A server that does sees a connection that ends at once.
#[inline]
fn must_be_stale(addr: &SockAddr) -> io::Result<()> {
    match new_socket()?.connect(addr) {
        Err(error) => match errno(&error) {
            Errno::ECONNREFUSED | Errno::ENOENT => Ok(()),
            // The backlog is full, or it is a socket of datagrams.
            Errno::EAGAIN | Errno::EPROTOTYPE => Err(Errno::EADDRINUSE.into()),
            _ => Err(error),
        },
        Ok(()) => Err(Errno::EADDRINUSE.into()),
    }
}
