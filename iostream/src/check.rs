//! Whether a descriptor is what its type says. `TcpStream` and `UnixStream` can be made from any.

use std::{
    fs::File,
    io,
    net::TcpStream,
    os::{
        fd::AsFd,
        unix::{fs::FileTypeExt, net::UnixStream},
    },
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
};
use socket2::{SockRef, Type};

use crate::{Error, Result, error::errno, transport::Access};

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

/// Pipes, FIFOs and terminals, and in which directions their bytes go.
#[inline]
pub(crate) fn pipe(file: &File) -> Result<Access> {
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
pub(crate) fn unwatchable(error: ioloop::Error) -> Error {
    match &error {
        ioloop::Error::Io { source, .. } if errno(source) == Errno::EPERM => {
            not_a_stream("the system cannot wait for it")
        }
        _ => error.into(),
    }
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
