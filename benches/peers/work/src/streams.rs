//! What the servers of the stream rows do.

use std::{env, net::TcpListener, process};

/// How many bytes an echo has.
pub const ECHO_SIZE: usize = 64;

/// How many bytes a line has, its end included.
pub const LINE_SIZE: usize = 64;

/// How many bytes a server that only receives asks for at a time.
pub const CHUNK_SIZE: usize = 64 * 1024;

/// How many bytes a server that only sends writes at a time.
pub const WRITE_SIZE: usize = 256 * 1024;

/// How many bytes a server that only sends writes in all: 1 GiB.
pub const SOURCE_SIZE: usize = 1 << 30;

/// How many writes are flushed together, and how many bytes each has.
pub const BATCH: usize = 16;

/// How many bytes a write of a batch has.
pub const BATCHED_SIZE: usize = 1024;

/// What a server does with each of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Sends back what has come.
    Echo,
    /// Reads lines to the end of input, then answers with one byte.
    Lines,
    /// Reads to the end of input, then answers with one byte.
    Sink,
    /// Sends [`SOURCE_SIZE`] bytes, then ends.
    Source,
    /// Closes at once.
    Close,
    /// Answers each byte with [`BATCH`] writes, flushed together.
    Batch,
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 6] =
        [Service::Echo, Service::Lines, Service::Sink, Service::Source, Service::Close, Service::Batch];

    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Service::Echo => "echo",
            Service::Lines => "lines",
            Service::Sink => "sink",
            Service::Source => "source",
            Service::Close => "close",
            Service::Batch => "batch",
        }
    }
}

/// What the first argument of a server program asks for, and a socket to serve it on, whose address has been printed.
pub fn start() -> (Service, TcpListener) {
    let name = env::args().nth(1).unwrap_or_default();
    let Some(service) = Service::ALL.into_iter().find(|service| service.name() == name) else {
        eprintln!("usage: PROGRAM {}", Service::ALL.map(Service::name).join("|"));
        process::exit(2);
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    println!("{}", listener.local_addr().expect("it is bound"));
    (service, listener)
}
