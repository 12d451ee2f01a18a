//! A short `recv` means that the kernel has no more, except where it does not: these are the exceptions.

mod common;

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    os::fd::AsRawFd,
};

use common::{run, sockets, turns};
use iostream::IOStream;
use nix::sys::socket::{MsgFlags, send};

fn send_urgent(peer: &TcpStream, byte: u8) {
    send(peer.as_raw_fd(), &[byte], MsgFlags::MSG_OOB).unwrap();
}

#[test]
fn an_urgent_byte_in_mid_request_does_not_stop_the_read() {
    let (ours, mut peer) = sockets();
    peer.write_all(b"GET / HT").unwrap();
    send_urgent(&peer, b'!');
    peer.write_all(b"TP/1.1\r\n\r\n").unwrap();
    // Registered only now, so that all of it is one edge.
    let stream = IOStream::from_tcp(ours).unwrap();
    assert_eq!(run(stream.read_until(b"\r\n\r\n")).unwrap(), "GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn urgent_bytes_between_requests_leave_the_stream_usable() {
    let (ours, mut peer) = sockets();
    let stream = IOStream::from_tcp(ours).unwrap();
    for round in 0..20 {
        peer.write_all(b"li").unwrap();
        send_urgent(&peer, b'!');
        if round % 2 == 0 {
            send_urgent(&peer, b'?');
        }
        peer.write_all(b"ne\n").unwrap();
        let line = run(stream.read_until(b"\n")).unwrap();
        // An urgent byte that a later one overtakes becomes ordinary data.
        assert!(line == "line\n" || line == "li!ne\n", "{line:?}");
    }
}

#[test]
fn an_urgent_byte_with_nothing_behind_it_is_waited_past() {
    let (ours, mut peer) = sockets();
    let stream = IOStream::from_tcp(ours).unwrap();
    peer.write_all(b"one\n").unwrap();
    send_urgent(&peer, b'!');
    assert_eq!(run(stream.read_until(b"\n")).unwrap(), "one\n");
    let (second, ()) = run(async {
        let read = iostream::spawn({
            let stream = stream.clone();
            async move { stream.read_until(b"\n").await }
        });
        // It has tried, and waits.
        turns(2).await;
        peer.write_all(b"two\n").unwrap();
        (read.await.unwrap(), ())
    });
    assert_eq!(second.unwrap(), "two\n");
}

#[test]
fn data_and_fin_in_one_edge_are_both_seen() {
    let (ours, mut peer) = sockets();
    peer.write_all(b"abc").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let stream = IOStream::from_tcp(ours).unwrap();
    run(async {
        assert_eq!(stream.read_bytes(3).await.unwrap(), "abc");
        assert!(stream.read_some(1).await.unwrap_err().is_closed());
    });
}

#[test]
fn a_fin_behind_pipelined_messages_is_seen_after_the_last() {
    let (ours, mut peer) = sockets();
    peer.write_all(b"one\ntwo\nthree\n").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let stream = IOStream::from_tcp(ours).unwrap();
    stream.set_half_open(true);
    run(async {
        for expected in ["one\n", "two\n", "three\n"] {
            assert_eq!(stream.read_until(b"\n").await.unwrap(), expected);
        }
        assert!(stream.read_until(b"\n").await.unwrap_err().is_closed());
        assert!(!stream.is_closed());
    });
}

#[test]
fn a_message_cut_off_by_a_fin_ends_the_read() {
    let (ours, mut peer) = sockets();
    peer.write_all(b"half a li").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let stream = IOStream::from_tcp(ours).unwrap();
    run(async {
        assert!(stream.read_until(b"\n").await.unwrap_err().is_closed());
        assert_eq!(stream.read_until_close().await.unwrap(), "half a li");
    });
}

#[test]
fn what_comes_after_a_short_read_is_seen() {
    let (ours, mut peer) = sockets();
    let stream = IOStream::from_tcp(ours).unwrap();
    for i in 0..100u8 {
        peer.write_all(&[i, i]).unwrap();
        assert_eq!(run(stream.read_bytes(2)).unwrap(), &[i, i][..]);
    }
}
