//! A close that delivers what was written.

mod common;

use std::{
    io::{Read, Write},
    net::Shutdown,
    thread,
    time::Duration,
};

use common::{kinds::both_ways_over_every_kind, pair, pattern, run, try_for_some_turns, turns};
use iostream::{Error, IOLoop, ioloop::VirtualClock, memory, spawn};

const LOTS: usize = 8 << 20;
const SECOND: Duration = Duration::from_secs(1);

fn on_virtual_clock(test: impl AsyncFnOnce(VirtualClock)) {
    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(test(clock));
}

/// The peer talks all the time, and listens only afterwards.
#[test]
fn everything_arrives_although_the_peer_sends_what_nobody_reads() {
    let (stream, mut peer) = pair();
    let sent = pattern(LOTS);
    let talker = thread::spawn(move || {
        for _ in 0..100 {
            peer.write_all(&[b'?'; 10_000]).unwrap();
        }
        let mut received = Vec::new();
        peer.read_to_end(&mut received).unwrap();
        received
    });
    run(async {
        drop(stream.write(&sent));
        stream.finish().await.unwrap();
        assert!(stream.is_closed());
        assert_eq!(stream.buffered(), 0);
    });
    assert!(talker.join().unwrap() == sent);
}

#[test]
fn every_kind_of_stream_that_goes_both_ways_can_finish() {
    for half_open in [false, true] {
        both_ways_over_every_kind(async |peer, stream| {
            stream.set_half_open(half_open);
            let sent = pattern(10_000);
            drop(stream.write(&sent));
            let finished = spawn(async move { stream.finish().await });
            assert!(peer.read_until_close().await.unwrap() == sent);
            finished.await.unwrap().unwrap();
        });
    }
}

/// And takes nothing before all that it says has been taken.
#[test]
fn everything_arrives_although_the_peer_listens_only_when_it_has_been_heard() {
    let sent = pattern(LOTS);
    both_ways_over_every_kind(async |peer, stream| {
        let talker = spawn({
            let peer = peer.clone();
            async move { peer.write(vec![b'?'; LOTS]).await }
        });
        peer.set_max_buffer_size(LOTS);
        drop(stream.write(&sent));
        let finished = spawn(async move { stream.finish().await });
        talker.await.unwrap().unwrap();
        assert!(peer.read_until_close().await.unwrap() == sent);
        finished.await.unwrap().unwrap();
    });
}

#[test]
fn it_is_over_when_the_peer_has_ended_and_not_before() {
    let (stream, mut peer) = pair();
    stream.set_half_open(true);
    run(async {
        drop(stream.write("bye"));
        assert!(try_for_some_turns(stream.finish()).await.is_none());
        assert!(stream.write("x").await.unwrap_err().is_closed());
        let mut received = String::new();
        peer.read_to_string(&mut received).unwrap();
        assert_eq!(received, "bye");
        assert!(try_for_some_turns(stream.finish()).await.is_none());
        peer.shutdown(Shutdown::Write).unwrap();
        stream.finish().await.unwrap();
        stream.finish().await.unwrap();
    });
}

#[test]
fn a_reader_has_its_input_meanwhile() {
    let (stream, mut peer) = pair();
    run(async {
        let reader = spawn({
            let stream = stream.clone();
            async move { stream.read_until_close().await }
        });
        turns(1).await;
        let finished = spawn({
            let stream = stream.clone();
            async move { stream.finish().await }
        });
        turns(2).await;
        peer.write_all(b"last ").unwrap();
        turns(2).await;
        peer.write_all(b"words").unwrap();
        drop(peer);
        finished.await.unwrap().unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), "last words");
    });
}

#[test]
fn what_is_buffered_stays_readable() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(b"one\ntwo\n").unwrap();
        stream.read_until(b"\n").await.unwrap();
        drop(peer);
        stream.finish().await.unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "two\n");
    });
}

#[test]
fn a_peer_that_does_not_end_its_side_is_given_30_s() {
    on_virtual_clock(async |clock| {
        let (stream, peer) = memory::pair(100);
        peer.set_half_open(true);
        drop(stream.write("bye"));
        let finished = spawn(async move { stream.finish().await });
        assert_eq!(peer.read_until_close().await.unwrap(), "bye");
        // Talking does not help it.
        peer.write("more").await.unwrap();
        clock.advance(29 * SECOND).await;
        peer.write("and more").await.unwrap();
        assert!(!finished.is_finished());
        clock.advance(SECOND).await;
        let error = finished.await.unwrap().unwrap_err();
        assert!(error.is_timed_out(), "{error:?}");
        assert!(peer.write("too late").await.unwrap_err().is_closed());
    });
}

#[test]
fn a_peer_that_takes_nothing_is_given_30_s_or_what_is_set() {
    for limit in [None, Some(5 * SECOND)] {
        on_virtual_clock(async |clock| {
            let (stream, _peer) = memory::pair(10);
            if let Some(limit) = limit {
                stream.set_write_timeout(limit);
            }
            drop(stream.write(&[7; 100]));
            let finished = spawn(async move { stream.finish().await });
            clock.advance(limit.unwrap_or(30 * SECOND) - Duration::from_millis(1)).await;
            assert!(!finished.is_finished());
            clock.advance(Duration::from_millis(1)).await;
            assert!(finished.await.unwrap().unwrap_err().is_timed_out());
        });
    }
}

#[test]
fn a_stream_that_has_closed_itself_behind_the_end_of_input_is_finished() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(b"all").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "all");
        assert!(stream.is_closed());
        stream.finish().await.unwrap();
    });
}

#[test]
fn a_broken_connection_is_not_finished() {
    let (stream, peer) = memory::pair(10);
    run(async {
        drop(stream.write("unread"));
        peer.close();
        let error = stream.finish().await.unwrap_err();
        assert!(matches!(error, Error::Closed { cause: Some(_) }), "{error:?}");
        assert!(stream.is_closed());
    });
    let (stream, _peer) = memory::pair(10);
    stream.close();
    assert!(matches!(run(stream.finish()), Err(Error::Closed { cause: None })));
}
