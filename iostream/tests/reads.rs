//! What the named reads give, and what they leave.

mod common;

use std::{
    cell::Cell,
    io::{self, Write},
    net::{Shutdown, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll},
    thread,
};

use common::{choose_poller, pair, pattern, run, streams, try_for_some_turns, turns};
use iostream::{Bytes, CustomTransport, Error, IOLoop, IOStream, Parsed, memory};

#[test]
fn zero_bytes_are_read_at_once() {
    let (stream, _peer) = pair();
    run(async {
        assert_eq!(stream.read_bytes(0).await.unwrap(), "");
        assert_eq!(stream.read_some(0).await.unwrap(), "");
        assert_eq!(stream.read_into(&mut []).await.unwrap(), 0);
        assert_eq!(stream.read_until(b"").await.unwrap(), "");
    });
}

#[test]
fn read_until_includes_the_delimiter_and_leaves_the_rest() {
    let (stream, mut peer) = pair();
    peer.write_all(b"one\r\ntwo\r\nth").unwrap();
    run(async {
        assert_eq!(stream.read_until(b"\r\n").await.unwrap(), "one\r\n");
        assert_eq!(stream.read_until(b"\r\n").await.unwrap(), "two\r\n");
        assert_eq!(stream.buffered(), 2);
        assert_eq!(stream.read_some(100).await.unwrap(), "th");
        assert_eq!(stream.buffered(), 0);
    });
}

#[test]
fn a_delimiter_split_over_packets_is_found() {
    let (stream, peer) = streams();
    run(async {
        let reader = iostream::spawn(async move { stream.read_until(b"<end>").await });
        for byte in b"some <e<en<end<end>" {
            peer.write(&[*byte]).await.unwrap();
            // One to learn of it, and one in which it has been read.
            turns(2).await;
        }
        assert_eq!(reader.await.unwrap().unwrap(), "some <e<en<end<end>");
    });
}

#[test]
fn a_line_of_4_mib_is_read() {
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(5 << 20);
    let writer = thread::spawn(move || {
        for _ in 0..4096 {
            peer.write_all(&[b'A'; 1024]).unwrap();
        }
        peer.write_all(b"\r\n").unwrap();
    });
    let line = run(stream.read_until(b"\r\n")).unwrap();
    assert_eq!(line.len(), 4096 * 1024 + 2);
    assert!(line.ends_with(b"A\r\n"));
    writer.join().unwrap();
}

#[test]
fn read_into_fills_the_buffer_and_leaves_the_rest() {
    let (stream, mut peer) = pair();
    peer.write_all(b"hello world").unwrap();
    run(async {
        let mut buf = [0; 5];
        assert_eq!(stream.read_into(&mut buf).await.unwrap(), 5);
        assert_eq!(&buf, b"hello");
        let mut buf = [0; 100];
        assert_eq!(stream.read_into(&mut buf).partial().await.unwrap(), 6);
        assert_eq!(&buf[..6], b" world");
    });
}

#[test]
fn read_into_takes_more_than_the_stream_may_buffer() {
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(1000);
    let sent = pattern(300_000);
    let expected = sent.clone();
    let writer = thread::spawn(move || peer.write_all(&sent).unwrap());
    let mut buf = vec![0; expected.len()];
    assert_eq!(run(stream.read_into(&mut buf)).unwrap(), expected.len());
    assert!(buf == expected);
    writer.join().unwrap();
}

