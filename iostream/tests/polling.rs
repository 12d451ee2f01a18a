//! The polling primitives, which hand-written futures and the traits of other libraries stand on.

mod common;

use std::{
    future::poll_fn,
    io::{IoSlice, Read, Write},
    net::Shutdown,
    thread,
    time::Duration,
};

use common::{pair, pattern, run, try_for_some_turns, turns};
use iostream::{BufReader, Error, IOLoop, IOStream, ioloop::VirtualClock, memory, spawn};

async fn read_some(stream: &IOStream, buf: &mut [u8]) -> iostream::Result<usize> {
    poll_fn(|cx| stream.poll_read_some(cx, buf)).await
}

async fn write_some(stream: &IOStream, data: &[u8]) -> iostream::Result<usize> {
    poll_fn(|cx| stream.poll_write(cx, data)).await
}

/// Writes until a write has to wait. Returns how much was taken.
async fn fill(stream: &IOStream) -> usize {
    let mut taken = 0;
    while let Some(count) = try_for_some_turns(write_some(stream, &[7; 100_000])).await {
        taken += count.unwrap();
    }
    taken
}

#[test]
fn a_small_buffer_leaves_the_rest_in_the_stream_and_a_large_one_in_the_kernel() {
    for (size, left) in [(100, 19_900), (16_384, 0)] {
        let (stream, peer) = memory::pair(1 << 16);
        let sent = pattern(20_000);
        run(async {
            peer.write(&sent).await.unwrap();
            let mut buf = vec![0; size];
            assert_eq!(read_some(&stream, &mut buf).await.unwrap(), size);
            assert!(buf == sent[..size]);
            assert_eq!(stream.buffered(), left);
            assert!(stream.read_bytes(20_000 - size).await.unwrap() == sent[size..]);
        });
    }
}

#[test]
fn the_end_of_input_is_no_bytes_however_often_it_is_asked_for() {
    for size in [10, 20_000] {
        let (stream, mut peer) = pair();
        peer.write_all(b"last").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        run(async {
            let mut buf = vec![0; size];
            assert_eq!(read_some(&stream, &mut buf).await.unwrap(), 4);
            assert_eq!(read_some(&stream, &mut buf).await.unwrap(), 0);
            assert_eq!(read_some(&stream, &mut buf).await.unwrap(), 0);
            assert_eq!(read_some(&stream, &mut []).await.unwrap(), 0);
        });
    }
}

#[test]
fn an_end_that_the_peer_did_not_make_is_an_error() {
    let (stream, _peer) = pair();
    stream.close();
    assert!(matches!(run(read_some(&stream, &mut [0])), Err(Error::Closed { cause: None })));

    let (stream, peer) = memory::pair(10);
    drop(stream.write("never received"));
    peer.close();
    for size in [10, 20_000] {
        let error = run(read_some(&stream, &mut vec![0; size])).unwrap_err();
        assert!(matches!(error, Error::Closed { cause: Some(_) }), "{error:?}");
    }
}

#[test]
fn a_pending_read_keeps_the_primitives_out() {
    let (stream, _peer) = pair();
    run(async {
        let reader = spawn({
            let stream = stream.clone();
            async move { stream.read_bytes(1).await }
        });
        turns(1).await;
        assert!(matches!(read_some(&stream, &mut [0]).await, Err(Error::AlreadyReading)));
        let mut buffered = BufReader::new(stream.clone());
        let refused = poll_fn(|cx| buffered.poll_fill_buf(cx).map_ok(<[u8]>::len)).await;
        assert!(matches!(refused, Err(Error::AlreadyReading)));
        stream.close();
        reader.await.unwrap().unwrap_err();
    });
}

#[test]
fn a_buffered_reader_shows_what_has_come_and_puts_back_what_it_leaves() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(b"one two").unwrap();
        let mut reader = BufReader::new(stream.clone());
        let look = poll_fn(|cx| reader.poll_fill_buf(cx).map_ok(<[u8]>::to_vec)).await.unwrap();
        assert_eq!(look, b"one two");
        reader.consume(4);
        assert_eq!(reader.buffer(), b"two");
        assert!(matches!(stream.read_bytes(1).await, Err(Error::AlreadyReading)));
        // What comes meanwhile, and is received by who waits for the end, goes behind.
        peer.write_all(b" three").unwrap();
        drop(peer);
        stream.closed().await;
        drop(reader);
        assert_eq!(stream.read_until_close().await.unwrap(), "two three");
        let mut reader = BufReader::new(stream.clone());
        assert_eq!(poll_fn(|cx| reader.poll_fill_buf(cx).map_ok(<[u8]>::len)).await.unwrap(), 0);
    });
}

#[test]
fn a_buffered_reader_that_is_empty_is_not_in_the_way() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(b"abc").unwrap();
        let mut reader = BufReader::new(stream.clone());
        poll_fn(|cx| reader.poll_fill_buf(cx).map_ok(drop)).await.unwrap();
        let mut buf = [0; 2];
        assert_eq!(poll_fn(|cx| reader.poll_read(cx, &mut buf)).await.unwrap(), 2);
        reader.consume(1);
        peer.write_all(b"d").unwrap();
        assert_eq!(stream.read_bytes(1).await.unwrap(), "d");
    });
}

