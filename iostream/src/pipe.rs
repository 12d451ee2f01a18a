//! Streams over pipes, FIFOs and terminals.

use std::{fs::File, os::fd::OwnedFd};

use ioloop::Source;
use socket2::SockRef;

use crate::{
    IOStream, Result, check,
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
        let access = check::pipe(&file)?;
        // fcntl(2) underneath, for whatever descriptor.
        SockRef::from(&file).set_nonblocking(true)?;
        pipe(file, access)
    }
}

/// A stream over a descriptor that is non-blocking already.
#[inline]
pub(crate) fn pipe(file: File, access: Access) -> Result<IOStream> {
    let source = Source::new(file).map_err(check::unwatchable)?;
    Ok(IOStream::from_transport(Transport::Other(Box::new(Pipe::new(source, access))), false))
}