#[test]
fn a_dropped_read_into_puts_the_bytes_back() {
    let (stream, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    run(async {
        let mut buf = [0; 10];
        assert!(try_for_some_turns(stream.read_into(&mut buf)).await.is_none());
        assert_eq!(stream.buffered(), 5);
        peer.write_all(b" world").unwrap();
        assert_eq!(stream.read_bytes(11).await.unwrap(), "hello world");
    });
}

#[test]
fn a_read_into_cut_off_by_the_end_leaves_the_bytes() {
    let (stream, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    run(async {
        let mut buf = [0; 10];
        assert!(stream.read_into(&mut buf).await.unwrap_err().is_closed());
        assert_eq!(stream.read_bytes(5).await.unwrap(), "hello");
    });
}

#[test]
fn dropped_reads_leave_the_bytes_in_the_stream() {
    let (stream, mut peer) = pair();
    peer.write_all(b"abc").unwrap();
    run(async {
        assert!(try_for_some_turns(stream.read_until(b"\n")).await.is_none());
        assert!(try_for_some_turns(stream.read_bytes(4)).await.is_none());
        assert!(try_for_some_turns(stream.read_until_close()).await.is_none());
        assert!(try_for_some_turns(stream.read_with(|_| Parsed::<()>::Incomplete)).await.is_none());
        assert_eq!(stream.read_bytes(3).await.unwrap(), "abc");
    });
}

#[test]
fn a_second_read_is_refused_while_the_first_is_under_way() {
    let (stream, mut peer) = pair();
    run(async {
        let first = iostream::spawn({
            let stream = stream.clone();
            async move { stream.read_until(b"\n").await }
        });
        iostream::yield_now().await;
        assert!(matches!(stream.read_bytes(1).await, Err(Error::AlreadyReading)));
        let polled = std::future::poll_fn(|cx| {
            stream.poll_read_with(cx, |bytes| Parsed::Done { consumed: bytes.len(), value: () })
        });
        assert!(matches!(polled.await, Err(Error::AlreadyReading)));
        peer.write_all(b"line\n").unwrap();
        assert_eq!(first.await.unwrap().unwrap(), "line\n");
        peer.write_all(b"x").unwrap();
        assert_eq!(stream.read_bytes(1).await.unwrap(), "x");
    });
}

#[test]
fn a_read_that_was_never_polled_claims_nothing() {
    let (stream, mut peer) = pair();
    peer.write_all(b"ab").unwrap();
    run(async {
        let idle = stream.read_bytes(1);
        assert_eq!(stream.read_bytes(1).await.unwrap(), "a");
        assert_eq!(idle.await.unwrap(), "b");
    });
}

#[test]
fn a_parser_is_shown_what_came_until_it_is_content() {
    let (stream, peer) = streams();
    run(async {
        let reader = iostream::spawn(async move {
            let mut shown = Vec::new();
            let value = stream.read_with(|bytes| {
                shown.push(String::from_utf8_lossy(bytes).into_owned());
                match bytes.len() {
                    0..3 => Parsed::Incomplete,
                    _ => Parsed::Done { consumed: 2, value: bytes[1] },
                }
            });
            let value = value.await.unwrap();
            (value, shown, stream.read_some(9).await.unwrap())
        });
        for piece in ["a", "b", "cd"] {
            peer.write(piece).await.unwrap();
            // The reader must have had its turn.
            turns(5).await;
        }
        let (value, shown, rest) = reader.await.unwrap();
        assert_eq!(value, b'b');
        assert_eq!(shown.last().unwrap(), "abcd");
        assert!(shown.windows(2).all(|pair| pair[0] < pair[1]), "shown the same twice: {shown:?}");
        assert_eq!(rest, "cd");
    });
}

#[test]
fn a_parser_may_use_its_stream_but_not_read_from_it() {
    let (stream, mut peer) = pair();
    peer.write_all(b"ping").unwrap();
    run(async {
        let value = stream.read_with(|bytes| {
            drop(stream.write("pong"));
            assert_eq!(stream.try_read_with(|bytes| Parsed::Done { consumed: bytes.len(), value: () }), None);
            assert_eq!(stream.buffered(), 0);
            Parsed::Done { consumed: 1, value: bytes.len() }
        });
        assert_eq!(value.await.unwrap(), 4);
        assert_eq!(stream.read_bytes(3).await.unwrap(), "ing");
    });
}

#[test]
fn a_parser_may_close_its_stream() {
    let (stream, mut peer) = pair();
    peer.write_all(b"ping").unwrap();
    run(async {
        let value = stream.read_with(|_| {
            stream.close();
            Parsed::Done { consumed: 1, value: () }
        });
        value.await.unwrap();
        assert!(stream.is_closed());
        assert_eq!(stream.read_bytes(3).await.unwrap(), "ing");
    });
}

#[test]
fn a_parser_may_read_another_stream() {
    let (outer, mut outer_peer) = pair();
    let (inner, mut inner_peer) = pair();
    outer_peer.write_all(b"outer").unwrap();
    inner_peer.write_all(b"inner, ").unwrap();
    run(async {
        // Once it has been received, it can be had without waiting.
        inner.read_bytes(5).await.unwrap();
        let both = outer.read_with(|bytes| {
            let before = bytes.to_vec();
            let nested = inner.try_read_with(|bytes| Parsed::Done { consumed: bytes.len(), value: bytes.to_vec() });
            assert_eq!(nested.unwrap(), b", ");
            assert_eq!(bytes, before);
            Parsed::Done { consumed: bytes.len(), value: () }
        });
        both.await.unwrap();
    });
}

#[test]
fn a_parser_that_panics_leaves_the_stream_readable() {
    let (stream, mut peer) = pair();
    peer.write_all(b"ab").unwrap();
    run(stream.read_bytes(1)).unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| stream.try_read_with::<()>(|_| panic!("a bug"))));
    assert!(result.is_err());
    assert_eq!(run(stream.read_bytes(1)).unwrap(), "b");
}

