//! Two streams passed on to each other.

mod common;

use std::{
    cell::Cell,
    io::{self, Read, Write},
    net::Shutdown,
    rc::Rc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use common::{pair, pattern, run, streams, turns};
use iostream::{
    Copied, CustomTransport, Error, IOLoop, IOStream, JoinHandle, copy_bidirectional, ioloop::VirtualClock, memory,
    spawn,
};

/// More than the kernel's buffers of a connection take.
const LOTS: usize = 16 << 20;
const LIMIT: Duration = Duration::from_secs(60);

/// A client, a server, and the copying between them.
fn between(capacity: usize) -> (IOStream, IOStream, JoinHandle<Copied>) {
    let ((client, a), (b, server)) = (memory::pair(capacity), memory::pair(capacity));
    client.set_half_open(true);
    server.set_half_open(true);
    let copying = spawn(async move { copy_bidirectional(&a, &b).idle_timeout(LIMIT).await });
    (client, server, copying)
}

fn run_virtual(test: impl AsyncFnOnce(VirtualClock)) {
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(test(clock));
    ioloop.close();
}

#[test]
fn both_ways_are_passed_on_and_counted_through_pairs_of_any_capacity() {
    for capacity in [1, 7, 1000, 100_000] {
        run(async {
            let (client, server, copying) = between(capacity);
            let (there, back) = (pattern(5000), pattern(3333));
            for (stream, bytes) in [(&client, &there), (&server, &back)] {
                drop(stream.write(&bytes[..]));
            }
            let ends = [(&client, &back), (&server, &there)];
            for (stream, bytes) in ends {
                assert!(stream.read_bytes(bytes.len()).await.unwrap() == bytes[..], "{capacity}");
            }
            for (stream, _) in ends {
                stream.shutdown_write().await.unwrap();
            }
            for (stream, _) in ends {
                assert_eq!(stream.read_until_close().await.unwrap(), "");
            }
            let copied = copying.await.unwrap();
            assert_eq!((copied.a_to_b, copied.b_to_a), (5000, 3333));
            copied.result.unwrap();
        });
    }
}

#[test]
fn the_end_of_one_side_is_passed_on_and_the_other_side_goes_on() {
    run(async {
        let ((a, mut client), (b, mut server)) = (pair(), pair());
        let copying = spawn(async move { copy_bidirectional(&a, &b).await });
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let server = thread::spawn(move || {
            let mut question = String::new();
            server.read_to_string(&mut question).unwrap();
            assert_eq!(question, "question");
            server.write_all(&pattern(LOTS)).unwrap();
        });
        let client = thread::spawn(move || {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            answer
        });
        let copied = copying.await.unwrap();
        assert_eq!((copied.a_to_b, copied.b_to_a), (8, LOTS as u64));
        copied.result.unwrap();
        server.join().unwrap();
        assert!(client.join().unwrap() == pattern(LOTS));
    });
}

#[test]
fn what_a_slow_side_does_not_take_stays_with_the_other_one() {
    run(async {
        let (client, server, copying) = between(1000);
        let mut sent = 0;
        while client.pending_write() == 0 {
            drop(client.write(vec![b'x'; 1000]));
            sent += 1000;
            turns(3).await;
        }
        // The two pairs, and one read of up to 64 KiB in between.
        assert!(sent <= 1000 * 4 + 64 * 1024, "{sent}");
        assert!(!copying.is_finished());
        assert_eq!(server.read_bytes(sent).await.unwrap().len(), sent);
    });
}

#[test]
fn a_copy_that_is_idle_both_ways_is_given_up() {
    run_virtual(async |clock| {
        let (client, server, copying) = between(1000);
        // Either way counts, and so does a silent side that only listens.
        for (from, to) in [(&client, &server), (&server, &client), (&server, &client)] {
            turns(3).await;
            clock.advance(LIMIT - Duration::from_millis(1)).await;
            from.write("tick").await.unwrap();
            assert_eq!(to.read_bytes(4).await.unwrap(), "tick");
        }
        turns(3).await;
        clock.advance(LIMIT - Duration::from_millis(1)).await;
        turns(3).await;
        assert!(!copying.is_finished());
        clock.advance(Duration::from_millis(1)).await;
        let copied = copying.await.unwrap();
        assert!(matches!(copied.result, Err(Error::TimedOut)), "{:?}", copied.result);
        assert_eq!((copied.a_to_b, copied.b_to_a), (4, 8));
        for stream in [client, server] {
            assert_eq!(stream.read_until_close().await.unwrap(), "");
        }
    });
}

#[test]
fn a_receiver_that_takes_little_by_little_is_not_idle_and_one_that_takes_nothing_is() {
    run_virtual(async |clock| {
        let ((client, a), (b, server)) = (memory::pair(100), memory::pair(10));
        let copying = spawn(async move { copy_bidirectional(&a, &b).idle_timeout(LIMIT).await });
        // One piece, of which there is more to be sent until the end: the copy waits for all of it.
        client.write(vec![b'x'; 100]).await.unwrap();
        turns(3).await;
        for _ in 0..5 {
            clock.advance(LIMIT - Duration::from_millis(1)).await;
            assert_eq!(server.read_bytes(10).await.unwrap().len(), 10);
            turns(3).await;
        }
        assert!(!copying.is_finished());
        clock.advance(LIMIT - Duration::from_millis(1)).await;
        turns(3).await;
        assert!(!copying.is_finished());
        clock.advance(LIMIT).await;
        let copied = copying.await.unwrap();
        assert!(matches!(copied.result, Err(Error::TimedOut)));
        assert_eq!(copied.a_to_b, 60);
    });
}

/// A transport that takes what there is room for and, as the kernel does, says late that there is room: never.
struct Untold {
    room: Rc<Cell<usize>>,
}

impl CustomTransport for Untold {
    fn poll_recv(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_send(&self, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let count = data.len().min(self.room.get());
        self.room.set(self.room.get() - count);
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
    }

    fn poll_shutdown(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_receiver_that_has_room_and_does_not_say_so_is_not_idle() {
    run_virtual(async |clock| {
        let room = Rc::new(Cell::new(50));
        let (client, a) = memory::pair(100);
        let b = IOStream::from_custom(Untold { room: Rc::clone(&room) });
        let copying = spawn(async move { copy_bidirectional(&a, &b).idle_timeout(LIMIT).await });
        client.write(vec![b'x'; 100]).await.unwrap();
        turns(3).await;
        assert_eq!(room.get(), 0);
        for _ in 0..4 {
            room.set(10);
            clock.advance(LIMIT).await;
            turns(3).await;
            assert_eq!((room.get(), copying.is_finished()), (0, false));
        }
        clock.advance(LIMIT).await;
        let copied = copying.await.unwrap();
        assert!(matches!(copied.result, Err(Error::TimedOut)));
        assert_eq!(copied.a_to_b, 90);
    });
}

#[test]
fn a_side_that_breaks_ends_the_other_one() {
    run(async {
        let ((client, a), (b, server)) = (streams(), streams());
        let copying = spawn(async move { copy_bidirectional(&a, &b).await });
        client.write("there").await.unwrap();
        assert_eq!(server.read_bytes(5).await.unwrap(), "there");
        server.write("unread").await.unwrap();
        while client.buffered() == 0 && !client.is_readable() {
            turns(1).await;
        }
        // With bytes unread: a reset.
        drop(client);
        let copied = copying.await.unwrap();
        assert_eq!((copied.a_to_b, copied.b_to_a), (5, 6));
        assert!(copied.result.unwrap_err().is_closed());
        assert!(server.read_until_close().await.is_ok_and(|rest| rest.is_empty()) || server.is_closed());
    });
}

#[test]
fn a_side_that_breaks_behind_its_end_ends_a_silent_other_one() {
    run(async {
        let (client, server, copying) = between(1000);
        client.shutdown_write().await.unwrap();
        assert_eq!(server.read_until_close().await.unwrap_or_default(), "");
        server.write("unread").await.unwrap();
        turns(3).await;
        assert!(!copying.is_finished());
        // Nobody reads from it, and nobody writes to it.
        client.close();
        let copied = copying.await.unwrap();
        assert_eq!(copied.b_to_a, 6);
        assert!(copied.result.unwrap_err().is_closed());
    });
}

#[test]
fn a_copy_that_is_dropped_leaves_the_streams_open_and_loses_nothing() {
    run(async {
        let ((client, a), (b, server)) = (memory::pair(1000), memory::pair(1000));
        let copying = spawn({
            let (a, b) = (a.clone(), b.clone());
            async move { copy_bidirectional(&a, &b).await }
        });
        client.write("one").await.unwrap();
        assert_eq!(server.read_bytes(3).await.unwrap(), "one");
        copying.abort();
        assert!(copying.await.is_err());
        client.write("two").await.unwrap();
        assert_eq!(a.read_bytes(3).await.unwrap(), "two");
        b.write("three").await.unwrap();
        assert_eq!(server.read_bytes(5).await.unwrap(), "three");
    });
}

#[test]
fn bytes_written_before_do_not_count_and_go_first() {
    run(async {
        let ((client, a), (b, server)) = (memory::pair(10), memory::pair(10));
        let head = b.write("a head that does not fit");
        let copying = spawn(async move { copy_bidirectional(&a, &b).await });
        client.write("body").await.unwrap();
        client.shutdown_write().await.unwrap();
        assert_eq!(server.read_until_close().await.unwrap(), "a head that does not fitbody");
        head.await.unwrap();
        server.close();
        let copied = copying.await.unwrap();
        assert_eq!((copied.a_to_b, copied.b_to_a), (4, 0));
    });
}

#[test]
fn a_small_limit_of_what_may_be_queued_only_makes_smaller_steps() {
    run(async {
        let ((client, a), (b, server)) = (memory::pair(1000), memory::pair(3));
        b.set_max_write_buffer_size(10);
        let copying = spawn(async move { copy_bidirectional(&a, &b).await });
        client.write(pattern(500)).await.unwrap();
        client.shutdown_write().await.unwrap();
        assert!(server.read_until_close().await.unwrap() == pattern(500));
        server.close();
        copying.await.unwrap().result.unwrap();
    });
}

#[test]
fn a_stream_that_may_queue_nothing_ends_the_copying() {
    run(async {
        let ((client, a), (b, _server)) = (memory::pair(100), memory::pair(100));
        b.set_max_write_buffer_size(0);
        client.write("hello").await.unwrap();
        let copied = copy_bidirectional(&a, &b).await;
        assert!(matches!(copied.result, Err(Error::WriteBufferFull { limit: 0 })), "{copied:?}");
        assert_eq!((copied.a_to_b, copied.b_to_a), (0, 0));
    });
}
