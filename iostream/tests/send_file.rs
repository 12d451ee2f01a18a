//! Files are sent in the order of the writes, over every kind of stream.

mod common;

use std::{
    fs::{self, File, OpenOptions},
    future::{Future, poll_fn},
    io::{self, ErrorKind, Read},
    ops::Range,
    path::PathBuf,
    pin::pin,
    rc::Rc,
    task::Poll,
    thread,
};

use common::{kinds::every_kind, pair, pattern, run, try_for_some_turns, turns};
use iostream::{Error, FilePart, IOStream, WriteFuture, memory, spawn};

/// More than the kernel's buffers of a connection take.
const LOTS: usize = 8 << 20;

/// A file that is removed when the test is over.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, content: &[u8]) -> Temporary {
        let path = std::env::temp_dir().join(format!("send_file-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Temporary(path)
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }

    fn part(&self, range: Range<u64>) -> FilePart {
        FilePart::new(self.open(), range).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn a_file_arrives_between_the_writes_around_it() {
    let content = pattern(300_000);
    let file = Temporary::new("order", &content);
    for (kind, peer, stream) in every_kind() {
        // No limit for what is not in memory.
        stream.set_max_write_buffer_size(100);
        run(async {
            let reader = spawn(async move { peer.read_until_close().await });
            drop(stream.write("before "));
            drop(stream.send_file(file.open(), 10..300_000));
            drop(stream.send_file(file.open(), 5..5));
            drop(stream.send_file(file.open(), 0..3));
            stream.write(" after").await.unwrap();
            assert_eq!(stream.pending_write(), 0, "{kind}");
            drop(stream);
            let received = reader.await.unwrap().unwrap();
            let expected = [b"before ", &content[10..], &content[..3], b" after"].concat();
            assert!(received == expected, "{kind}: {} bytes of {}", received.len(), expected.len());
        });
    }
}

#[test]
fn a_head_goes_in_front_of_its_file_whatever_is_queued_or_empty() {
    let content = pattern(300_000);
    let file = Temporary::new("head", &content);
    for (kind, peer, stream) in every_kind() {
        run(async {
            let reader = spawn(async move { peer.read_until_close().await });
            drop(stream.send_file_behind(b"one ", file.part(0..300_000)));
            // Behind what is queued, and in front of nothing.
            drop(stream.send_file_behind(b" two ", file.part(7..10)));
            drop(stream.send_file_behind(b" three", file.part(9..9)));
            stream.write("").await.unwrap();
            drop(stream);
            let received = reader.await.unwrap().unwrap();
            let expected = [b"one ", &content[..], b" two ", &content[7..10], b" three"].concat();
            assert!(received == expected, "{kind}: {} bytes of {}", received.len(), expected.len());
        });
    }
}

#[test]
fn a_head_without_a_file_behind_it_is_not_held_back() {
    let file = Temporary::new("alone", b"content");
    let (stream, mut peer) = pair();
    run(stream.send_file_behind(b"head", file.part(3..3))).unwrap();
    // The kernel holds back for 200 ms what is to be followed by more: it would not be there yet.
    peer.set_nonblocking(true).unwrap();
    let mut head = [0; 4];
    peer.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"head");
}

#[test]
fn a_head_beyond_the_limit_is_refused_with_its_file() {
    let file = Temporary::new("limit", b"content");
    let (stream, peer) = memory::pair(100);
    stream.set_max_write_buffer_size(3);
    run(async {
        let refused = stream.send_file_behind(b"head", file.part(0..7)).await;
        assert!(matches!(refused, Err(Error::WriteBufferFull { limit: 3 })), "{refused:?}");
        stream.send_file_behind(b"...", file.part(0..7)).await.unwrap();
        drop(stream);
        assert_eq!(peer.read_until_close().await.unwrap(), "...content");
    });
}

#[test]
fn a_file_waits_for_a_slow_reader_and_completes_when_it_has_left() {
    let content = pattern(LOTS);
    let file = Temporary::new("slow", &content);
    let (stream, mut peer) = pair();
    run(async {
        let mut sending = pin!(stream.send_file(file.open(), 0..LOTS as u64));
        assert!(try_for_some_turns(sending.as_mut()).await.is_none());
        assert_eq!(stream.pending_write() as u64 + stream.bytes_sent(), LOTS as u64);
        // Behind it there is room for what is in memory.
        let taken = poll_fn(|cx| stream.poll_write(cx, b"behind")).await.unwrap();
        assert_eq!(taken, 6);
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).unwrap();
            received
        });
        sending.await.unwrap();
        assert!(stream.pending_write() <= 6);
        stream.shutdown_write().await.unwrap();
        let received = reader.join().unwrap();
        assert!(received.starts_with(&content) && received.ends_with(b"behind"));
        assert_eq!(received.len(), LOTS + 6);
    });
}

#[test]
fn streams_share_a_file_and_none_starves_the_others() {
    let content = pattern(LOTS);
    let file = Temporary::new("shared", &content);
    run(async {
        let shared = Rc::new(file.open());
        let (streams, readers): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| {
                let (stream, mut peer) = pair();
                let reader = thread::spawn(move || {
                    let mut received = Vec::new();
                    peer.read_to_end(&mut received).unwrap();
                    received
                });
                (stream, reader)
            })
            .unzip();
        let writes: Vec<_> =
            streams.iter().map(|stream| stream.send_file(Rc::clone(&shared), 0..LOTS as u64)).collect();
        let others = spawn(iostream::yield_now());
        for write in writes {
            write.await.unwrap();
        }
        assert!(others.is_finished());
        drop(streams);
        for reader in readers {
            // The loop has the last word: a stream closes when its queue's task has seen that nothing is left.
            while !reader.is_finished() {
                turns(1).await;
            }
            assert!(reader.join().unwrap() == content);
        }
        assert_eq!(Rc::strong_count(&shared), 1, "the file is kept open");
    });
}