#[test]
fn try_read_with_takes_only_what_is_buffered() {
    let (stream, mut peer) = pair();
    let all = |bytes: &[u8]| Parsed::Done { consumed: bytes.len(), value: bytes.to_vec() };
    peer.write_all(b"a\nb").unwrap();
    run(async {
        assert_eq!(stream.try_read_with(all), None);
        stream.read_until(b"\n").await.unwrap();
        assert_eq!(stream.try_read_with(|_| Parsed::<()>::Incomplete), None);
        assert_eq!(stream.try_read_with(all).unwrap(), b"b");
        assert_eq!(stream.try_read_with(all), None);
    });
}

#[test]
fn many_mixed_reads_lose_nothing() {
    let (stream, mut peer) = pair();
    let sent = pattern(1_000_000);
    let expected = sent.clone();
    let writer = thread::spawn(move || peer.write_all(&sent).unwrap());
    run(async {
        let mut received = Vec::new();
        let mut size = 1;
        while received.len() < expected.len() {
            size = (size * 31 + 7) % 1000 + 1;
            let n = size.min(expected.len() - received.len());
            match size % 3 {
                0 => received.extend_from_slice(&stream.read_bytes(n).await.unwrap()),
                1 => received.extend_from_slice(&stream.read_some(n).await.unwrap()),
                _ => {
                    let start = received.len();
                    received.resize(start + n, 0);
                    stream.read_into(&mut received[start..]).await.unwrap();
                }
            }
        }
        assert!(received == expected);
    });
    writer.join().unwrap();
}

/// Reads what there is, until it is 40,000 bytes in one piece: how much comes at a time is up to the kernel.
async fn large_piece(stream: &IOStream) -> Bytes {
    loop {
        let piece = stream.read_some(60_000).await.unwrap();
        if piece.len() >= 40_000 {
            return piece;
        }
    }
}

#[test]
fn a_large_result_is_what_was_received_into_and_when_it_is_dropped_that_is_received_into_again() {
    let (stream, peer) = memory::pair(1 << 20);
    stream.set_max_buffer_size(1 << 20);
    run(async {
        peer.write(pattern(600_000)).await.unwrap();
        let first = large_piece(&stream).await;
        let place = first.as_ptr();
        drop(first);
        let second = large_piece(&stream).await;
        assert_eq!(second.as_ptr(), place);
        // While somebody has it, it is left alone.
        let (copy, part) = (second.to_vec(), second.slice(100..200));
        drop(second);
        let third = large_piece(&stream).await;
        assert_ne!(third.as_ptr(), place);
        assert_eq!(part, copy[100..200]);
        let fourth = large_piece(&stream).await;
        assert_ne!(fourth.as_ptr(), third.as_ptr());
    });
}

#[test]
fn results_that_are_kept_stay_as_they_were_while_others_are_read() {
    let sent = pattern(3_000_000);
    run(async {
        let readers: Vec<_> = (0..3)
            .map(|keep| {
                let (stream, mut peer) = pair();
                let bytes = sent.clone();
                thread::spawn(move || peer.write_all(&bytes).unwrap());
                iostream::spawn(async move {
                    // Every piece, every second and every third one is kept; of the others a part.
                    let (mut kept, mut received, mut index) = (Vec::new(), 0, 0);
                    while let Ok(piece) = stream.read_some(usize::MAX).await {
                        let part = if index % (keep + 1) == 0 { piece.clone() } else { piece.slice(..piece.len() / 2) };
                        kept.push((received, part));
                        received += piece.len();
                        index += 1;
                    }
                    (kept, received)
                })
            })
            .collect();
        for reader in readers {
            let (kept, received) = reader.await.unwrap();
            assert_eq!(received, sent.len());
            assert!(kept.iter().all(|(at, part)| part == &sent[*at..][..part.len()]));
        }
    });
}

