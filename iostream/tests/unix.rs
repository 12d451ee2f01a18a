//! Unix sockets.

mod common;

use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    os::{fd::AsRawFd, unix::net::UnixStream},
};

use common::{run, turns};
use iostream::{Error, IOStream};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

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
