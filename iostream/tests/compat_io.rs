//! Streams under the traits of `futures` and of tokio. Both have the same rules, so each test is written once.

mod common;

use std::io::{ErrorKind, IoSlice, Read, Write};

use common::{pair, pattern, run, streams, try_for_some_turns};
use iostream::{BufReader, memory, spawn};

macro_rules! tests {
    ($module:ident, $reads:path, $writes:path, $buffered:path, $end:ident) => {
        mod $module {
            use $buffered as Buffered;
            use $reads as _;
            use $writes as Writing;

            use super::*;

            #[test]
            fn bytes_and_the_end_pass() {
                let (mut stream, mut peer) = pair();
                run(async {
                    stream.write_all(b"hello").await.unwrap();
                    Writing::flush(&mut stream).await.unwrap();
                    let mut buf = [0; 5];
                    peer.read_exact(&mut buf).unwrap();
                    peer.write_all(b"worldly").unwrap();
                    stream.read_exact(&mut buf).await.unwrap();
                    assert_eq!(&buf, b"world");
                    drop(peer);
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).await.unwrap();
                    assert_eq!(rest, b"ly");
                    // The end stays.
                    assert_eq!(stream.read(&mut buf).await.unwrap(), 0);
                });
            }

            #[test]
            fn a_half_open_stream_answers_after_the_end() {
                let (mut stream, mut peer) = pair();
                stream.set_half_open(true);
                run(async {
                    peer.write_all(b"question").unwrap();
                    peer.shutdown(std::net::Shutdown::Write).unwrap();
                    let mut question = String::new();
                    stream.read_to_string(&mut question).await.unwrap();
                    stream.write_all(question.to_uppercase().as_bytes()).await.unwrap();
                    Writing::$end(&mut stream).await.unwrap();
                    // Ended is ended, however often.
                    Writing::$end(&mut stream).await.unwrap();
                });
                let mut answer = String::new();
                peer.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, "QUESTION");
            }

            #[test]
            fn megabytes_pass_with_little_queued() {
                let (mut ours, theirs) = streams();
                run(async {
                    let written = spawn({
                        let mut theirs = theirs.clone();
                        async move {
                            theirs.write_all(&pattern(5_000_000)).await.unwrap();
                            Writing::$end(&mut theirs).await.unwrap();
                        }
                    });
                    let mut all: Vec<u8> = Vec::new();
                    let mut buf = vec![0; 100_000];
                    loop {
                        assert!(theirs.pending_write() <= 64 * 1024);
                        match ours.read(&mut buf).await.unwrap() {
                            0 => break,
                            count => all.extend(&buf[..count]),
                        }
                    }
                    assert!(all == pattern(5_000_000));
                    written.await.unwrap();
                });
            }

            #[test]
            fn a_dropped_write_is_neither_lost_nor_doubled() {
                let (mut ours, theirs) = memory::pair(1000);
                run(async {
                    let data = pattern(200_000);
                    // Dropped half-way: only what each poll has reported is written.
                    let mut taken = 0;
                    while let Some(count) = try_for_some_turns(Writing::write(&mut ours, &data[taken..])).await {
                        taken += count.unwrap();
                    }
                    assert!(taken < data.len());
                    let reader = spawn(async move { theirs.read_until_close().await });
                    ours.write_all(&data[taken..]).await.unwrap();
                    Writing::$end(&mut ours).await.unwrap();
                    assert!(reader.await.unwrap().unwrap() == data);
                });
            }

            #[test]
            fn pieces_are_written_as_one() {
                let (mut ours, theirs) = memory::pair(1000);
                run(async {
                    let pieces = [IoSlice::new(b"one, "), IoSlice::new(b""), IoSlice::new(b"two")];
                    assert_eq!(ours.write_vectored(&pieces).await.unwrap(), 8);
                    assert_eq!(theirs.read_bytes(8).await.unwrap(), "one, two");
                });
            }

            #[test]
            fn lines_are_read_through_a_reader_and_the_rest_stays() {
                let (mut peer, stream) = memory::pair(1000);
                run(async {
                    peer.write_all(b"one\ntwo\nthree").await.unwrap();
                    let mut reader = BufReader::new(stream.clone());
                    let mut line = String::new();
                    Buffered::read_line(&mut reader, &mut line).await.unwrap();
                    Buffered::read_line(&mut reader, &mut line).await.unwrap();
                    assert_eq!(line, "one\ntwo\n");
                    let mut three = [0; 2];
                    reader.read_exact(&mut three).await.unwrap();
                    assert_eq!(&three, b"th");
                    reader.write_all(b"answer").await.unwrap();
                    Writing::flush(&mut reader).await.unwrap();
                    drop(reader);
                    assert_eq!(stream.read_bytes(3).await.unwrap(), "ree");
                    assert_eq!(peer.read_bytes(6).await.unwrap(), "answer");
                    Writing::$end(&mut BufReader::new(peer)).await.unwrap();
                    assert_eq!(stream.read_until_close().await.unwrap(), "");
                });
            }

            #[test]
            fn a_broken_connection_is_an_error_with_its_number() {
                let (mut stream, peer) = pair();
                stream.set_half_open(true);
                run(async {
                    socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                    drop(peer);
                    let error = stream.read(&mut [0; 10]).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                    let error = stream.write_all(b"x").await.unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(nix::errno::Errno::ECONNRESET as i32));
                });
            }
        }
    };
}

tests!(futures, futures_util::AsyncReadExt, futures_util::AsyncWriteExt, futures_util::AsyncBufReadExt, close);
tests!(tokio, ::tokio::io::AsyncReadExt, ::tokio::io::AsyncWriteExt, ::tokio::io::AsyncBufReadExt, shutdown);