#[test]
fn a_large_result_and_the_bytes_behind_it_are_told_apart() {
    let (stream, mut peer) = pair();
    let mut sent = pattern(200_000);
    sent.extend_from_slice(b"tail");
    let expected = sent.clone();
    let writer = thread::spawn(move || peer.write_all(&sent).unwrap());
    run(async {
        assert!(stream.read_bytes(10).await.unwrap() == expected[..10]);
        assert!(stream.read_bytes(199_990).await.unwrap() == expected[10..200_000]);
        assert_eq!(stream.read_bytes(4).await.unwrap(), "tail");
    });
    writer.join().unwrap();
}

/// Reads of more than a chunk go past the stream's buffer.
const LARGE: usize = 300_000;

#[test]
fn a_large_read_takes_what_is_buffered_first_and_leaves_what_is_behind() {
    let (stream, mut peer) = pair();
    let mut sent = pattern(2 * LARGE + 20);
    sent[..10].copy_from_slice(b"first line");
    sent[10] = b'\n';
    let expected = sent.clone();
    let writer = thread::spawn(move || peer.write_all(&sent).unwrap());
    run(async {
        assert_eq!(stream.read_until(b"\n").await.unwrap().len(), 11);
        let first = stream.read_bytes(LARGE).await.unwrap();
        assert!(first == expected[11..11 + LARGE]);
        let mut buf = vec![0; LARGE];
        assert_eq!(stream.read_into(&mut buf).await.unwrap(), LARGE);
        assert!(buf == expected[11 + LARGE..11 + 2 * LARGE]);
        assert!(stream.read_bytes(9).await.unwrap() == expected[11 + 2 * LARGE..]);
    });
    writer.join().unwrap();
}

#[test]
fn a_large_read_that_is_dropped_puts_the_bytes_back() {
    let (stream, mut peer) = pair();
    let sent = pattern(LARGE);
    run(async {
        let (one, other) = (100_000, 200_000);
        peer.write_all(&sent[..one]).unwrap();
        let mut buf = vec![0; LARGE];
        for _ in 0..2 {
            assert!(try_for_some_turns(stream.read_bytes(LARGE)).await.is_none());
            assert!(try_for_some_turns(stream.read_into(&mut buf)).await.is_none());
        }
        while stream.buffered() < one {
            assert!(try_for_some_turns(stream.read_bytes(LARGE)).await.is_none());
        }
        peer.write_all(&sent[one..other]).unwrap();
        assert!(stream.read_bytes(other).await.unwrap() == sent[..other]);
        peer.write_all(&sent[other..]).unwrap();
        assert!(stream.read_bytes(LARGE - other).await.unwrap() == sent[other..]);
    });
}

#[test]
fn a_large_read_cut_off_by_the_end_leaves_the_bytes_even_before_it_is_dropped() {
    let (stream, mut peer) = pair();
    let sent = pattern(100_000);
    peer.write_all(&sent).unwrap();
    drop(peer);
    run(async {
        let mut read = std::pin::pin!(stream.read_bytes(LARGE));
        assert!(read.as_mut().await.unwrap_err().is_closed());
        assert_eq!(stream.buffered(), sent.len());
        let mut buf = vec![0; LARGE];
        let mut into = std::pin::pin!(stream.read_into(&mut buf));
        assert!(into.as_mut().await.unwrap_err().is_closed());
        assert!(stream.read_until_close().await.unwrap() == sent);
    });
}

#[test]
fn a_large_read_and_those_who_wait_for_the_end_share_the_input() {
    let (stream, mut peer) = pair();
    let sent = pattern(LARGE);
    let expected = sent.clone();
    run(async {
        let closed = iostream::spawn(stream.closed());
        let reader = iostream::spawn({
            let stream = stream.clone();
            async move { stream.read_bytes(LARGE).await }
        });
        peer.write_all(&sent[..100_000]).unwrap();
        turns(2).await;
        let writer = thread::spawn(move || peer.write_all(&sent[100_000..]).unwrap());
        closed.await.unwrap();
        assert!(reader.await.unwrap().unwrap() == expected);
        writer.join().unwrap();
    });
}

