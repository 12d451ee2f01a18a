//! Peers that take nothing: how long a stream waits for them, with handles and without.

mod common;

use std::{io::Read, rc::Rc, time::Duration};

use common::{pair, try_for_some_turns, turns};
use iostream::{Error, IOLoop, IOStream, ioloop::VirtualClock, memory, spawn};

const SECOND: Duration = Duration::from_secs(1);

/// Runs `test` on a loop whose time passes when the test says so.
fn on_virtual_clock(test: impl AsyncFnOnce(VirtualClock)) {
    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(test(clock));
}

/// Something that lasts as long as the stream's descriptor.
fn attach_to(stream: &IOStream) -> impl Fn() -> bool + use<> {
    let guard = Rc::new(());
    stream.attach(Rc::clone(&guard));
    move || Rc::strong_count(&guard) == 2
}

#[test]
fn a_stream_without_handles_is_given_up_when_its_peer_takes_nothing_for_30_s() {
    on_virtual_clock(async |clock| {
        let (stream, peer) = memory::pair(10);
        let open = attach_to(&stream);
        drop(stream.write(&[7; 100]));
        drop(stream);
        let tasks = IOLoop::current().task_count();
        clock.advance(29 * SECOND).await;
        assert!(open());
        clock.advance(SECOND).await;
        assert!(!open());
        assert_eq!(IOLoop::current().task_count(), tasks - 1);
        assert_eq!(peer.read_until_close().await.unwrap().len(), 10);
    });
}

#[test]
fn its_descriptor_is_closed() {
    on_virtual_clock(async |clock| {
        let (stream, mut peer) = pair();
        let open = attach_to(&stream);
        drop(stream.write(vec![7; 16 << 20]));
        drop(stream);
        // On a busy machine the kernel hands on what it was given a moment later. Then it takes more, and the time starts
        // afresh.
        for _ in 0..10 {
            clock.advance(30 * SECOND).await;
        }
        assert!(!open());
        let mut received = Vec::new();
        peer.read_to_end(&mut received).unwrap();
        assert!(received.len() < 16 << 20);
    });
}

#[test]
fn every_byte_that_the_peer_takes_starts_the_time_afresh() {
    on_virtual_clock(async |clock| {
        let (stream, peer) = memory::pair(10);
        let open = attach_to(&stream);
        drop(stream.write(&[7; 100]));
        drop(stream);
        for _ in 0..3 {
            clock.advance(29 * SECOND).await;
            peer.read_bytes(10).await.unwrap();
        }
        turns(2).await;
        clock.advance(29 * SECOND).await;
        assert!(open());
        clock.advance(SECOND).await;
        assert!(!open());
    });
}

#[test]
fn the_time_begins_with_the_last_handles_end() {
    on_virtual_clock(async |clock| {
        let (stream, _peer) = memory::pair(10);
        let open = attach_to(&stream);
        let second = stream.clone();
        drop(stream.write(&[7; 100]));
        drop(stream);
        clock.advance(3600 * SECOND).await;
        drop(second);
        clock.advance(29 * SECOND).await;
        assert!(open());
        clock.advance(SECOND).await;
        assert!(!open());
    });
}

#[test]
fn a_writer_is_told_that_the_peer_has_taken_nothing() {
    on_virtual_clock(async |clock| {
        let (stream, _peer) = memory::pair(10);
        stream.set_write_timeout(5 * SECOND);
        let write = spawn(stream.write(&[7; 100]));
        clock.advance(5 * SECOND - Duration::from_millis(1)).await;
        assert!(!write.is_finished() && !stream.is_closed());
        clock.advance(Duration::from_millis(1)).await;
        let error = write.await.unwrap().unwrap_err();
        assert!(error.is_timed_out() && error.is_closed(), "{error:?}");
    });
}

#[test]
fn the_write_time_out_begins_when_waiting_begins_whatever_the_size_of_the_pieces() {
    const MIB: usize = 1 << 20;
    on_virtual_clock(async |clock| {
        let (stream, peer) = memory::pair(2 * MIB);
        stream.set_write_timeout(SECOND);
        // After each MiB the writer yields: a queue with nothing in it.
        stream.write(vec![7; MIB]).await.unwrap();
        stream.write(vec![7; MIB]).await.unwrap();
        clock.advance(10 * SECOND).await;
        assert!(!stream.is_closed());
        let write = spawn(stream.write(vec![7; MIB]));
        clock.advance(SECOND - Duration::from_millis(1)).await;
        assert!(!stream.is_closed());
        clock.advance(Duration::from_millis(1)).await;
        assert!(write.await.unwrap().unwrap_err().is_timed_out());
        drop(peer);
    });
}

#[test]
fn a_limit_set_while_waiting_counts_from_then_on() {
    on_virtual_clock(async |clock| {
        let (stream, _peer) = memory::pair(10);
        drop(stream.write(&[7; 100]));
        clock.advance(100 * SECOND).await;
        stream.set_write_timeout(10 * SECOND);
        clock.advance(9 * SECOND).await;
        assert!(!stream.is_closed());
        stream.set_write_timeout(Duration::MAX);
        clock.advance(100 * SECOND).await;
        assert!(!stream.is_closed());
    });
}

#[test]
fn without_a_limit_the_holder_of_a_handle_decides() {
    on_virtual_clock(async |clock| {
        let (stream, peer) = memory::pair(10);
        let write = spawn(stream.write(&[7; 100]));
        clock.advance(24 * 3600 * SECOND).await;
        assert!(!write.is_finished());
        assert_eq!(stream.bytes_sent(), 10);
        peer.read_bytes(10).await.unwrap();
        turns(2).await;
        assert_eq!(stream.bytes_sent(), 20);
    });
}

#[test]
fn what_is_attached_goes_with_the_descriptor_and_not_before() {
    on_virtual_clock(async |_| {
        let (stream, peer) = memory::pair(10);
        let open = attach_to(&stream);
        drop(stream.write(&[7; 11]));
        drop(stream);
        turns(2).await;
        assert!(open());
        assert_eq!(peer.read_until_close().await.unwrap().len(), 11);
        assert!(!open());
        peer.close();
        assert!(!attach_to(&peer)());
    });
}

#[test]
fn what_is_attached_may_use_the_stream_when_it_is_dropped() {
    struct Meddler(IOStream);

    impl Drop for Meddler {
        fn drop(&mut self) {
            assert!(self.0.is_closed());
            self.0.close();
            self.0.attach(());
            drop(self.0.write("too late"));
        }
    }

    on_virtual_clock(async |_| {
        let (stream, _peer) = memory::pair(10);
        stream.attach(Meddler(stream.clone()));
        stream.close();
        assert!(matches!(try_for_some_turns(stream.closed()).await, Some(())));
        assert!(matches!(stream.write("x").await, Err(Error::Closed { .. })));
    });
}
