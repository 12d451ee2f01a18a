//! Ends: the peer's, ours, and who is told of them.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use common::{pair, pattern, run, streams, try_for_some_turns, turns};
use iostream::{Error, IOLoop, IOStream, ioloop::VirtualClock, memory, spawn};

/// More than a kernel takes.
const LOTS: usize = 16 << 20;

/// Makes the peer's kernel answer our next packets, and what it has not read, with a reset.
fn reset(peer: TcpStream, stream: &IOStream) {
    // Closing with unread bytes sends a reset.
    run(stream.write("unread")).unwrap();
    while peer.peek(&mut [0]).unwrap() == 0 {}
    drop(peer);
}

/// A callback that counts its calls.
fn counter() -> (Rc<Cell<u32>>, impl FnOnce() + 'static) {
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    (count, move || counted.set(counted.get() + 1))
}

async fn some_turns() {
    turns(5).await;
}

#[test]
fn what_was_buffered_before_the_end_is_read() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(&[b'A'; 512]).unwrap();
        assert_eq!(stream.read_bytes(256).await.unwrap(), [b'A'; 256][..]);
        drop(peer);
        stream.closed().await;
        assert_eq!(stream.read_bytes(256).await.unwrap(), [b'A'; 256][..]);
        assert!(stream.read_bytes(1).await.unwrap_err().is_closed());
    });
}

#[test]
fn read_until_close_after_the_close_gives_the_rest() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(b"1234").unwrap();
        assert_eq!(stream.read_bytes(1).await.unwrap(), "1");
        drop(peer);
        stream.closed().await;
        assert_eq!(stream.read_until_close().await.unwrap(), "234");
        assert_eq!(stream.read_until_close().await.unwrap(), "");
    });
}

#[test]
fn read_until_close_gives_everything() {
    let (stream, mut peer) = pair();
    let sent = pattern(700_000);
    let expected = sent.clone();
    let writer = thread::spawn(move || peer.write_all(&sent).unwrap());
    assert!(run(stream.read_until_close()).unwrap() == expected);
    assert!(stream.is_closed());
    writer.join().unwrap();
}