#[test]
fn a_large_read_refuses_a_second_and_survives_its_streams_close() {
    let (stream, mut peer) = pair();
    peer.write_all(b"some").unwrap();
    run(async {
        let reader = iostream::spawn({
            let stream = stream.clone();
            async move { stream.read_bytes(LARGE).await }
        });
        turns(2).await;
        assert!(matches!(stream.read_bytes(LARGE).await, Err(Error::AlreadyReading)));
        assert!(matches!(stream.read_into(&mut [0]).await, Err(Error::AlreadyReading)));
        stream.close();
        assert!(matches!(reader.await.unwrap(), Err(Error::Closed { cause: None })));
        assert_eq!(stream.read_until_close().await.unwrap(), "some");
    });
}

/// A stream for small reads, and a peer in whose kernel there is enough for a hundred of them.
fn firehose() -> (IOStream, TcpStream) {
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(999);
    peer.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(n) = peer.write(&[0; 1 << 16]) {
        sent += n;
    }
    assert!(sent > 101_000);
    (stream, peer)
}

#[test]
fn a_firehose_leaves_the_others_their_turns() {
    let (stream, _peer) = firehose();
    run(async {
        stream.read_some(1).await.unwrap();
        let others = iostream::spawn(async {
            for _ in 0..5 {
                iostream::yield_now().await;
            }
        });
        for _ in 0..100 {
            stream.read_into(&mut [0; 1000]).await.unwrap();
        }
        assert!(others.is_finished(), "the others are starved");
    });
}

#[test]
fn a_firehose_leaves_the_descriptors_their_turns() {
    let (stream, _peer) = firehose();
    run(async {
        stream.read_some(1).await.unwrap();
        // A task like others: `run`'s own makes the loop look whenever it is woken.
        let reader = iostream::spawn(async move {
            let looks = || IOLoop::current().metrics().waits;
            let before = looks();
            for _ in 0..100 {
                stream.read_into(&mut [0; 1000]).await.unwrap();
            }
            looks() - before
        });
        let looks = reader.await.unwrap();
        assert!(looks >= 3, "{looks} looks, where the reader waited six times");
    });
}

/// A peer from which single bytes come, one at a time.
struct ByByte {
    bytes: Vec<u8>,
    next: Cell<usize>,
}

impl CustomTransport for ByByte {
    fn poll_recv(&self, _cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let next = self.next.replace(self.next.get() + 1);
        Poll::Ready(Ok(self.bytes.get(next).map_or(0, |&byte| {
            buf[0] = byte;
            1
        })))
    }

    fn poll_send(&self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Were the search not linear, this would take minutes.
#[test]
fn a_long_line_that_comes_by_single_bytes_is_searched_once() {
    choose_poller();
    let mut bytes = vec![b'\r'; 500_000];
    bytes.extend_from_slice(b"\r\nrest");
    let stream = IOStream::from_custom(ByByte { bytes, next: Cell::new(0) });
    run(async {
        assert_eq!(stream.read_until(b"\r\n").await.unwrap().len(), 500_002);
        assert_eq!(stream.read_until_close().await.unwrap(), "rest");
    });
}

#[test]
fn lines_of_4_mib_in_all_are_told_apart_wherever_the_packets_end() {
    let (stream, mut peer) = pair();
    // Of every length, so that a delimiter lies across each border of a packet and of the read chunk.
    let lines: Vec<Vec<u8>> = (0..).map(|i| pattern_line(i * 37 % 9973)).scan(0, until(4 << 20)).collect();
    let expected = lines.clone();
    let writer = thread::spawn(move || {
        let all = lines.concat();
        for (i, packet) in all.chunks(1447).enumerate() {
            peer.write_all(packet).unwrap();
            if i % 100 == 0 {
                thread::yield_now();
            }
        }
    });
    run(async {
        for line in expected {
            assert!(stream.read_until(b"\r\n").max_bytes(10_000).await.unwrap() == line);
        }
        assert_eq!(stream.read_until_close().await.unwrap(), "");
    });
    writer.join().unwrap();
}

/// A line without a delimiter in it, but for its end.
fn pattern_line(len: usize) -> Vec<u8> {
    let mut line: Vec<u8> = pattern(len).into_iter().map(|byte| if byte == b'\n' { b'\r' } else { byte }).collect();
    line.extend_from_slice(b"\r\n");
    line
}

/// Lets items pass until they add up to `total` bytes.
fn until(total: usize) -> impl FnMut(&mut usize, Vec<u8>) -> Option<Vec<u8>> {
    move |sum, item| {
        *sum += item.len();
        (*sum < total).then_some(item)
    }
}
