//! Unix sockets.

mod common;

use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    os::{
        fd::AsRawFd,
        linux::net::SocketAddrExt,
        unix::{
            fs::MetadataExt,
            net::{SocketAddr, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use common::{run, turns};
use iostream::{Error, IOLoop, IOStream, spawn};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use socket2::SockRef;

fn pair() -> (IOStream, UnixStream) {
    common::choose_poller();
    let (ours, theirs) = UnixStream::pair().unwrap();
    (IOStream::from_unix(ours).unwrap(), theirs)
}

#[test]
fn a_passed_descriptor_in_mid_line_does_not_stop_the_read() {
    let (stream, mut peer) = pair();
    let descriptors = [peer.as_raw_fd()];
    let message = [IoSlice::new(b"half a ")];
    let control = [ControlMessage::ScmRights(&descriptors)];
    // The kernel gives what comes before the descriptor, then what comes with it, then the rest: short each time.
    sendmsg::<()>(peer.as_raw_fd(), &message, &control, MsgFlags::empty(), None).unwrap();
    peer.write_all(b"line\n").unwrap();
    assert_eq!(run(stream.read_until(b"\n")).unwrap(), "half a line\n");
}

#[test]
fn a_passed_descriptor_is_not_kept() {
    let (stream, peer) = pair();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let descriptors = [writer.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(peer.as_raw_fd(), &[IoSlice::new(b"take it")], &control, MsgFlags::empty(), None).unwrap();
    drop(writer);
    assert_eq!(run(stream.read_bytes(7)).unwrap(), "take it");
    // Nobody can write to it any more.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn lines_and_the_end_arrive_and_answers_leave() {
    let (stream, mut peer) = pair();
    stream.set_half_open(true);
    peer.write_all(b"one\ntwo\n").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    run(async {
        assert_eq!(stream.read_until(b"\n").await.unwrap(), "one\n");
        assert_eq!(stream.read_until_close().await.unwrap(), "two\n");
        assert!(stream.is_peer_closed() && !stream.is_closed());
        stream.write("answer").await.unwrap();
    });
    drop(stream);
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

#[test]
fn more_than_the_kernel_takes_waits_for_the_reader() {
    let (stream, peer) = pair();
    let reader = IOStream::from_unix(peer).unwrap();
    let sent = common::pattern(4 << 20);
    reader.set_max_buffer_size(sent.len());
    run(async {
        let write = stream.write(&sent);
        assert!(stream.pending_write() > 0);
        assert!(reader.read_bytes(sent.len()).await.unwrap() == sent);
        write.await.unwrap();
    });
}

#[test]
fn the_peers_leaving_is_noticed_without_a_read() {
    let (stream, peer) = pair();
    run(async {
        let closed = iostream::spawn(stream.closed());
        turns(2).await;
        drop(peer);
        closed.await.unwrap();
    });
}

#[test]
fn what_only_tcp_has_is_harmless_or_says_so() {
    let (stream, _peer) = pair();
    stream.set_nodelay(true).unwrap();
    let error = stream.peer_addr().unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::Unsupported), "{error:?}");
}

/// A listening socket of a name for this test alone.
fn listen(name: &str) -> (UnixListener, PathBuf) {
    common::choose_poller();
    let path = std::env::temp_dir().join(format!("waterspout-{}-{name}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    (UnixListener::bind(&path).unwrap(), path)
}

fn refusal(path: impl AsRef<Path>) -> String {
    match run(IOStream::connect_unix(path)) {
        Err(error @ Error::ConnectUnix { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_path_is_connected_to() {
    let (listener, path) = listen("connect");
    run(async {
        let stream = IOStream::connect_unix(&path).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        stream.write("hello\n").await.unwrap();
        peer.write_all(b"welcome\n").unwrap();
        assert_eq!(stream.read_until(b"\n").await.unwrap(), "welcome\n");
    });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn an_abstract_name_is_connected_to() {
    common::choose_poller();
    let name = format!("waterspout-{}-{}", std::process::id(), module_path!());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let stream = run(IOStream::connect_unix(format!("\0{name}"))).unwrap();
    listener.accept().unwrap().0.write_all(b"welcome").unwrap();
    assert_eq!(run(stream.read_bytes(7)).unwrap(), "welcome");
}

#[test]
fn a_connection_that_cannot_be_made_says_to_where_and_why() {
    assert_eq!(refusal("/nowhere/at/all"), "connecting to /nowhere/at/all: no such file or directory");
    assert_eq!(refusal("\0waterspout, nobody"), "connecting to @waterspout, nobody: connection refused");
    let (listener, path) = listen("stale");
    drop(listener);
    assert_eq!(refusal(&path), format!("connecting to {}: connection refused", path.display()));
    std::fs::remove_file(&path).unwrap();
    assert!(refusal("x".repeat(108)).ends_with("path must be shorter than SUN_LEN"));
}

#[test]
fn a_full_backlog_is_waited_for() {
    let (listener, path) = listen("backlog");
    // The queue of std's listener is as long as the system allows; listening again shortens it.
    SockRef::from(&listener).listen(0).unwrap();
    run(async {
        let _first = IOStream::connect_unix(&path).await.unwrap();
        let second = spawn({
            let path = path.clone();
            async move { IOStream::connect_unix(path).await }
        });
        turns(3).await;
        assert!(!second.is_finished());
        listener.accept().unwrap();
        second.await.unwrap().unwrap();
    });
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_kernel_says_who_the_peer_is() {
    let (listener, path) = listen("cred");
    let stream = run(IOStream::connect_unix(&path)).unwrap();
    std::fs::remove_file(path).unwrap();
    let accepted = IOStream::from_unix(listener.accept().unwrap().0).unwrap();
    let us = std::fs::metadata("/proc/self").unwrap();
    for stream in [stream, accepted] {
        let peer = stream.peer_cred().unwrap();
        assert_eq!(peer.pid, std::process::id() as i32);
        assert_eq!((peer.uid, peer.gid), (us.uid(), us.gid()));
        stream.close();
        assert!(stream.peer_cred().unwrap_err().is_closed());
    }
    let (tcp, _peer) = common::pair();
    assert!(matches!(tcp.peer_cred(), Err(Error::Io(error)) if error.kind() == ErrorKind::Unsupported));
}

#[test]
fn the_descriptor_is_lent_for_a_look() {
    let (stream, mut peer) = pair();
    let mut duplicate = UnixStream::from(stream.with_fd(|fd| fd.try_clone_to_owned()).unwrap().unwrap());
    stream.close();
    assert!(stream.with_fd(|_| ()).unwrap_err().is_closed());
    duplicate.write_all(b"still open").unwrap();
    let mut bytes = [0; 10];
    peer.read_exact(&mut bytes).unwrap();

    let (end, _other) = iostream::memory::pair(1);
    assert!(matches!(end.with_fd(|_| ()), Err(Error::Io(error)) if error.kind() == ErrorKind::Unsupported));
}

#[test]
fn a_stream_whose_descriptor_was_duplicated_leaves_the_loop_when_it_closes() {
    let (listener, path) = listen("duplicate");
    // A connected stream has no duplicate, and is closed without a word to epoll.
    let stream = run(IOStream::connect_unix(&path)).unwrap();
    std::fs::remove_file(path).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let duplicate = stream.with_fd(|fd| fd.try_clone_to_owned()).unwrap().unwrap();
    stream.close();
    let events = || IOLoop::current().metrics().events;
    run(turns(2));
    let before = events();
    peer.write_all(b"for nobody").unwrap();
    run(turns(2));
    assert_eq!(events(), before, "the loop is told of what it does not watch any more");
    drop(duplicate);
}
