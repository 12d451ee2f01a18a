//! Writes that wait for a flush.

mod common;

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    task::{Context, Poll},
};

use common::{run, streams};
use iostream::{CustomTransport, Error, IOStream, memory, spawn};
use proptest::prelude::*;

/// Takes everything at once, and keeps each piece that it was given.
#[derive(Clone, Default)]
struct Recorder {
    sends: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl CustomTransport for Recorder {
    fn poll_recv(&self, _cx: &mut Context<'_>, _buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_send(&self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.sends.borrow_mut().push(data.to_vec());
        Poll::Ready(Ok(data.len()))
    }

    fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        self.poll_send(cx, &all)
    }

    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn recorded() -> (IOStream, Recorder) {
    let recorder = Recorder::default();
    (IOStream::from_custom(recorder.clone()), recorder)
}

#[test]
fn what_is_queued_leaves_by_one_send() {
    let (stream, recorder) = recorded();
    run(async {
        for _ in 0..16 {
            stream.queue(&[b'x'; 1024]).unwrap();
        }
        stream.queue(vec![b'y'; 100]).unwrap();
        stream.queue("z").unwrap();
        assert_eq!(stream.pending_write(), 16 * 1024 + 101);
        stream.flush().await.unwrap();
    });
    let sent = recorder.sends.borrow();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0], [&[b'x'; 16 * 1024][..], &[b'y'; 100], b"z"].concat());
}

#[test]
fn a_flush_sends_before_anything_is_awaited() {
    let (stream, recorder) = recorded();
    run(async {
        stream.queue("a").unwrap();
        let flushed = stream.flush();
        assert!(flushed.is_done());
        assert_eq!(*recorder.sends.borrow(), [b"a"]);
        flushed.await.unwrap();
    });
}

#[test]
fn what_is_queued_leaves_by_itself_when_the_ready_tasks_have_run() {
    let (stream, recorder) = recorded();
    run(async {
        stream.queue("a").unwrap();
        stream.queue("b").unwrap();
        assert!(recorder.sends.borrow().is_empty());
        // Nobody needs to keep a handle.
        drop(stream);
        iostream::yield_now().await;
        assert_eq!(*recorder.sends.borrow(), [b"ab"]);
    });
}

#[test]
fn a_write_goes_behind_what_is_queued() {
    let (stream, recorder) = recorded();
    run(async {
        stream.queue("first ").unwrap();
        stream.write("second ").await.unwrap();
        stream.queue("third").unwrap();
        stream.shutdown_write().await.unwrap();
    });
    assert_eq!(recorder.sends.borrow().concat(), b"first second third");
}

#[test]
fn a_limit_refuses_a_whole_piece_and_a_closed_stream_every_piece() {
    let (stream, _peer) = memory::pair(10);
    run(async {
        stream.set_max_write_buffer_size(3);
        stream.queue("ab").unwrap();
        assert!(matches!(stream.queue("cd"), Err(Error::WriteBufferFull { limit: 3 })));
        stream.queue("c").unwrap();
        assert_eq!(stream.pending_write(), 3);
        stream.close();
        assert!(stream.queue("d").unwrap_err().is_closed());
        assert!(stream.flush().await.unwrap_err().is_closed(), "three bytes were lost");
    });
}

#[test]
fn a_flush_of_nothing_is_done() {
    let (stream, recorder) = recorded();
    run(async {
        stream.queue("").unwrap();
        assert!(stream.flush().is_done());
    });
    assert!(recorder.sends.borrow().is_empty());
}

/// Memory of the user's that panics when it is given back.
struct Bomb;

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        b"bomb "
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in the destructor of what was written");
    }
}

#[test]
fn bytes_whose_destructor_panics_are_sent_once_and_hold_nothing_up() {
    // So little room that some of it leaves together with what is behind it.
    for capacity in [3, 8, 100] {
        let (stream, peer) = memory::pair(capacity);
        let received = run(async move {
            stream.queue("before ").unwrap();
            stream.queue(bytes::Bytes::from_owner(Bomb)).unwrap();
            stream.queue(bytes::Bytes::from_owner(Bomb)).unwrap();
            stream.queue("behind").unwrap();
            drop(stream);
            peer.read_until_close().await
        });
        assert_eq!(received.unwrap(), "before bomb bomb behind");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Queue(usize),
    QueueOwned(usize),
    Write(usize),
    WriteParts(usize, usize),
    Flush,
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![4 => 0..100usize, 1 => 0..20_000usize];
    prop_oneof![
        4 => size().prop_map(Step::Queue),
        2 => size().prop_map(Step::QueueOwned),
        2 => size().prop_map(Step::Write),
        1 => (size(), size()).prop_map(|(head, body)| Step::WriteParts(head, body)),
        1 => Just(Step::Flush),
        2 => Just(Step::Turn),
    ]
}

/// Does the steps with bytes that number themselves, and returns what came and what should have.
fn come_out(steps: Vec<Step>, (stream, peer): (IOStream, IOStream)) -> (Vec<u8>, Vec<u8>) {
    run(async move {
        peer.set_max_buffer_size(64 * 1024 * 1024);
        let reader = spawn(async move { peer.read_until_close().await });
        let mut written = Vec::new();
        let mut next = |len: usize| {
            let start = written.len();
            written.extend((start..start + len).map(|at| (at % 251) as u8));
            written[start..].to_vec()
        };
        for step in steps {
            match step {
                Step::Queue(len) => stream.queue(&next(len)[..]).unwrap(),
                Step::QueueOwned(len) => stream.queue(next(len)).unwrap(),
                Step::Write(len) => drop(stream.write(next(len))),
                Step::WriteParts(head, body) => drop(stream.write_parts(&next(head), next(body).into())),
                Step::Flush => stream.flush().await.unwrap(),
                Step::Turn => iostream::yield_now().await,
            }
        }
        drop(stream);
        (reader.await.unwrap().unwrap().to_vec(), written)
    })
}

proptest! {
    #[test]
    fn bytes_keep_their_order_however_they_are_written(
        steps in proptest::collection::vec(step(), 0..40),
        capacity in 1..5000usize,
    ) {
        let (came, written) = come_out(steps.clone(), memory::pair(capacity));
        prop_assert!(came == written, "over a pair: {} of {} bytes", came.len(), written.len());
        let (came, written) = come_out(steps, streams());
        prop_assert!(came == written, "over TCP: {} of {} bytes", came.len(), written.len());
    }
}