#[test]
fn a_file_is_offered_again_before_the_kernel_tells_of_room() {
    let content = pattern(LOTS);
    let file = Temporary::new("offered", &content);
    let (stream, mut peer) = pair();
    run(async {
        let mut sending = pin!(stream.send_file(file.open(), 0..LOTS as u64));
        assert!(try_for_some_turns(sending.as_mut()).await.is_none());
        let before = stream.bytes_sent();
        // No turn of the loop from here on, so nobody else sends.
        peer.set_nonblocking(true).unwrap();
        let mut piece = vec![0; 64 * 1024];
        while !stream.offer_queued() {
            let count = peer.read(&mut piece).expect("the kernel has taken more by now");
            assert!(count > 0);
        }
        assert!(stream.bytes_sent() > before);
        assert_eq!(stream.pending_write() as u64 + stream.bytes_sent(), LOTS as u64);
    });
}

#[test]
fn what_is_not_within_a_regular_file_is_refused_and_harms_nothing() {
    let file = Temporary::new("range", b"0123456789");
    let (stream, peer) = memory::pair(100);
    let refused = |write: WriteFuture| {
        let error = run(write).unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::InvalidInput), "{error:?}");
    };
    refused(stream.send_file(file.open(), 0..11));
    refused(stream.send_file(file.open(), 11..11));
    #[expect(clippy::reversed_empty_ranges, reason = "a mistake is meant")]
    refused(stream.send_file(file.open(), 3..2));
    refused(stream.send_file(File::open("/").unwrap(), 0..0));
    run(async {
        stream.send_file(file.open(), 10..10).await.unwrap();
        stream.send_file(file.open(), 9..10).await.unwrap();
        assert_eq!(peer.read_some(100).await.unwrap(), "9");
        stream.close();
        assert!(matches!(stream.send_file(file.open(), 0..1).await, Err(Error::Closed { cause: None })));
    });
}

#[test]
fn the_reading_end_of_a_pipe_takes_no_file() {
    let file = Temporary::new("pipe", b"content");
    let (reader, _writer) = io::pipe().unwrap();
    let stream = IOStream::from_pipe(reader).unwrap();
    for refused in [run(stream.send_file(file.open(), 0..7)), stream.queue("x")] {
        assert!(matches!(&refused, Err(Error::Io(error)) if error.kind() == ErrorKind::Unsupported), "{refused:?}");
    }
    assert!(!stream.is_closed());
}

#[test]
fn a_file_that_is_cut_short_meanwhile_closes_the_stream() {
    let content = pattern(LOTS);
    for (kind, peer, stream) in every_kind() {
        let file = Temporary::new(&format!("cut-{kind}"), &content);
        run(async {
            let sending = spawn(stream.send_file(file.open(), 0..LOTS as u64));
            let behind = spawn(stream.write("never"));
            turns(3).await;
            OpenOptions::new().write(true).open(&file.0).unwrap().set_len(LOTS as u64 / 2).unwrap();
            peer.set_max_buffer_size(LOTS);
            let reader = spawn(async move { peer.read_until_close().await });
            for failed in [sending, behind] {
                let error = failed.await.unwrap().unwrap_err();
                let Error::SendFile { cause } = &error else { panic!("{kind}: {error:?}") };
                assert_eq!(cause.kind(), ErrorKind::UnexpectedEof);
                assert!(error.is_closed() && error.to_string().contains("cut short"), "{error}");
            }
            assert!(stream.is_closed());
            assert!(matches!(stream.write("x").await, Err(Error::SendFile { .. })));
            assert!(stream.read_some(1).await.unwrap_err().is_closed());
            // TLS alone tells its reader that the end is missing.
            match reader.await.unwrap() {
                Ok(received) => assert!(received.len() <= LOTS / 2 && !kind.starts_with("TLS"), "{kind}"),
                Err(error) => assert!(error.is_closed() && kind.starts_with("TLS"), "{kind}: {error}"),
            }
        });
    }
}

#[test]
fn a_file_that_cannot_be_read_closes_the_stream() {
    let file = Temporary::new("unreadable", b"content");
    for (kind, _peer, stream) in every_kind() {
        let unreadable = OpenOptions::new().write(true).open(&file.0).unwrap();
        let error = run(stream.send_file(unreadable, 0..7)).unwrap_err();
        assert!(matches!(error, Error::SendFile { .. }), "{kind}: {error:?}");
    }
}

#[test]
fn a_peer_that_goes_ends_the_sending() {
    let file = Temporary::new("gone", &pattern(LOTS));
    let (stream, peer) = pair();
    run(async {
        let mut sending = pin!(stream.send_file(file.open(), 0..LOTS as u64));
        assert!(poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_pending())).await);
        drop(peer);
        assert!(matches!(sending.await, Err(Error::Closed { cause: Some(_) })));
    });
}

#[test]
fn a_file_is_sent_although_its_stream_has_no_handles_any_more() {
    let content = pattern(LOTS);
    let file = Temporary::new("orphan", &content);
    let (stream, mut peer) = pair();
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        peer.read_to_end(&mut received).unwrap();
        received
    });
    drop(stream.send_file(file.open(), 0..LOTS as u64));
    drop(stream);
    run(async {
        while !reader.is_finished() {
            iostream::yield_now().await;
        }
    });
    assert!(reader.join().unwrap() == content);
}
