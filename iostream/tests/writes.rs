//! What is written arrives, in order, and what cannot be sent at once waits within limits.

mod common;

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io::{Read, Write},
    pin::Pin,
    rc::Rc,
    thread,
};

use bytes::{Bytes, BytesMut};
use common::{pair, pattern, run, streams, try_for_some_turns};
use iostream::{Error, IOStream, WriteFuture};

/// More than the kernel's buffers of a connection take.
const LOTS: usize = 16 << 20;

/// Writes until the kernel takes no more; gives the last write, which waits, and the count of bytes written.
async fn fill(stream: &IOStream) -> (WriteFuture, usize) {
    let mut written = 0;
    loop {
        let mut write = stream.write(&[0; 100_000]);
        written += 100_000;
        if try_for_some_turns(&mut write).await.is_none() {
            return (write, written);
        }
    }
}

#[test]
fn everything_that_can_be_written_arrives() {
    let (stream, mut peer) = pair();
    let (string, vec, bytes) = (String::from("String "), b"Vec ".to_vec(), Bytes::from_static(b"Bytes "));
    run(async {
        stream.write("str ").await.unwrap();
        stream.write(&string).await.unwrap();
        stream.write(string).await.unwrap();
        stream.write(b"array ").await.unwrap();
        stream.write(&b"slice "[..]).await.unwrap();
        stream.write(&vec).await.unwrap();
        stream.write(vec).await.unwrap();
        stream.write(&bytes).await.unwrap();
        stream.write(bytes).await.unwrap();
        stream.write(BytesMut::from("BytesMut ")).await.unwrap();
        stream.write_parts(b"head ", Bytes::from_static(b"body")).await.unwrap();
    });
    drop(stream);
    let mut received = String::new();
    peer.read_to_string(&mut received).unwrap();
    assert_eq!(received, "str String String array slice Vec Vec Bytes Bytes BytesMut head body");
}

#[test]
fn writes_complete_in_order_when_the_peer_reads() {
    let (stream, mut peer) = pair();
    let order = Rc::new(RefCell::new(Vec::new()));
    let sent = pattern(LOTS);
    run(async {
        let tasks: Vec<_> = sent
            .chunks(LOTS / 8)
            .enumerate()
            .map(|(i, piece)| {
                let write = stream.write(piece);
                let order = order.clone();
                iostream::spawn(async move {
                    write.await.unwrap();
                    order.borrow_mut().push(i);
                })
            })
            .collect();
        assert!(stream.pending_write() > 0, "all of it fitted into the kernel");
        let reader = thread::spawn(move || {
            let mut received = vec![0; LOTS];
            peer.read_exact(&mut received).unwrap();
            received
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(stream.pending_write(), 0);
        assert!(reader.join().unwrap() == sent);
    });
    assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_parts_of_a_write_stay_together_when_they_must_wait() {
    let (stream, mut peer) = pair();
    let body = Bytes::from(pattern(LOTS));
    run(async {
        let write = stream.write_parts(b"head", body.clone());
        let second = stream.write_parts(b"HEAD", body.slice(..10));
        let reader = thread::spawn(move || {
            let mut received = vec![0; LOTS + 18];
            peer.read_exact(&mut received).unwrap();
            received
        });
        write.await.unwrap();
        second.await.unwrap();
        let received = reader.join().unwrap();
        assert!(received == [b"head", &body[..], b"HEAD", &body[..10]].concat());
    });
}

#[test]
fn an_empty_write_completes_after_those_before_it() {
    let (stream, mut peer) = pair();
    run(async {
        stream.write("").await.unwrap();
        let (_, written) = fill(&stream).await;
        let mut empty = stream.write("");
        assert!(try_for_some_turns(&mut empty).await.is_none());
        let reader = thread::spawn(move || peer.read_exact(&mut vec![0; written]).unwrap());
        empty.await.unwrap();
        assert_eq!(stream.pending_write(), 0);
        reader.join().unwrap();
    });
}

#[test]
fn dropping_the_future_and_the_stream_does_not_take_the_bytes_back() {
    let (stream, mut peer) = pair();
    let sent = pattern(LOTS);
    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        peer.read_to_end(&mut received).unwrap();
        received
    });
    drop(stream.write(&sent));
    drop(stream);
    run(async {
        while !reader.is_finished() {
            iostream::yield_now().await;
        }
    });
    assert!(reader.join().unwrap() == sent);
}

#[test]
fn a_write_can_wait_while_a_read_waits() {
    let (ours, theirs) = streams();
    let sent = pattern(LOTS);
    let echo = {
        let theirs = theirs.clone();
        async move {
            while let Ok(bytes) = theirs.read_some(64 * 1024).await {
                theirs.write(bytes).await.unwrap();
            }
        }
    };
    run(async {
        let echo = iostream::spawn(echo);
        ours.set_max_buffer_size(LOTS);
        let write = ours.write(&sent);
        assert!(ours.read_bytes(LOTS).await.unwrap() == sent);
        write.await.unwrap();
        ours.close();
        echo.await.unwrap();
    });
}

#[test]
fn flushing_waits_for_the_queue() {
    let (stream, mut peer) = pair();
    run(async {
        poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
        let (_, written) = fill(&stream).await;
        assert!(try_for_some_turns(poll_fn(|cx| stream.poll_flush(cx))).await.is_none());
        let reader = thread::spawn(move || peer.read_exact(&mut vec![0; written]).unwrap());
        poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
        assert_eq!(stream.pending_write(), 0);
        reader.join().unwrap();
        stream.close();
        poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
    });
}

#[test]
fn closing_with_bytes_in_the_queue_fails_their_writers() {
    let (stream, _peer) = pair();
    run(async {
        let (write, _) = fill(&stream).await;
        let waiting = iostream::spawn(write);
        iostream::yield_now().await;
        stream.close();
        assert!(matches!(waiting.await.unwrap(), Err(Error::Closed { cause: None })));
        assert!(poll_fn(|cx| stream.poll_flush(cx)).await.unwrap_err().is_closed());
        assert_eq!(stream.pending_write(), 0);
    });
}

#[test]
fn shutting_down_writing_sends_the_queue_first_and_leaves_reading() {
    let (stream, mut peer) = pair();
    run(async {
        let (_, written) = fill(&stream).await;
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).unwrap();
            peer.write_all(b"thanks").unwrap();
            received.len()
        });
        stream.shutdown_write().await.unwrap();
        assert_eq!(stream.read_bytes(6).await.unwrap(), "thanks");
        assert_eq!(reader.join().unwrap(), written);
        assert!(stream.write("more").await.unwrap_err().is_closed());
        stream.shutdown_write().await.unwrap();
    });
}

