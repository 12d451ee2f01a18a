//! Streams over pipes, FIFOs and terminals.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileTypeExt},
};

use ioloop::Source;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
};
use socket2::SockRef;

use crate::{
    Error, IOStream, Result,
    check::not_a_stream,
    error::errno,
    transport::{Access, Pipe, Transport},
};

impl IOStream {
    /// A stream over an end of a pipe, a FIFO or a terminal, on the current loop: a
    /// [`PipeReader`](std::io::PipeReader) or [`PipeWriter`](std::io::PipeWriter), a pipe of a
    /// [`Child`](std::process::Child), a `File` of a FIFO or of `/dev/tty`, either side of a pseudo-terminal. In which
    /// directions bytes go is asked of the descriptor.
    ///
    /// Makes the descriptor non-blocking. That is a property of what was opened, not of the descriptor: all duplicates
    /// of it become non-blocking too, those in other processes included. For the process's own standard streams see
    /// [`stdin`](IOStream::stdin).
    ///
    /// * Reading a writing end, and writing to a reading end, is an error that leaves the stream as it is.
    /// * A pipe ends when its last writer closes. The close of the last reader is noticed without a write:
    ///   [`closed`](IOStream::closed) and the close callback report it, and writes fail with `EPIPE`.
    /// * [`shutdown_write`](IOStream::shutdown_write) closes a writing end. A terminal cannot end one direction
    ///   alone: there it is an error.
    /// * A terminal whose other side is gone (`EIO`) is at the end of its input; writes fail with `EPIPE`. What is typed
    ///   comes as the terminal is set: line by line, unless it is in raw mode.
    /// * The reader of a FIFO that nobody has opened for writing yet waits for the first writer. When the last one has
    ///   left, its input has ended.
    ///
    /// Needs the feature `pipe`.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`](crate::Error::NotAStream) for a socket, a regular file, a directory, and whatever else is
    /// neither a pipe nor a terminal, such as `/dev/null`. [`Error::Loop`](crate::Error::Loop) when the system is out of
    /// epoll watches.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOLoop, IOStream};
    ///
    /// let (reader, writer) = std::io::pipe()?;
    /// let (reader, writer) = (IOStream::from_pipe(reader)?, IOStream::from_pipe(writer)?);
    /// let line = IOLoop::current().run_sync(async {
    ///     writer.write("through a pipe\n").await?;
    ///     reader.read_until(b"\n").await
    /// })?;
    /// assert_eq!(line, "through a pipe\n");
    /// assert!(IOLoop::current().run_sync(writer.read_some(1)).is_err());
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub fn from_pipe(fd: impl Into<OwnedFd>) -> Result<IOStream> {
        let file = File::from(fd.into());
        let access = check(&file)?;
        // fcntl(2) underneath, for whatever descriptor.
        SockRef::from(&file).set_nonblocking(true)?;
        pipe(file, access)
    }
}

/// A stream over a descriptor that is non-blocking already.
#[inline]
pub(crate) fn pipe(file: File, access: Access) -> Result<IOStream> {
    let source = Source::new(file).map_err(unwatchable)?;
    Ok(IOStream::from_transport(Transport::Other(Box::new(Pipe::new(source, access))), false))
}

/// Pipes, FIFOs and terminals, and in which directions their bytes go.
#[inline]
fn check(file: &File) -> Result<Access> {
    let kind = file.metadata()?.file_type();
    if kind.is_fifo() || kind.is_char_device() {
        return access(file);
    }
    Err(not_a_stream(match () {
        () if kind.is_socket() => "it is a socket, not a pipe",
        () if kind.is_file() => "it is a regular file",
        () if kind.is_dir() => "it is a directory",
        () => "it is neither a pipe nor a terminal",
    }))
}

#[inline]
pub(crate) fn access(file: &File) -> Result<Access> {
    let flags = fcntl(file, FcntlArg::F_GETFL).map_err(io::Error::from)?;
    let flags = OFlag::from_bits_retain(flags);
    if flags.contains(OFlag::O_PATH) {
        return Err(not_a_stream("it was opened as a path only"));
    }
    Ok(match flags & OFlag::O_ACCMODE {
        OFlag::O_RDONLY => Access::Read,
        OFlag::O_WRONLY => Access::Write,
        _ => Access::Both,
    })
}

/// The loop's error for a descriptor of a kind that the system cannot watch.
#[inline]
fn unwatchable(error: ioloop::Error) -> Error {
    match &error {
        ioloop::Error::Io { source, .. } if errno(source) == Errno::EPERM => {
            not_a_stream("the system cannot wait for it")
        }
        _ => error.into(),
    }
}
