use std::{
    io,
    net::{Shutdown, TcpStream},
};

use ioloop::{Ready, Source};

use super::socket::{PEER_CLOSED, Socket, StreamSocket};

/// A connected TCP socket.
pub(crate) type Tcp = Socket<TcpStream>;

impl StreamSocket for TcpStream {
    fn shutdown(&self) -> io::Result<()> {
        TcpStream::shutdown(self, Shutdown::Write)
    }

    /// The kernel has no more for now, so that a second call only to hear `EAGAIN` is saved. Not when the last event told
    /// of something that a `recv` stops at: the urgent mark has data behind it, and an end of input is seen only by
    /// reading on, since data and FIN may come in one edge.
    #[inline]
    fn note_short_read(source: &Source<TcpStream>) {
        source.clear_unless(Ready::READABLE, PEER_CLOSED | Ready::PRIORITY);
    }
}
