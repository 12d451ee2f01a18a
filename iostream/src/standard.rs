//! The process's own standard streams.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, IsTerminal, Read, Write},
    net::TcpStream,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
            net::UnixStream,
        },
    },
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use nix::fcntl::OFlag;
use socket2::{Domain, SockRef};

use crate::{
    CustomTransport, Error, IOStream, Result,
    check::not_a_stream,
    pipe::{access, pipe},
    transport::Access,
};

/// The device number of `/dev/ptmx`. Opening it again makes another terminal.
const PTMX: u64 = (5 << 8) | 2;

impl IOStream {
    /// The process's standard input, to be read: a pipe, a terminal, a file, a socket, or whatever else it is.
    ///
    /// Being non-blocking is a property of what was opened, and the standard streams are open in other processes too: the
    /// shell, the other programs of a pipeline. A program that makes them non-blocking breaks its neighbours, and itself
    /// where it uses `println!`. So pipes and terminals are opened anew (`/proc/self/fd/0`), and the stream has them for
    /// itself. What remains:
    ///
    /// * **A socket** cannot be opened anew, nor can a terminal that belongs to another user (after `su`), or anything
    ///   without `/proc`. It is made non-blocking, and blocking again when the last such stream of the process has closed.
    ///   In between its other users see `EAGAIN`; a process that ends by `exit` or a signal leaves it non-blocking.
    /// * **A regular file**, and a device like `/dev/null`, is always ready, and the system cannot watch it. It is read
    ///   and written directly. A slow disk holds up the loop for as long.
    /// * Closing the stream leaves descriptor 0, 1 or 2 itself open. So the other end of a pipe notices the end when the
    ///   process ends.
    /// * What [`std::io::stdin`] has buffered already is not seen, and what [`std::io::stdout`] still holds comes later.
    ///   Use the one or the other. Each call makes a stream of its own.
    ///
    /// Needs the feature `pipe`.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`] when it is not open for reading, or is a directory or a datagram socket. [`Error::Loop`] when
    /// the system is out of epoll watches.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use iostream::{IOLoop, IOStream};
    ///
    /// let (stdin, stdout) = (IOStream::stdin()?, IOStream::stdout()?);
    /// IOLoop::current().run_sync(async {
    ///     while let Ok(line) = stdin.read_until(b"\n").await {
    ///         stdout.write(line.to_ascii_uppercase()).await?;
    ///     }
    ///     Ok::<_, iostream::Error>(())
    /// })?;
    /// # Ok::<_, iostream::Error>(())
    /// ```
    #[inline]
    pub fn stdin() -> Result<IOStream> {
        standard(io::stdin().as_fd(), Access::Read)
    }

    /// The process's standard output, to be written. As [`stdin`](IOStream::stdin).
    ///
    /// # Errors
    ///
    /// As [`stdin`](IOStream::stdin), when it is not open for writing.
    #[inline]
    pub fn stdout() -> Result<IOStream> {
        standard(io::stdout().as_fd(), Access::Write)
    }

    /// The process's standard error, to be written. As [`stdin`](IOStream::stdin).
    ///
    /// # Errors
    ///
    /// As [`stdin`](IOStream::stdin), when it is not open for writing.
    #[inline]
    pub fn stderr() -> Result<IOStream> {
        standard(io::stderr().as_fd(), Access::Write)
    }
}

#[inline]
fn standard(fd: BorrowedFd<'_>, wanted: Access) -> Result<IOStream> {
    let file = File::from(fd.try_clone_to_owned()?);
    match (access(&file)?, wanted) {
        (Access::Write, Access::Read) => return Err(not_a_stream("it is not open for reading")),
        (Access::Read, Access::Write) => return Err(not_a_stream("it is not open for writing")),
        _ => {}
    }
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    if kind.is_socket() {
        return shared(file, socket);
    }
    if kind.is_dir() {
        return Err(not_a_stream("it is a directory"));
    }
    if (kind.is_fifo() || file.is_terminal() && metadata.rdev() != PTMX)
        && let Ok(own) = reopen(fd, wanted)
    {
        return pipe(own, wanted);
    }
    if !kind.is_fifo() && !kind.is_char_device() {
        return Ok(IOStream::from_custom(Direct(file)));
    }
    match shared(file.try_clone()?, |file| pipe(file, wanted)) {
        Err(Error::NotAStream { .. }) => Ok(IOStream::from_custom(Direct(file))),
        result => result,
    }
}

/// Opens what is open as `fd` once more, for us alone and non-blocking.
#[inline]
fn reopen(fd: BorrowedFd<'_>, wanted: Access) -> io::Result<File> {
    // A program that leads its session must not get a controlling terminal by this.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    options.read(wanted == Access::Read).write(wanted == Access::Write).custom_flags(flags.bits());
    options.open(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

#[inline]
fn socket(file: File) -> Result<IOStream> {
    let fd = OwnedFd::from(file);
    match SockRef::from(&fd).domain()? {
        Domain::UNIX => IOStream::from_unix(UnixStream::from(fd)),
        _ => IOStream::from_tcp(TcpStream::from(fd)),
    }
}

/// What is non-blocking for as long as one of our streams needs it.
static SHARED: Mutex<Shared> = Mutex::new(Shared { streams: 0, blocking: Vec::new() });

struct Shared {
    streams: usize,
    /// What has to be made blocking again. One terminal may be all three of the standard streams.
    blocking: Vec<OwnedFd>,
}

/// A stream over what others use too.
fn shared(file: File, open: impl FnOnce(File) -> Result<IOStream>) -> Result<IOStream> {
    let sharing = Sharing::begin(&file)?;
    let stream = open(file)?;
    stream.attach(sharing);
    Ok(stream)
}

struct Sharing;

impl Sharing {
    #[inline]
    fn begin(file: &File) -> io::Result<Sharing> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = SockRef::from(file);
        if !socket.nonblocking()? {
            let duplicate = file.as_fd().try_clone_to_owned()?;
            socket.set_nonblocking(true)?;
            shared.blocking.push(duplicate);
        }
        shared.streams += 1;
        Ok(Sharing)
    }
}

impl Drop for Sharing {
    #[inline]
    fn drop(&mut self) {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.streams -= 1;
        if shared.streams == 0 {
            for fd in shared.blocking.drain(..) {
                // There is nobody to tell.
                let _ = SockRef::from(&fd).set_nonblocking(false);
            }
        }
    }
}

/// What never has to be waited for.
struct Direct(File);

impl CustomTransport for Direct {
    #[inline]
    fn poll_recv(&self, _cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready((&self.0).read(buf))
    }

    #[inline]
    fn poll_send(&self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready((&self.0).write(data))
    }

    #[inline]
    fn poll_send_vectored(&self, _cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Ready((&self.0).write_vectored(pieces))
    }

    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}
