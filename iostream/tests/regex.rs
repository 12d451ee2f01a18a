//! Reads up to a match of a regex.

mod common;

use std::{io::Write, net::Shutdown, os::unix::net::UnixStream, thread};

use common::{pair, run, streams, try_for_some_turns, turns};
use iostream::{Error, IOStream, memory, regex::bytes::Regex};

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid regex")
}

#[test]
fn the_first_match_is_included_and_the_rest_is_left() {
    let (stream, mut peer) = pair();
    peer.write_all(b"one\r\ntwo\nthree\r").unwrap();
    let line = regex(r"\r?\n");
    run(async {
        assert_eq!(stream.read_until_regex(&line).await.unwrap(), "one\r\n");
        assert_eq!(stream.read_until_regex(&line).await.unwrap(), "two\n");
        assert!(try_for_some_turns(stream.read_until_regex(&line)).await.is_none());
        peer.write_all(b"\nfour").unwrap();
        assert_eq!(stream.read_until_regex(&line).await.unwrap(), "three\r\n");
        assert_eq!(stream.read_bytes(4).await.unwrap(), "four");
    });
}

#[test]
fn a_match_ends_the_read_as_soon_as_it_has_come_although_more_could_follow() {
    let (stream, peer) = streams();
    run(async {
        peer.write("12").await.unwrap();
        assert_eq!(stream.read_until_regex(&regex("[0-9]+")).await.unwrap(), "12");
        let number = regex("[0-9]+;");
        let reader = iostream::spawn(async move { stream.read_until_regex(&number).await });
        for byte in b"x345;" {
            assert!(!reader.is_finished());
            peer.write(&[*byte]).await.unwrap();
            turns(2).await;
        }
        assert_eq!(reader.await.unwrap().unwrap(), "x345;");
    });
}

#[test]
fn a_match_within_max_bytes_is_found() {
    for limit in [50, 6] {
        let (stream, mut peer) = pair();
        peer.write_all(b"abcdef and more").unwrap();
        assert_eq!(run(stream.read_until_regex(&regex("d.f")).max_bytes(limit)).unwrap(), "abcdef");
    }
}

#[test]
fn a_match_that_ends_beyond_max_bytes_closes_the_stream() {
    // The second would match, shorter, if the bytes were cut off at the limit.
    for pattern in ["def", "b[c-f]+"] {
        let (stream, mut peer) = pair();
        peer.write_all(b"abcdef").unwrap();
        let error = run(stream.read_until_regex(&regex(pattern)).max_bytes(5)).unwrap_err();
        assert!(matches!(error, Error::Unsatisfiable { limit: 5 }), "{error:?}");
        assert!(stream.is_closed());
    }
}

#[test]
fn no_match_within_max_bytes_closes_the_stream() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(b"1234").unwrap();
        assert!(try_for_some_turns(stream.read_until_regex(&regex("x")).max_bytes(5)).await.is_none());
        peer.write_all(b"5").unwrap();
        let error = stream.read_until_regex(&regex("x")).max_bytes(5).await.unwrap_err();
        assert!(matches!(error, Error::Unsatisfiable { limit: 5 }), "{error:?}");
    });
}

/// What comes in many pieces without a break, which is not searched after each of them.
fn long_message() -> Vec<u8> {
    [&vec![b'x'; 700_000][..], b"\r\n"].concat()
}

#[test]
fn a_long_message_is_found_when_it_has_come() {
    let (stream, mut peer) = pair();
    let writer = thread::spawn(move || {
        peer.write_all(&long_message()).unwrap();
        peer
    });
    assert!(run(stream.read_until_regex(&regex("\r?\n"))).unwrap() == long_message());
    drop(writer.join().unwrap());
}

#[test]
fn a_match_in_the_last_bytes_before_the_end_is_found() {
    for size in [10, 100_000, 200_000] {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let stream = IOStream::from_unix(ours).unwrap();
        let writer = thread::spawn(move || {
            peer.write_all(&vec![b'x'; size]).unwrap();
            peer.write_all(b"end").unwrap();
        });
        assert_eq!(run(stream.read_until_regex(&regex("en."))).unwrap().len(), size + 3);
        writer.join().unwrap();
    }
}

#[test]
fn without_a_match_the_end_leaves_the_bytes() {
    let (stream, mut peer) = pair();
    peer.write_all(b"half").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    run(async {
        assert!(stream.read_until_regex(&regex("whole")).await.unwrap_err().is_closed());
        assert_eq!(stream.read_until_regex(&regex("l")).await.unwrap(), "hal");
        assert_eq!(stream.read_until_close().await.unwrap(), "f");
    });
}

#[test]
fn a_full_buffer_is_searched_before_it_is_refused() {
    let (stream, peer) = memory::pair(1 << 20);
    stream.set_max_buffer_size(100_000);
    run(async {
        peer.write([&vec![b'x'; 99_998][..], b"\r\nmore"].concat()).await.unwrap();
        assert_eq!(stream.read_until_regex(&regex("\r\n")).await.unwrap().len(), 100_000);
        peer.write(vec![b'x'; 100_001]).await.unwrap();
        assert!(matches!(stream.read_until_regex(&regex("\r\n")).await, Err(Error::BufferFull { limit: 100_000 })));
    });
}

#[test]
fn it_is_a_read_like_others() {
    let (stream, mut peer) = pair();
    run(async {
        let reader = iostream::spawn({
            let stream = stream.clone();
            async move { stream.read_until_regex(&regex("b+c")).await }
        });
        turns(1).await;
        assert!(matches!(stream.read_until_regex(&regex("a")).await, Err(Error::AlreadyReading)));
        assert!(matches!(stream.read_bytes(1).await, Err(Error::AlreadyReading)));
        peer.write_all(b"abcd").unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), "abc");
        assert_eq!(stream.read_bytes(1).await.unwrap(), "d");
    });
}
