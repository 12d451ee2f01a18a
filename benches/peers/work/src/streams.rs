//! What the servers of the stream rows do.

use std::{env, net::TcpListener, path::PathBuf, process};

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
    /// [`Echo`](Service::Echo) over TLS.
    TlsEcho,
    /// [`Sink`](Service::Sink) over TLS.
    TlsSink,
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 8] = [
        Service::Echo,
        Service::Lines,
        Service::Sink,
        Service::Source,
        Service::Close,
        Service::Batch,
        Service::TlsEcho,
        Service::TlsSink,
    ];

    /// Whether its connections are encrypted.
    pub fn is_tls(self) -> bool {
        matches!(self, Service::TlsEcho | Service::TlsSink)
    }

    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Service::Echo => "echo",
            Service::Lines => "lines",
            Service::Sink => "sink",
            Service::Source => "source",
            Service::Close => "close",
            Service::Batch => "batch",
            Service::TlsEcho => "tls-echo",
            Service::TlsSink => "tls-sink",
        }
    }
}

/// What the first argument of a server program asks for, and a socket to serve it on, whose address has been printed.
pub fn start() -> (Service, TcpListener) {
    let name = env::args().nth(1).unwrap_or_default();
    let Some(service) = Service::ALL.into_iter().find(|service| service.name() == name) else {
        eprintln!("usage: PROGRAM {} [CERTIFICATE KEY]", Service::ALL.map(Service::name).join("|"));
        process::exit(2);
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    println!("{}", listener.local_addr().expect("it is bound"));
    (service, listener)
}

/// The files of certificate and key, for a service over TLS.
pub fn certificate() -> (PathBuf, PathBuf) {
    let mut files = env::args_os().skip(2).map(PathBuf::from);
    let (Some(certificate), Some(key)) = (files.next(), files.next()) else {
        eprintln!("a certificate and its key are missing");
        process::exit(2);
    };
    (certificate, key)
}
