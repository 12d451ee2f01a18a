//! What closes in spite of foreign code that panics, and of a loop that is gone.

mod common;

use std::{
    cell::Cell,
    future::Future,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use common::{run, streams, turns};
use iostream::{Bytes, IOLoop, IOStream, memory, spawn};

/// More than a kernel takes.
const LOTS: usize = 16 << 20;

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

/// Bytes, or anything else.
struct PanickingDrop;

impl AsRef<[u8]> for PanickingDrop {
    fn as_ref(&self) -> &[u8] {
        &[0; 100]
    }
}

impl Drop for PanickingDrop {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

/// Closes a stream, for which `prepare` has brought what panics, while a reader, a writer, a task and a callback wait for it.
fn everybody_is_told(prepare: impl FnOnce(&IOStream)) {
    run(async {
        let (stream, _peer) = memory::pair(10);
        prepare(&stream);
        let read = spawn({
            let stream = stream.clone();
            async move { stream.read_some(1).await }
        });
        let written = spawn(stream.write(vec![0; 100]));
        let closed = spawn(stream.closed());
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        stream.set_close_callback(move || counted.set(counted.get() + 1));
        turns(5).await;
        stream.close();
        assert!(read.await.unwrap().unwrap_err().is_closed());
        assert!(written.await.unwrap().unwrap_err().is_closed());
        closed.await.unwrap();
        turns(5).await;
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn queued_bytes_that_panic_when_they_are_dropped_keep_the_close_from_nobody() {
    everybody_is_told(|stream| {
        for _ in 0..2 {
            drop(stream.write(Bytes::from_owner(PanickingDrop)));
        }
    });
}

#[test]
fn what_is_attached_and_panics_keeps_the_close_from_nobody() {
    let dropped = Rc::new(());
    everybody_is_told(|stream| {
        stream.attach(PanickingDrop);
        stream.attach(Rc::clone(&dropped));
        stream.attach(PanickingDrop);
    });
    assert_eq!(Rc::strong_count(&dropped), 1);
}

#[test]
fn a_waker_that_panics_keeps_the_close_from_nobody() {
    let waker = Waker::from(Arc::new(PanickingWaker));
    let mut cx = Context::from_waker(&waker);
    let mut waiting = Vec::new();
    everybody_is_told(|stream| {
        let mut closed = stream.closed();
        assert!(pin!(&mut closed).poll(&mut cx).is_pending());
        let mut written = stream.write(vec![0; 20]);
        assert!(pin!(&mut written).poll(&mut cx).is_pending());
        waiting.push((closed, written));
    });
}

/// Two streams of a loop that is closed.
fn of_a_closed_loop() -> (IOStream, IOStream) {
    let ioloop = IOLoop::new().unwrap();
    let streams = ioloop.run_sync(async { streams() });
    ioloop.close();
    streams
}

#[test]
fn a_reader_and_a_writer_of_a_stream_whose_loop_is_closed_are_told() {
    let (stream, other) = of_a_closed_loop();
    let error = run(stream.read_some(1)).unwrap_err();
    assert_eq!(error.to_string(), "the stream is closed: its loop is closed");
    assert!(run(other.write(vec![0; LOTS])).unwrap_err().is_closed());
    let (stream, _other) = of_a_closed_loop();
    run(stream.closed());
    let ioloop = IOLoop::new().unwrap();
    let (stream, _other) = ioloop.run_sync(async { memory::pair(10) });
    ioloop.close();
    assert!(run(stream.write("more than it takes")).unwrap_err().is_closed());
}
