//! What happens at the limits of reads and of the buffers.

mod common;

use std::{io::Write, net::Shutdown, thread};

use common::{pair, pattern, run, turns};
use iostream::Error;

#[test]
fn a_delimiter_within_max_bytes_is_found() {
    for limit in [50, 6] {
        let (stream, mut peer) = pair();
        peer.write_all(b"abcdef").unwrap();
        assert_eq!(run(stream.read_until(b"def").max_bytes(limit)).unwrap(), "abcdef");
    }
}

#[test]
fn without_a_delimiter_within_max_bytes_the_stream_closes() {
    let (stream, mut peer) = pair();
    peer.write_all(b"123456").unwrap();
    let error = run(stream.read_until(b"def").max_bytes(5)).unwrap_err();
    assert!(matches!(error, Error::Unsatisfiable { limit: 5 }), "{error:?}");
    assert!(stream.is_closed());
}

#[test]
fn a_delimiter_that_ends_beyond_max_bytes_does_not_count() {
    let (stream, mut peer) = pair();
    peer.write_all(b"abcdef").unwrap();
    assert!(matches!(run(stream.read_until(b"def").max_bytes(5)), Err(Error::Unsatisfiable { limit: 5 })));
}

#[test]
fn a_stream_never_holds_more_than_it_may() {
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(10 * 1024);
    let sent = pattern(100 * 1024);
    let expected = sent.clone();
    let writer = thread::spawn(move || peer.write_all(&sent).unwrap());
    run(async {
        for piece in expected.chunks(1024) {
            assert!(stream.read_bytes(1024).await.unwrap() == piece);
            assert!(stream.buffered() <= 10 * 1024);
        }
    });
    writer.join().unwrap();
}

#[test]
fn small_lines_are_read_from_much_data() {
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(10 * 1024);
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    let sent = line.repeat(100);
    let writer = thread::spawn(move || peer.write_all(&sent).unwrap());
    run(async {
        for _ in 0..100 {
            assert_eq!(stream.read_until(b"\n").max_bytes(4096).await.unwrap(), line);
        }
    });
    writer.join().unwrap();
}

#[test]
fn a_slow_reader_slows_its_peer_down() {
    const MIB: usize = 1 << 20;
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(5 * MIB);
    let writer = thread::spawn(move || peer.write_all(&vec![7; 10 * MIB]).unwrap());
    run(async {
        assert_eq!(stream.read_bytes(MIB).await.unwrap().len(), MIB);
        // The peer goes on for as long as the kernel lets it; the stream asks for nothing meanwhile.
        for _ in 0..20 {
            turns(1).await;
            assert!(stream.buffered() <= 64 * 1024);
        }
        for _ in 0..9 {
            assert_eq!(stream.read_bytes(MIB).await.unwrap().len(), MIB);
        }
    });
    writer.join().unwrap();
}

#[test]
fn a_line_longer_than_the_buffer_closes_the_stream() {
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(1000);
    peer.write_all(&[b'x'; 2000]).unwrap();
    assert!(matches!(run(stream.read_until(b"\n")), Err(Error::BufferFull { limit: 1000 })));
    assert!(stream.is_closed());
}

#[test]
fn more_bytes_than_the_buffer_holds_are_refused_at_once() {
    let (stream, _peer) = pair();
    stream.set_max_buffer_size(1000);
    assert!(matches!(run(stream.read_bytes(1001)), Err(Error::BufferFull { limit: 1000 })));
}

#[test]
fn input_that_exactly_fills_the_buffer_is_read_to_its_end() {
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(1000);
    peer.write_all(&[b'x'; 1000]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(run(stream.read_until_close()).unwrap().len(), 1000);
}

#[test]
fn read_until_close_stops_at_its_limit() {
    let (stream, mut peer) = pair();
    peer.write_all(&[b'x'; 101]).unwrap();
    assert!(matches!(run(stream.read_until_close().max_bytes(100)), Err(Error::Unsatisfiable { limit: 100 })));
    assert!(stream.is_closed());
}
