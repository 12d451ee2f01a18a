use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, TcpStream},
    task::{Context, Poll},
};

use ioloop::{IOLoop, Ready, Source};

/// What carries the bytes. Everything above speaks to this enum alone; a new kind of stream is a new variant here.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(Source<TcpStream>),
    /// What is left when the descriptor has been given back.
    Closed,
}

/// The bits that say that the peer ended something: its writing half, or everything.
pub(crate) const PEER_CLOSED: Ready = Ready::READ_CLOSED.union(Ready::HANGUP).union(Ready::ERROR);

/// The bits that say that nothing can be sent any more.
pub(crate) const BROKEN: Ready = Ready::HANGUP.union(Ready::ERROR);

impl Transport {
    /// Notes that `recv` gave less than was asked for. The kernel then has no more for now, so that a second call only to
    /// hear `EAGAIN` is saved. True for TCP, unless the last event told of something in the input that a `recv` stops at:
    /// the urgent mark has data behind it, and an end of input is seen only by reading on, since data and FIN may come in
    /// one edge.
    pub(crate) fn note_short_read(&self) {
        match self {
            Transport::Tcp(source) => source.clear_unless(Ready::READABLE, PEER_CLOSED | Ready::PRIORITY),
            Transport::Closed => {}
        }
    }

    pub(crate) fn ioloop(&self) -> Option<&IOLoop> {
        match self {
            Transport::Tcp(source) => Some(source.ioloop()),
            Transport::Closed => None,
        }
    }

    /// The cached readiness.
    pub(crate) fn ready(&self) -> Ready {
        match self {
            Transport::Tcp(source) => source.ready(),
            Transport::Closed => Ready::empty(),
        }
    }

    pub(crate) fn clear(&self, what: Ready) {
        match self {
            Transport::Tcp(source) => source.clear(what),
            Transport::Closed => {}
        }
    }

    /// Ready when one of `wait_for` is cached, and when closed: the next call then says so.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, wait_for: Ready) -> Poll<Ready> {
        match self {
            Transport::Tcp(source) => source.poll_ready(cx, wait_for),
            Transport::Closed => Poll::Ready(Ready::empty()),
        }
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(source) => source.get_ref().read(buf),
            Transport::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn send(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(source) => source.get_ref().write(data),
            Transport::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Tcp(source) => source.get_ref().write_vectored(pieces),
            Transport::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Transport::Tcp(source) => source.get_ref().shutdown(Shutdown::Write),
            Transport::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The socket, for options and addresses.
    pub(crate) fn tcp(&self) -> io::Result<&TcpStream> {
        match self {
            Transport::Tcp(source) => Ok(source.get_ref()),
            Transport::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Gives the descriptor back and wakes all who wait for its readiness. `sole` says that the descriptor has no
    /// duplicate: closing it deregisters it.
    pub(crate) fn close(self, sole: bool) {
        match self {
            Transport::Tcp(source) if sole => source.close(),
            Transport::Tcp(source) => drop(source),
            Transport::Closed => {}
        }
    }
}