#[test]
fn bytes_that_nobody_reads_do_not_hide_the_end() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(b"12").unwrap();
        assert_eq!(stream.read_bytes(1).await.unwrap(), "1");
        let (count, callback) = counter();
        stream.set_close_callback(callback);
        drop(peer);
        stream.closed().await;
        assert_eq!(stream.read_bytes(1).await.unwrap(), "2");
        some_turns().await;
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn the_close_callback_fires_although_a_read_is_pending() {
    let (stream, mut peer) = pair();
    run(async {
        let (count, callback) = counter();
        stream.set_close_callback(callback);
        let reader = iostream::spawn({
            let stream = stream.clone();
            async move { stream.read_bytes(9).await }
        });
        peer.write_all(b"x").unwrap();
        some_turns().await;
        drop(peer);
        assert!(matches!(reader.await.unwrap(), Err(Error::Closed { cause: None })));
        some_turns().await;
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn those_who_wait_for_the_close_hear_of_it_before_the_callback() {
    let (stream, mut peer) = pair();
    run(async {
        // The end of input is known, and the close waits for the queue.
        drop(stream.write(vec![7; LOTS]));
        peer.shutdown(Shutdown::Write).unwrap();
        assert!(stream.read_some(1).await.unwrap_err().is_closed());
        let told: Rc<RefCell<Vec<&str>>> = Rc::default();
        let (one, other) = (told.clone(), told.clone());
        stream.set_close_callback(move || one.borrow_mut().push("the callback"));
        let waiting = stream.closed();
        let waiting = iostream::spawn(async move {
            waiting.await;
            other.borrow_mut().push("who waits");
        });
        some_turns().await;
        assert!(!stream.is_closed());
        let reader = thread::spawn(move || std::io::copy(&mut peer, &mut std::io::sink()).unwrap());
        waiting.await.unwrap();
        some_turns().await;
        assert_eq!(*told.borrow(), ["who waits", "the callback"]);
        drop(stream);
        while !reader.is_finished() {
            turns(1).await;
        }
        assert_eq!(reader.join().unwrap(), LOTS as u64);
    });
}

#[test]
fn a_read_that_the_last_bytes_satisfy_is_satisfied() {
    let (stream, mut peer) = pair();
    run(async {
        let closed = iostream::spawn(stream.closed());
        let reader = iostream::spawn({
            let stream = stream.clone();
            async move { stream.read_bytes(5).await }
        });
        some_turns().await;
        peer.write_all(b"bytes").unwrap();
        drop(peer);
        closed.await.unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), "bytes");
    });
}

#[test]
fn the_close_callback_fires_once_and_a_turn_later() {
    let (stream, _peer) = pair();
    run(async {
        let (count, callback) = counter();
        stream.set_close_callback(callback);
        stream.close();
        assert_eq!(count.get(), 0);
        stream.close();
        some_turns().await;
        assert_eq!(count.get(), 1);
        drop(stream);
        some_turns().await;
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn the_close_callback_runs_in_the_context_of_who_set_it() {
    static SETTER: iostream::ioloop::context::Key<&str> = iostream::ioloop::context::Key::new();
    for setter in [Some("one"), None] {
        let (stream, _peer) = pair();
        let seen = Rc::new(Cell::new(Some("not called")));
        let place = seen.clone();
        run(async move {
            let set = || stream.set_close_callback(move || place.set(SETTER.get()));
            match setter {
                Some(name) => SETTER.scope(name, set),
                None => set(),
            }
            SETTER.scope("another", || stream.close());
            some_turns().await;
        });
        assert_eq!(seen.get(), setter);
    }
}

#[test]
fn a_callback_set_after_the_close_fires_too() {
    let (stream, _peer) = pair();
    run(async {
        stream.close();
        let (count, callback) = counter();
        stream.set_close_callback(callback);
        some_turns().await;
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn a_later_callback_replaces_the_earlier() {
    let (stream, peer) = pair();
    run(async {
        let (first, callback) = counter();
        stream.set_close_callback(callback);
        let (second, callback) = counter();
        stream.set_close_callback(callback);
        drop(peer);
        stream.closed().await;
        some_turns().await;
        assert_eq!((first.get(), second.get()), (0, 1));
    });
}

#[test]
fn a_callback_does_not_keep_the_stream_alive() {
    let (stream, mut peer) = pair();
    run(async {
        let (count, callback) = counter();
        stream.set_close_callback(callback);
        some_turns().await;
        drop(stream);
        some_turns().await;
        assert_eq!(count.get(), 1);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn everybody_who_waits_for_the_close_is_told() {
    let (stream, peer) = pair();
    run(async {
        let waiting: Vec<_> = (0..5).map(|_| iostream::spawn(stream.closed())).collect();
        let gone: Vec<_> = (0..5).map(|_| iostream::spawn(stream.peer_closed())).collect();
        assert!(try_for_some_turns(stream.closed()).await.is_none());
        drop(peer);
        for task in waiting.into_iter().chain(gone) {
            task.await.unwrap();
        }
        stream.closed().await;
        stream.peer_closed().await;
    });
}

#[test]
fn closing_ends_what_other_tasks_wait_for() {
    let (stream, _peer) = pair();
    run(async {
        let reader = iostream::spawn({
            let stream = stream.clone();
            async move { stream.read_until(b"\n").await }
        });
        let gone = iostream::spawn(stream.peer_closed());
        let closed = iostream::spawn(stream.closed());
        some_turns().await;
        stream.close();
        assert!(matches!(reader.await.unwrap(), Err(Error::Closed { cause: None })));
        gone.await.unwrap();
        closed.await.unwrap();
        assert!(stream.set_nodelay(true).unwrap_err().is_closed());
        assert!(stream.peer_addr().unwrap_err().is_closed());
    });
}

#[test]
fn the_peers_leaving_shows_with_bytes_unread_and_reads_nothing() {
    let (stream, mut peer) = pair();
    run(async {
        peer.write_all(b"ab").unwrap();
        assert_eq!(stream.read_bytes(1).await.unwrap(), "a");
        assert!(try_for_some_turns(stream.peer_closed()).await.is_none());
        assert!(!stream.is_peer_closed());
        peer.write_all(b"cd").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        stream.peer_closed().await;
        assert!(stream.is_peer_closed() && !stream.is_closed() && !stream.is_reset());
        assert_eq!(stream.buffered(), 1);
        assert_eq!(stream.read_until_close().await.unwrap(), "bcd");
    });
}

#[test]
fn a_half_open_stream_answers_after_the_fin() {
    let (stream, mut peer) = pair();
    stream.set_half_open(true);
    run(async {
        peer.write_all(b"question").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "question");
        assert!(stream.read_some(1).await.unwrap_err().is_closed());
        assert!(try_for_some_turns(stream.closed()).await.is_none());
        stream.write("answer").await.unwrap();
        stream.close();
    });
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

#[test]
fn a_half_open_stream_that_is_no_longer_meant_to_be_closes() {
    let (stream, peer) = pair();
    stream.set_half_open(true);
    run(async {
        peer.shutdown(Shutdown::Write).unwrap();
        stream.read_until_close().await.unwrap();
        assert!(!stream.is_closed());
        stream.set_half_open(false);
        assert!(stream.is_closed());
    });
}

#[test]
fn a_half_open_stream_closes_when_both_sides_have_ended() {
    let (stream, peer) = pair();
    stream.set_half_open(true);
    run(async {
        stream.shutdown_write().await.unwrap();
        drop(peer);
        stream.closed().await;
    });
}

#[test]
fn what_is_queued_at_the_fin_is_still_sent() {
    let (stream, mut peer) = pair();
    run(async {
        let write = stream.write(vec![7; LOTS]);
        assert!(stream.pending_write() > 0);
        peer.shutdown(Shutdown::Write).unwrap();
        assert!(stream.read_some(1).await.unwrap_err().is_closed());
        assert!(!stream.is_closed());
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).unwrap();
            received.len()
        });
        write.await.unwrap();
        stream.closed().await;
        while !reader.is_finished() {
            iostream::yield_now().await;
        }
        assert_eq!(reader.join().unwrap(), LOTS);
    });
}

#[test]
fn who_ends_a_side_of_a_stream_that_was_reset_is_told_so() {
    let (stream, peer) = pair();
    stream.set_half_open(true);
    reset(peer, &stream);
    let error = run(stream.shutdown_write()).unwrap_err();
    assert!(error.to_string().ends_with(": connection reset by peer"), "{error}");
}

#[test]
fn a_reset_closes_a_half_open_stream_with_its_cause() {
    let (stream, peer) = pair();
    stream.set_half_open(true);
    reset(peer, &stream);
    run(async {
        stream.peer_closed().await;
        stream.closed().await;
        let error = stream.read_some(1).await.unwrap_err();
        let Error::Closed { cause: Some(source) } = &error else { panic!("{error:?}") };
        assert_eq!(source.kind(), ErrorKind::ConnectionReset);
        assert!(error.to_string().ends_with(": connection reset by peer"), "{error}");
        assert!(stream.is_reset());
        assert!(stream.read_until_close().await.unwrap_err().is_closed());
    });
}

#[test]
fn a_pending_read_is_told_of_the_reset() {
    let (stream, peer) = pair();
    reset(peer, &stream);
    let error = run(stream.read_until(b"\n")).unwrap_err();
    assert!(matches!(error, Error::Closed { cause: Some(_) }), "{error:?}");
}

#[test]
fn the_last_handle_closes_the_descriptor() {
    let (stream, mut peer) = pair();
    let second = stream.clone();
    drop(stream);
    peer.set_nonblocking(true).unwrap();
    assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(second);
    peer.set_nonblocking(false).unwrap();
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_callback_may_use_the_stream_it_is_told_of() {
    let (stream, peer) = pair();
    run(async {
        let told = Rc::new(Cell::new(false));
        let tell = told.clone();
        let inside = stream.clone();
        stream.set_close_callback(move || {
            inside.close();
            inside.set_close_callback(|| {});
            drop(inside.write("too late"));
            assert!(inside.is_closed());
            tell.set(true);
        });
        drop(peer);
        stream.closed().await;
        some_turns().await;
        assert!(told.get());
    });
}

thread_local! {
    /// The stream that [`Meddling`] uses.
    static MEDDLES_WITH: RefCell<Option<IOStream>> = const { RefCell::new(None) };
}

/// A task of foreign code, which uses a stream when its last waker is dropped.
struct Meddling;

impl Wake for Meddling {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Meddling {
    fn drop(&mut self) {
        let stream = MEDDLES_WITH.take().expect("dropped once");
        stream.set_close_callback(|| {});
        assert!(pin!(stream.closed()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

#[test]
fn a_waker_may_use_the_stream_when_it_is_dropped() {
    // By another task that takes its place, and by the future's end.
    for replaced in [true, false] {
        let (stream, _peer) = memory::pair(1);
        stream.set_half_open(true);
        MEDDLES_WITH.set(Some(stream.clone()));
        let mut closed = Box::pin(stream.closed());
        let waker = Waker::from(Arc::new(Meddling));
        assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        // Ending our side wakes those who wait for both sides' end: the transport has no waker any more.
        run(stream.shutdown_write()).unwrap();
        drop(waker);
        if replaced {
            assert!(closed.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(closed);
        assert!(MEDDLES_WITH.take().is_none(), "the waker is still somewhere");
    }
}

#[test]
fn a_full_buffer_leaves_the_end_to_the_reader() {
    let (stream, mut peer) = pair();
    stream.set_max_buffer_size(1000);
    run(async {
        peer.write_all(&[b'x'; 5000]).unwrap();
        drop(peer);
        assert!(try_for_some_turns(stream.closed()).await.is_none());
        let closed = iostream::spawn(stream.closed());
        for _ in 0..5 {
            assert_eq!(stream.read_bytes(1000).await.unwrap().len(), 1000);
        }
        assert!(stream.read_some(1).await.unwrap_err().is_closed());
        closed.await.unwrap();
    });
}

/// Room is made by reads, of which none may meet the end.
#[test]
fn an_end_behind_a_full_buffer_is_noticed_within_a_second_of_there_being_room() {
    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let (stream, peer) = memory::pair(10_000);
        stream.set_max_buffer_size(1000);
        let (count, callback) = counter();
        stream.set_close_callback(callback);
        let closed = spawn(stream.closed());
        peer.write(&[b'x'; 2500]).await.unwrap();
        peer.close();
        for _ in 0..4 {
            clock.advance(Duration::from_secs(5)).await;
            assert!(!closed.is_finished() && stream.buffered() <= 1000);
            assert_eq!(stream.read_bytes(500).await.unwrap().len(), 500);
        }
        clock.advance(Duration::from_secs(1)).await;
        some_turns().await;
        assert_eq!((closed.is_finished(), count.get()), (true, 1));
        assert_eq!(stream.read_until_close().await.unwrap().len(), 500);
        assert_eq!(IOLoop::current().metrics().live_timers, 0, "nothing is asked any more");
    });
}

#[test]
fn connecting_to_nobody_names_the_address() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(IOStream::connect(addr)).unwrap_err();
    assert!(matches!(&error, Error::Connect { cause, .. } if cause.kind() == ErrorKind::ConnectionRefused));
    assert!(error.to_string().contains(&addr.to_string()));
}

#[test]
fn both_ends_know_their_addresses() {
    let (ours, theirs) = streams();
    assert_eq!(ours.local_addr().unwrap(), theirs.peer_addr().unwrap());
    assert_eq!(ours.peer_addr().unwrap(), theirs.local_addr().unwrap());
}

#[test]
fn a_dropped_connect_leaves_nothing_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    run(async {
        for _ in 0..10 {
            let mut attempt = Box::pin(IOStream::connect(addr));
            let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(attempt.as_mut().poll(cx))).await;
        }
        let stream = IOStream::connect(addr).await.unwrap();
        stream.write("here").await.unwrap();
    });
    for _ in 0..10 {
        let (mut given_up, _) = listener.accept().unwrap();
        assert!(given_up.read(&mut [0]).is_ok_and(|n| n == 0));
    }
    assert_eq!(listener.accept().unwrap().0.read(&mut [0; 9]).unwrap(), 4);
    IOLoop::current().close();
}

#[test]
fn a_reset_behind_the_fin_is_noticed_by_who_waits_for_it() {
    let (stream, peer) = pair();
    stream.set_half_open(true);
    peer.shutdown(Shutdown::Write).unwrap();
    run(async {
        stream.peer_closed().await;
        assert!(try_for_some_turns(stream.broken()).await.is_none());
        assert!(!stream.is_reset());
    });
    reset(peer, &stream);
    run(async {
        stream.broken().await;
        assert!(stream.is_reset() && !stream.is_closed());
        stream.close();
        stream.broken().await;
    });
}

#[test]
fn a_wait_for_a_broken_connection_ends_with_the_stream_and_with_both_fins() {
    for (stream, other) in [streams(), memory::pair(10)] {
        stream.set_half_open(true);
        run(async {
            let broken = spawn({
                let stream = stream.clone();
                async move { stream.broken().await }
            });
            other.shutdown_write().await.unwrap();
            some_turns().await;
            assert!(!broken.is_finished());
            stream.shutdown_write().await.unwrap();
            broken.await.unwrap();
            stream.close();
            stream.broken().await;
        });
    }
}