#[test]
fn a_write_takes_what_there_is_room_for_and_then_waits() {
    let (stream, mut peer) = pair();
    run(async {
        let taken = fill(&stream).await;
        assert_eq!(stream.pending_write(), 64 * 1024);
        assert_eq!(taken as u64, stream.bytes_sent() + 64 * 1024);
        let reader = thread::spawn(move || {
            peer.read_exact(&mut vec![0; taken]).unwrap();
            let mut rest = String::new();
            peer.read_to_string(&mut rest).unwrap();
            rest
        });
        assert_eq!(write_some(&stream, b"and more").await.unwrap(), 8);
        assert!(stream.pending_write() <= 32 * 1024 + 8);
        poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
        assert_eq!(stream.pending_write(), 0);
        poll_fn(|cx| stream.poll_shutdown(cx)).await.unwrap();
        poll_fn(|cx| stream.poll_shutdown(cx)).await.unwrap();
        assert!(write_some(&stream, b"x").await.unwrap_err().is_closed());
        assert!(write_some(&stream, b"").await.unwrap_err().is_closed());
        assert_eq!(reader.join().unwrap(), "and more");
    });
}

#[test]
fn a_smaller_limit_bounds_the_queue() {
    let (stream, peer) = memory::pair(10);
    stream.set_max_write_buffer_size(100);
    run(async {
        assert_eq!(write_some(&stream, &[1; 1000]).await.unwrap(), 110);
        assert!(try_for_some_turns(write_some(&stream, &[2; 1000])).await.is_none());
        let waiting = spawn({
            let stream = stream.clone();
            async move { write_some(&stream, &[2; 1000]).await }
        });
        // It is told when half has left.
        for _ in 0..5 {
            turns(3).await;
            assert!(!waiting.is_finished());
            peer.read_bytes(10).await.unwrap();
        }
        assert_eq!(waiting.await.unwrap().unwrap(), 50);
        stream.set_max_write_buffer_size(0);
        assert!(matches!(write_some(&stream, &[2; 10]).await, Err(Error::WriteBufferFull { limit: 0 })));
    });
}

#[test]
fn a_dropped_write_has_taken_all_of_what_it_said_and_nothing_else() {
    let (stream, peer) = memory::pair(100);
    let sent = pattern(1_000_000);
    run(async {
        let reader = spawn(async move { peer.read_until_close().await });
        let mut taken = 0;
        for round in 0.. {
            if taken == sent.len() {
                break;
            }
            // Now and then given up at its first poll.
            if round % 3 == 0 {
                let polled = poll_fn(|cx| std::task::Poll::Ready(stream.poll_write(cx, &sent[taken..])));
                if let std::task::Poll::Ready(count) = polled.await {
                    taken += count.unwrap();
                }
            } else {
                taken += write_some(&stream, &sent[taken..]).await.unwrap();
            }
        }
        stream.shutdown_write().await.unwrap();
        assert!(reader.await.unwrap().unwrap() == sent);
    });
}

#[test]
fn pieces_and_whole_writes_keep_their_order() {
    let (stream, peer) = memory::pair(7);
    run(async {
        let pieces = ["one ", "", "two ", "three "].map(|piece| IoSlice::new(piece.as_bytes()));
        let taken = poll_fn(|cx| stream.poll_write_vectored(cx, &pieces)).await.unwrap();
        assert_eq!(taken, 14);
        drop(stream.write("four "));
        assert_eq!(write_some(&stream, b"five").await.unwrap(), 4);
        drop(stream);
        assert_eq!(peer.read_until_close().await.unwrap(), "one two three four five");
    });
}

#[test]
fn a_waiting_write_fails_when_the_stream_closes() {
    let (stream, peer) = pair();
    run(async {
        fill(&stream).await;
        let waiting = spawn({
            let stream = stream.clone();
            async move { write_some(&stream, b"x").await }
        });
        turns(1).await;
        drop(peer);
        let error = waiting.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Closed { cause: Some(_) }), "{error:?}");
    });
}

#[test]
fn the_write_time_out_holds_for_polled_writes() {
    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let (stream, _peer) = memory::pair(10);
        stream.set_write_timeout(Duration::from_secs(5));
        write_some(&stream, &[1; 200_000]).await.unwrap();
        let waiting = spawn({
            let stream = stream.clone();
            async move { write_some(&stream, b"x").await }
        });
        clock.advance(Duration::from_secs(5)).await;
        assert!(waiting.await.unwrap().unwrap_err().is_timed_out());
    });
}

#[test]
fn polled_reads_and_writes_leave_the_others_their_turns() {
    const MIB: usize = 1 << 20;
    let (stream, other) = memory::pair(100 * MIB);
    run(async {
        let others = spawn(async {
            for _ in 0..5 {
                iostream::yield_now().await;
            }
        });
        let data = vec![7; MIB];
        for _ in 0..40 {
            let mut taken = 0;
            while taken < MIB {
                taken += write_some(&stream, &data[taken..]).await.unwrap();
            }
        }
        assert!(others.is_finished(), "no five turns in 40 MiB written");
        let others = spawn(iostream::yield_now());
        let mut buf = vec![0; MIB];
        for _ in 0..5 {
            read_some(&other, &mut buf).await.unwrap();
        }
        assert!(others.is_finished(), "no turn in 5 MiB read");
    });
}
