//! Streams over a transport that a user has brought.

mod common;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
};

use common::{Trickle, pattern, run, try_for_some_turns, turns};
use iostream::{CustomTransport, Error, IOStream, memory, spawn};

/// A transport with a place for one waker, as little as a transport may have, driven by the test.
#[derive(Clone, Default)]
struct Wire(Rc<State>);

#[derive(Default)]
struct State {
    incoming: RefCell<VecDeque<io::Result<Vec<u8>>>>,
    /// What the next sends claim.
    sends: RefCell<VecDeque<io::Result<usize>>>,
    outgoing: RefCell<Vec<u8>>,
    waker: RefCell<Option<Waker>>,
    full: Cell<bool>,
    ended: Cell<bool>,
    peer_closed: Cell<bool>,
    /// Closed from within the next receive.
    closes: RefCell<Option<IOStream>>,
}

impl Wire {
    fn stream(&self) -> IOStream {
        common::choose_poller();
        IOStream::from_custom(self.clone())
    }

    fn comes(&self, what: io::Result<Vec<u8>>) {
        self.0.incoming.borrow_mut().push_back(what);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.0.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn wait<T>(&self, cx: &mut Context<'_>) -> Poll<T> {
        self.0.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl CustomTransport for Wire {
    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(stream) = self.0.closes.take() {
            stream.close();
        }
        let Some(what) = self.0.incoming.borrow_mut().pop_front() else { return self.wait(cx) };
        Poll::Ready(what.map(|bytes| {
            let count = bytes.len().min(buf.len());
            buf[..count].copy_from_slice(&bytes[..count]);
            bytes.len()
        }))
    }

    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.0.full.get() {
            return self.wait(cx);
        }
        if let Some(result) = self.0.sends.borrow_mut().pop_front() {
            return Poll::Ready(result);
        }
        self.0.outgoing.borrow_mut().extend(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.full.get() {
            return self.wait(cx);
        }
        self.0.ended.set(true);
        Poll::Ready(Ok(()))
    }

    fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.peer_closed.get() { Poll::Ready(()) } else { self.wait(cx) }
    }
}

#[test]
fn a_write_leaves_at_once_when_the_transport_takes_it() {
    let wire = Wire::default();
    let stream = wire.stream();
    assert!(stream.write("hello, ").is_done());
    assert!(stream.write_parts(b"world", "!".into()).is_done() || stream.pending_write() == 1);
    run(stream.write("")).unwrap();
    assert_eq!(wire.0.outgoing.take(), b"hello, world!");
}

#[test]
fn a_full_transport_slows_the_writer_down_and_loses_nothing() {
    let wire = Wire::default();
    let stream = wire.stream();
    wire.0.full.set(true);
    run(async {
        let written = spawn({
            let stream = stream.clone();
            async move { stream.write(pattern(10_000)).await }
        });
        turns(2).await;
        assert_eq!((stream.pending_write(), written.is_finished()), (10_000, false));
        wire.0.full.set(false);
        wire.wake();
        written.await.unwrap().unwrap();
    });
    assert_eq!(wire.0.outgoing.take(), pattern(10_000));
}

#[test]
fn one_waker_is_enough_for_several_tasks() {
    let wire = Wire::default();
    let stream = wire.stream();
    wire.0.full.set(true);
    run(async {
        let closed = spawn(stream.closed());
        let read = spawn({
            let stream = stream.clone();
            async move { stream.read_bytes(5).await }
        });
        let written = spawn({
            let stream = stream.clone();
            async move { stream.write("x").await }
        });
        turns(2).await;
        // The waker that is kept was given by one of them. It wakes whom it concerns.
        wire.comes(Ok(b"hello".to_vec()));
        assert_eq!(read.await.unwrap().unwrap(), "hello");
        wire.0.full.set(false);
        wire.wake();
        written.await.unwrap().unwrap();
        wire.0.peer_closed.set(true);
        wire.comes(Ok(Vec::new()));
        closed.await.unwrap();
    });
}

#[test]
fn closing_wakes_the_tasks_that_wait() {
    let wire = Wire::default();
    let stream = wire.stream();
    wire.0.full.set(true);
    run(async {
        let read = spawn({
            let stream = stream.clone();
            async move { stream.read_some(1).await }
        });
        let written = spawn({
            let stream = stream.clone();
            async move { stream.write("x").await }
        });
        turns(2).await;
        stream.close();
        assert!(read.await.unwrap().unwrap_err().is_closed());
        assert!(written.await.unwrap().unwrap_err().is_closed());
    });
    assert_eq!(Rc::strong_count(&wire.0), 1, "the transport was not dropped");
}

#[test]
fn a_stream_may_be_closed_from_within_its_transport() {
    let wire = Wire::default();
    let stream = wire.stream();
    wire.0.closes.replace(Some(stream.clone()));
    assert!(run(stream.read_some(1)).unwrap_err().is_closed());
    run(turns(1));
    assert_eq!(Rc::strong_count(&wire.0), 1, "the transport was not dropped");
}

#[test]
fn interruptions_do_not_show() {
    let wire = Wire::default();
    let stream = wire.stream();
    wire.comes(Err(io::ErrorKind::Interrupted.into()));
    wire.comes(Ok(b"hello".to_vec()));
    assert_eq!(run(stream.read_some(10)).unwrap(), "hello");
    wire.0.sends.borrow_mut().push_back(Err(io::ErrorKind::Interrupted.into()));
    run(stream.write("hello")).unwrap();
    assert_eq!(wire.0.outgoing.take(), b"hello");
}

#[test]
fn an_error_of_the_transport_is_the_cause_of_the_close() {
    let wire = Wire::default();
    let stream = wire.stream();
    wire.comes(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the tunnel has collapsed")));
    let error = run(stream.read_some(10)).unwrap_err();
    assert_eq!(error.to_string(), "the stream is closed: the tunnel has collapsed");
    assert!(stream.is_closed());
}

#[test]
fn claims_that_cannot_be_true_break_the_connection() {
    let cause = |error: Error| match error {
        Error::Closed { cause: Some(cause) } => cause.to_string(),
        other => panic!("{other:?}"),
    };
    let wire = Wire::default();
    let stream = wire.stream();
    wire.comes(Ok(vec![0; 100]));
    stream.set_max_buffer_size(9);
    let error = run(stream.read_some(1)).unwrap_err();
    assert_eq!(cause(error), "the transport claims to have moved 100 bytes of 10");

    for (claim, text) in [
        (0, "the transport has sent nothing and does not wait"),
        (6, "the transport claims to have moved 6 bytes of 5"),
    ] {
        let wire = Wire::default();
        let stream = wire.stream();
        wire.0.sends.borrow_mut().push_back(Ok(claim));
        assert_eq!(cause(run(stream.write("hello")).unwrap_err()), text);
    }
}

/// Takes nothing at first, and panics when it is offered something again.
#[derive(Default)]
struct Fragile(Cell<u32>);

impl CustomTransport for Fragile {
    fn poll_recv(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.set(self.0.get() + 1);
        match self.0.get() {
            1 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            2 => panic!("as asked"),
            _ => Poll::Ready(Ok(data.len())),
        }
    }

    fn poll_shutdown(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Waits for ever, and panics when it is dropped.
struct Mined;

impl CustomTransport for Mined {
    fn poll_recv(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_send(&self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_shutdown(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Drop for Mined {
    fn drop(&mut self) {
        panic!("as asked");
    }
}

#[test]
fn a_transport_that_panics_when_it_is_closed_keeps_the_close_from_nobody() {
    common::choose_poller();
    let stream = IOStream::from_custom(Mined);
    run(async {
        let read = spawn({
            let stream = stream.clone();
            async move { stream.read_some(1).await }
        });
        let written = spawn(stream.write("x"));
        let closed = spawn(stream.closed());
        turns(2).await;
        stream.close();
        assert!(read.await.unwrap().unwrap_err().is_closed());
        assert!(written.await.unwrap().unwrap_err().is_closed());
        closed.await.unwrap();
    });
}

#[test]
fn a_transport_that_panics_while_the_queue_is_sent_closes_the_stream() {
    common::choose_poller();
    let stream = IOStream::from_custom(Fragile::default());
    let error = run(stream.write("hello")).unwrap_err();
    assert_eq!(error.to_string(), "the stream is closed: sending has panicked");
    assert!(stream.is_closed());
}

#[test]
fn a_transport_that_panics_when_it_is_offered_the_queue_takes_no_bytes_along() {
    common::choose_poller();
    let stream = IOStream::from_custom(Fragile::default());
    let written = stream.write("hello");
    assert!(catch_unwind(AssertUnwindSafe(|| stream.offer_queued())).is_err());
    assert_eq!(stream.pending_write(), 5);
    run(written).unwrap();
    assert_eq!(stream.bytes_sent(), 5);
}

#[test]
fn a_shutdown_may_take_its_time() {
    let wire = Wire::default();
    let stream = wire.stream();
    wire.0.full.set(true);
    run(async {
        assert!(try_for_some_turns(stream.shutdown_write()).await.is_none());
        wire.0.full.set(false);
        // The one before was given up, so this one does it.
        stream.shutdown_write().await.unwrap();
    });
    assert!(wire.0.ended.get());
    assert!(run(stream.write("x")).unwrap_err().is_closed());
}

#[test]
fn another_thread_may_wake_the_stream() {
    /// Its bytes come from a thread.
    struct Thread(mpsc::Sender<Waker>, mpsc::Receiver<u8>);

    impl CustomTransport for Thread {
        fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            match self.1.try_recv() {
                Ok(byte) => {
                    buf[0] = byte;
                    Poll::Ready(Ok(1))
                }
                Err(mpsc::TryRecvError::Disconnected) => Poll::Ready(Ok(0)),
                Err(mpsc::TryRecvError::Empty) => {
                    self.0.send(cx.waker().clone()).ok();
                    Poll::Pending
                }
            }
        }

        fn poll_send(&self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_shutdown(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    let (wakers, waiting) = mpsc::channel::<Waker>();
    let (bytes, received) = mpsc::channel();
    let sender = thread::spawn(move || {
        for byte in b'a'..=b'z' {
            bytes.send(byte).unwrap();
            if let Ok(waker) = waiting.try_recv() {
                waker.wake();
            }
        }
        drop(bytes);
        waiting.iter().for_each(Waker::wake);
    });
    let stream = IOStream::from_custom(Thread(wakers, received));
    assert_eq!(run(stream.read_until_close()).unwrap(), "abcdefghijklmnopqrstuvwxyz");
    drop(stream);
    sender.join().unwrap();
}

#[test]
fn transports_stack() {
    let (ours, theirs) = memory::pair(1000);
    let stream = IOStream::from_custom(Trickle::new(IOStream::from_custom(Trickle::new(ours, 7)), 5));
    run(async {
        spawn(async move {
            theirs.set_half_open(true);
            let all = theirs.read_until_close().await?;
            theirs.write(all).await
        });
        stream.set_half_open(true);
        stream.write(pattern(10_000)).await.unwrap();
        stream.shutdown_write().await.unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), pattern(10_000));
    });
}
