use std::{
    io::{PipeReader, PipeWriter, Write, pipe},
    mem,
    rc::Rc,
};

use crate::{Latch, Peer, Sample, Stopwatch};

const PIPES: usize = 1_000;
const READY: usize = 64;

pub(super) async fn ready_pipes<P: Peer>(
    peer: &P,
    repetitions: usize,
    read: fn(&P, PipeReader, Rc<Latch>) -> bool,
) -> Option<Sample> {
    let latch = Rc::new(Latch::new(0));
    let mut writers = Vec::with_capacity(PIPES);
    for _ in 0..PIPES {
        let (reader, writer) = pipe().expect("2,000 descriptors are allowed");
        if !read(peer, reader, Rc::clone(&latch)) {
            return None;
        }
        writers.push(writer);
    }
    let mut watch = Stopwatch::new();
    // The first round is for the tasks to begin to wait.
    for round in 0..=repetitions {
        latch.reset(READY);
        write_bytes(&mut writers, round);
        let part = watch.start();
        latch.wait().await;
        if round > 0 {
            part.stop(READY);
        }
    }
    // The tasks read on until the process ends; the end of input would be news to them.
    mem::forget(writers);
    Some(watch.total())
}

/// One byte into each of 64 pipes, every time others.
fn write_bytes(writers: &mut [PipeWriter], round: usize) {
    for index in 0..READY {
        let writer = &mut writers[(round * 101 + index * 15) % PIPES];
        writer.write_all(b"x").expect("the reader is there");
    }
}
