//! Whether a descriptor is what its type says. `TcpStream` and `UnixStream` can be made from any.

use std::{
    io,
    net::TcpStream,
    os::{fd::AsFd, unix::net::UnixStream},
};

use nix::errno::Errno;
use socket2::{SockRef, Type};

use crate::{Error, Result, error::errno};

#[inline]
pub(crate) fn tcp(socket: &TcpStream) -> Result<()> {
    is_stream(socket)?;
    // Fails for other families, because std cannot read their addresses.
    socket.local_addr().map_err(|_| not_a_stream("it is not a TCP socket"))?;
    is_connected(socket.peer_addr().map(drop), || socket.take_error())
}

#[inline]
pub(crate) fn unix(socket: &UnixStream) -> Result<()> {
    is_stream(socket)?;
    socket.local_addr().map_err(|_| not_a_stream("it is not a Unix socket"))?;
    is_connected(socket.peer_addr().map(drop), || socket.take_error())
}

fn is_stream(socket: &impl AsFd) -> Result<()> {
    let socket = SockRef::from(socket);
    match socket.r#type() {
        Ok(Type::STREAM) => {}
        Ok(_) => return Err(not_a_stream("its type is not SOCK_STREAM")),
        Err(error) if errno(&error) == Errno::ENOTSOCK => return Err(not_a_stream("it is no socket")),
        Err(error) => return Err(error.into()),
    }
    // It would be readable with every connection, and every `recv` would fail.
    match socket.is_listener() {
        Ok(true) => Err(not_a_stream("it listens for connections")),
        _ => Ok(()),
    }
}

/// Whether connections can be accepted from it. One that never yields any would be reported ready again and again.
pub(crate) fn listener(socket: &impl AsFd) -> Result<()> {
    let socket = SockRef::from(socket);
    let refused = |reason| Err(Error::NotAListener { reason });
    match socket.r#type() {
        Ok(Type::STREAM) => {}
        Ok(_) => return refused("its type is not SOCK_STREAM"),
        Err(error) if errno(&error) == Errno::ENOTSOCK => return refused("it is no socket"),
        Err(error) => return Err(error.into()),
    }
    if socket.is_listener()? { Ok(()) } else { refused("it does not listen") }
}

fn is_connected(peer: io::Result<()>, pending_error: impl Fn() -> io::Result<Option<io::Error>>) -> Result<()> {
    if peer.is_ok() {
        return Ok(());
    }
    // A connection that has been reset has no peer any more, and knows why.
    match pending_error() {
        Ok(Some(error)) => Err(error.into()),
        _ => Err(not_a_stream("it is not connected")),
    }
}

#[inline]
pub(crate) fn not_a_stream(reason: &'static str) -> Error {
    Error::NotAStream { reason }
}
