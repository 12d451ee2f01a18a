use std::{io, net::Shutdown, os::unix::net::UnixStream};

use ioloop::Source;

use super::socket::{Socket, StreamSocket};

/// A connected Unix stream socket.
pub(crate) type Unix = Socket<UnixStream>;

impl StreamSocket for UnixStream {
    fn shutdown(&self) -> io::Result<()> {
        UnixStream::shutdown(self, Shutdown::Write)
    }

    /// Says nothing: a `recv` stops at each passed descriptor and at each change of credentials (unix(7)), with more
    /// behind it. Only `EAGAIN` says that there is no more.
    #[inline]
    fn note_short_read(_source: &Source<UnixStream>) {}
}
