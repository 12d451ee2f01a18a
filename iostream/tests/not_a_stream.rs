//! What cannot be a stream is refused when the stream is made, with the reason.

mod common;

use std::{
    fs::File,
    io::{self, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::{
            fs::OpenOptionsExt,
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
};

use common::{run, sockets};
use iostream::{Error, IOStream};
use nix::{
    fcntl::OFlag,
    sys::{
        epoll::{Epoll, EpollCreateFlags},
        socket::{AddressFamily, SockFlag, SockType, socket, socketpair},
    },
};

fn reason(result: iostream::Result<IOStream>) -> &'static str {
    match result {
        Err(Error::NotAStream { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn as_tcp(fd: impl Into<OwnedFd>) -> &'static str {
    common::choose_poller();
    reason(IOStream::from_tcp(TcpStream::from(fd.into())))
}

fn as_unix(fd: impl Into<OwnedFd>) -> &'static str {
    common::choose_poller();
    reason(IOStream::from_unix(UnixStream::from(fd.into())))
}

fn as_pipe(fd: impl Into<OwnedFd>) -> &'static str {
    common::choose_poller();
    reason(IOStream::from_pipe(fd))
}

#[test]
fn pipes_and_files_are_no_sockets() {
    let (reader, writer) = io::pipe().unwrap();
    assert_eq!(as_tcp(reader), "it is no socket");
    assert_eq!(as_unix(writer), "it is no socket");
    assert_eq!(as_tcp(File::open("/dev/null").unwrap()), "it is no socket");
}

#[test]
fn what_is_neither_a_pipe_nor_a_terminal_is_no_pipe() {
    assert_eq!(as_pipe(sockets().0), "it is a socket, not a pipe");
    assert_eq!(as_pipe(UnixStream::pair().unwrap().0), "it is a socket, not a pipe");
    assert_eq!(as_pipe(File::open(std::env::current_exe().unwrap()).unwrap()), "it is a regular file");
    assert_eq!(as_pipe(File::open("/").unwrap()), "it is a directory");
    if !module_path!().starts_with("over_poll::") {
        // poll(2) calls it ready at all times, which it is.
        assert_eq!(as_pipe(File::open("/dev/null").unwrap()), "the system cannot wait for it");
    }
    let path_only = File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open("/dev/null").unwrap();
    assert_eq!(as_pipe(path_only), "it was opened as a path only");
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    assert_eq!(as_pipe(epoll.0), "it is neither a pipe nor a terminal");
}

#[test]
fn datagram_and_packet_sockets_are_no_streams() {
    assert_eq!(as_tcp(UdpSocket::bind("127.0.0.1:0").unwrap()), "its type is not SOCK_STREAM");
    assert_eq!(as_unix(UnixDatagram::pair().unwrap().0), "its type is not SOCK_STREAM");
    let (packets, _other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    assert_eq!(as_unix(packets), "its type is not SOCK_STREAM");
}

#[test]
fn sockets_of_the_other_family_are_told_apart() {
    assert_eq!(as_tcp(UnixStream::pair().unwrap().0), "it is not a TCP socket");
    assert_eq!(as_unix(sockets().0), "it is not a Unix socket");
}

#[test]
fn listening_sockets_are_refused() {
    assert_eq!(as_tcp(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()), "it listens for connections");
    let path = std::env::temp_dir().join(format!("waterspout-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(as_unix(listener), "it listens for connections");
}

#[test]
fn unconnected_sockets_are_refused() {
    let fresh = |family| socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    assert_eq!(as_tcp(fresh(AddressFamily::Inet)), "it is not connected");
    assert_eq!(as_unix(fresh(AddressFamily::Unix)), "it is not connected");
}

#[test]
fn the_refusal_says_why_in_a_sentence() {
    let (reader, _writer) = io::pipe().unwrap();
    let error = IOStream::from_tcp(TcpStream::from(OwnedFd::from(reader))).unwrap_err();
    assert_eq!(error.to_string(), "it cannot be a stream of this kind: it is no socket");
}

#[test]
fn a_connection_that_was_reset_before_is_a_broken_one() {
    let (ours, mut peer) = sockets();
    (&ours).write_all(b"never read").unwrap();
    peer.write_all(b"x").unwrap();
    while peer.peek(&mut [0]).unwrap() == 0 {}
    drop(peer);
    let error = IOStream::from_tcp(ours).unwrap_err();
    assert!(error.is_closed(), "{error:?}");
    assert_eq!(error.to_string(), "Connection reset by peer (os error 104)");
}

#[test]
fn what_is_connected_is_taken() {
    let (ours, theirs) = sockets();
    let stream = IOStream::from_tcp(ours).unwrap();
    drop(theirs);
    run(stream.peer_closed());
    let (ours, theirs) = UnixStream::pair().unwrap();
    // Also when the peer has gone already: what it sent is there.
    (&theirs).write_all(b"bye").unwrap();
    drop(theirs);
    assert_eq!(run(IOStream::from_unix(ours).unwrap().read_until_close()).unwrap(), "bye");
}
