//! Threads, which all start here: what the standard library compiles for each kind of closure is a fiftieth of this crate.

use std::{
    io,
    thread::{Builder, JoinHandle},
};

pub(crate) fn start(builder: Builder, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    builder.spawn(work)
}