#[test]
fn writing_to_a_closed_stream_fails() {
    let (stream, _peer) = pair();
    stream.close();
    assert!(matches!(run(stream.write("x")), Err(Error::Closed { cause: None })));
    assert!(run(stream.shutdown_write()).unwrap_err().is_closed());
}

#[test]
fn writing_to_a_peer_that_has_gone_closes_the_stream_with_the_cause() {
    let (stream, peer) = pair();
    drop(peer);
    run(async {
        let error = loop {
            // The first one makes the peer's kernel answer with a reset.
            if let Err(error) = stream.write("anybody there?").await {
                break error;
            }
            iostream::yield_now().await;
        };
        assert!(matches!(error, Error::Closed { cause: Some(_) }), "{error:?}");
        assert!(stream.is_closed() && stream.is_reset());
    });
}

#[test]
fn a_waiting_write_fails_when_the_peer_goes() {
    let (stream, peer) = pair();
    run(async {
        let (write, _) = fill(&stream).await;
        drop(peer);
        assert!(matches!(write.await, Err(Error::Closed { cause: Some(_) })));
    });
}

#[test]
fn a_write_over_the_limit_is_refused_whole_and_harms_nothing() {
    let (stream, mut peer) = pair();
    stream.set_max_write_buffer_size(1000);
    run(async {
        assert!(matches!(stream.write(&[0; 1001]).await, Err(Error::WriteBufferFull { limit: 1000 })));
        stream.write("fits").await.unwrap();
        let refused = stream.write_parts(&[0; 500], Bytes::from_static(&[0; 501]));
        assert!(matches!(refused.await, Err(Error::WriteBufferFull { limit: 1000 })));
        stream.write_parts(b" fits", Bytes::from_static(b" too")).await.unwrap();
    });
    drop(stream);
    let mut received = String::new();
    peer.read_to_string(&mut received).unwrap();
    assert_eq!(received, "fits fits too");
}

#[test]
fn the_limit_counts_what_is_queued() {
    let (stream, mut peer) = pair();
    run(async {
        let (write, written) = fill(&stream).await;
        stream.set_max_write_buffer_size(stream.pending_write() + 10);
        drop(stream.write(&[1; 10]));
        assert!(matches!(stream.write(&[2; 1]).await, Err(Error::WriteBufferFull { .. })));
        let reader = thread::spawn(move || peer.read_exact(&mut vec![0; written + 10]).unwrap());
        write.await.unwrap();
        poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
        stream.write("room again").await.unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn a_kernel_that_takes_everything_leaves_the_others_their_turns() {
    let (stream, mut peer) = pair();
    let reader = thread::spawn(move || std::io::copy(&mut peer, &mut std::io::sink()).unwrap());
    run(async {
        let others = iostream::spawn(iostream::yield_now());
        for _ in 0..10 * 64 {
            stream.write(&[0; 16 * 1024]).await.unwrap();
        }
        assert!(others.is_finished(), "no turn in 10 MiB");
        drop(stream);
        // The queue may have to come to its end first.
        while !reader.is_finished() {
            iostream::yield_now().await;
        }
    });
    reader.join().unwrap();
}

#[test]
fn a_kernel_that_takes_everything_leaves_the_descriptors_their_turns() {
    const MIB: u64 = 64;
    let (stream, mut peer) = pair();
    let reader = thread::spawn(move || std::io::copy(&mut peer, &mut std::io::sink()).unwrap());
    run(async {
        // A task like others: `run`'s own makes the loop look whenever it is woken.
        let writer = iostream::spawn(async move {
            let looks = || iostream::IOLoop::current().metrics().waits;
            let before = looks();
            for _ in 0..MIB * 64 {
                stream.write(&[0; 16 * 1024]).await.unwrap();
            }
            looks() - before
        });
        let looks = writer.await.unwrap();
        // One for each four, but where the kernel hesitated for a moment just then.
        assert!(looks >= MIB / 4 * 3 / 4, "{looks} looks in {MIB} MiB");
        while !reader.is_finished() {
            iostream::yield_now().await;
        }
    });
    reader.join().unwrap();
}

#[test]
fn a_task_that_waits_for_two_writes_is_told_of_the_first() {
    let (stream, mut peer) = pair();
    run(async {
        let (mut first, written) = fill(&stream).await;
        let mut second = stream.write(vec![0; LOTS]);
        let reader = thread::spawn(move || {
            peer.read_exact(&mut vec![0; written]).unwrap();
            peer
        });
        let both = poll_fn(|cx| {
            let first = Pin::new(&mut first).poll(cx);
            assert!(Pin::new(&mut second).poll(cx).is_pending(), "the kernel took all of it");
            first
        });
        both.await.unwrap();
        reader.join().unwrap();
    });
}
