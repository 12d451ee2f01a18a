//! The in-memory pair: what a TCP connection does, without one.

mod common;

use std::{
    cell::RefCell,
    fs,
    io::ErrorKind,
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
    time::Duration,
};

use common::{pattern, run, try_for_some_turns, turns};
use iostream::{Error, IOLoop, IOStream, ioloop::VirtualClock, memory, sleep, spawn, timeout};

fn cause(error: Error) -> ErrorKind {
    let Error::Closed { cause: Some(cause) } = error else { panic!("{error:?}") };
    cause.kind()
}

#[test]
fn what_is_written_at_one_end_is_read_at_the_other() {
    let (one, other) = memory::pair(1000);
    run(async {
        one.write("there\n").await.unwrap();
        other.write("and back\n").await.unwrap();
        assert_eq!(other.read_until(b"\n").await.unwrap(), "there\n");
        assert_eq!(one.read_until(b"\n").await.unwrap(), "and back\n");
    });
}

#[test]
fn the_capacity_is_what_may_be_on_its_way() {
    let (one, other) = memory::pair(100);
    run(async {
        let mut write = one.write(&[7; 250]);
        assert_eq!(one.pending_write(), 150);
        assert!(try_for_some_turns(&mut write).await.is_none());
        assert_eq!(one.pending_write(), 150);
        assert_eq!(other.read_bytes(100).await.unwrap().len(), 100);
        assert!(try_for_some_turns(&mut write).await.is_none());
        assert_eq!(one.pending_write(), 50);
        assert_eq!(other.read_bytes(150).await.unwrap().len(), 150);
        write.await.unwrap();
    });
}

#[test]
fn much_goes_through_a_small_capacity_both_ways_at_once() {
    let (one, other) = memory::pair(7);
    let sent = Rc::new(pattern(10_000));
    let exchange = |stream: IOStream| {
        let sent = Rc::clone(&sent);
        spawn(async move {
            let write = stream.write(&*sent);
            assert!(stream.read_bytes(sent.len()).await.unwrap() == *sent);
            write.await.unwrap();
        })
    };
    run(async {
        let tasks = [exchange(one), exchange(other)];
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_shutdown_ends_the_input_behind_what_was_sent() {
    let (one, other) = memory::pair(3);
    other.set_half_open(true);
    run(async {
        let question = spawn(async move {
            one.write("question").await.unwrap();
            one.shutdown_write().await.unwrap();
            one.read_until_close().await.unwrap()
        });
        assert_eq!(other.read_until_close().await.unwrap(), "question");
        assert!(other.is_peer_closed() && !other.is_reset() && !other.is_closed());
        other.write("answer").await.unwrap();
        drop(other);
        assert_eq!(question.await.unwrap(), "answer");
    });
}

#[test]
fn dropping_an_end_delivers_what_was_queued_and_then_ends() {
    let (one, other) = memory::pair(10);
    drop(one.write("much more than ten bytes"));
    drop(one);
    assert_eq!(run(other.read_until_close()).unwrap(), "much more than ten bytes");
    assert!(other.is_closed());
}

#[test]
fn writing_to_a_closed_end_fails() {
    let (one, other) = memory::pair(10);
    drop(other);
    let error = run(one.write("anybody there?")).unwrap_err();
    assert_eq!(cause(error), ErrorKind::BrokenPipe);
}

#[test]
fn a_waiting_write_fails_when_the_other_end_is_closed() {
    let (one, other) = memory::pair(10);
    run(async {
        let write = spawn(one.write(&[0; 11]));
        turns(2).await;
        // It has received everything there was room for, so this is no reset.
        assert_eq!(other.read_bytes(10).await.unwrap().len(), 10);
        other.close();
        assert_eq!(cause(write.await.unwrap().unwrap_err()), ErrorKind::BrokenPipe);
    });
}

#[test]
fn closing_with_unread_bytes_is_a_reset_behind_what_was_sent() {
    let (one, other) = memory::pair(100);
    run(async {
        other.write("last words").await.unwrap();
        one.write("never read").await.unwrap();
        other.close();
        one.peer_closed().await;
        assert!(one.is_reset());
        assert_eq!(one.read_bytes(10).await.unwrap(), "last words");
        assert_eq!(cause(one.read_some(1).await.unwrap_err()), ErrorKind::ConnectionReset);
    });
}

#[test]
fn closing_what_was_received_and_not_consumed_is_no_reset() {
    let (one, other) = memory::pair(100);
    run(async {
        one.write("two lines\nin one\n").await.unwrap();
        other.read_until(b"\n").await.unwrap();
        assert!(other.buffered() > 0);
        other.close();
        assert!(one.read_until_close().await.unwrap().is_empty());
    });
}

#[test]
fn an_idle_end_notices_that_the_other_was_closed() {
    let (one, other) = memory::pair(1);
    run(async {
        let (closed, gone) = (spawn(one.closed()), spawn(one.peer_closed()));
        turns(2).await;
        drop(other);
        gone.await.unwrap();
        closed.await.unwrap();
    });
}

#[test]
fn a_half_open_end_closes_when_both_have_ended() {
    let (one, other) = memory::pair(1);
    one.set_half_open(true);
    run(async {
        one.shutdown_write().await.unwrap();
        let closed = spawn(one.closed());
        turns(2).await;
        other.shutdown_write().await.unwrap();
        closed.await.unwrap();
    });
}

#[test]
fn a_pair_has_no_descriptor_and_no_address() {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    common::run(async {});
    let before = descriptors();
    let pairs: Vec<_> = (0..100).map(|_| memory::pair(1 << 20)).collect();
    assert!(descriptors() < before + 50, "other tests open a few, not a hundred");
    assert!(pairs[0].0.local_addr().is_err());
    pairs[0].0.set_nodelay(true).unwrap();
}

#[test]
fn time_outs_around_a_pair_go_by_the_virtual_clock() {
    let clock = VirtualClock::auto_advancing();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let (one, other) = memory::pair(10);
        spawn(async move {
            sleep(Duration::from_secs(3600)).await;
            other.write("late\n").await.unwrap();
        });
        assert!(timeout(Duration::from_secs(3599), one.read_until(b"\n")).await.is_err());
        assert_eq!(one.read_until(b"\n").await.unwrap(), "late\n");
    });
    assert_eq!(clock.elapsed(), Duration::from_secs(3600));
}

thread_local! {
    /// What waking the waker of [`meddling_waker`] does, once.
    static ON_WAKE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

struct Meddler;

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if let Some(act) = ON_WAKE.take() {
            act();
        }
    }
}

/// A waker of foreign code, which calls `act` when it is woken.
fn meddling_waker(act: impl FnOnce() + 'static) -> Waker {
    ON_WAKE.set(Some(Box::new(act)));
    Waker::from(Arc::new(Meddler))
}

#[test]
fn a_waker_may_close_the_stream_that_wakes_it() {
    let (one, other) = memory::pair(10);
    let closes = one.clone();
    let waker = meddling_waker(move || closes.close());
    run(async {
        assert!(other.poll_read_with(&mut Context::from_waker(&waker), take_all).is_pending());
        // Wakes the reader at the other end, in the middle of this write.
        let _ = one.write("x").await;
        assert!(one.is_closed());
        turns(2).await;
        assert_eq!(other.read_until_close().await.unwrap(), "x");
    });
}

fn take_all(bytes: &[u8]) -> iostream::Parsed<usize> {
    iostream::Parsed::Done { consumed: bytes.len(), value: bytes.len() }
}
