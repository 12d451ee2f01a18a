//! What the servers of the HTTP rows have in common: the bodies they answer with, and their command line, which is that of our own
//! `bench-http`.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process,
    time::Duration,
};

use serde::Serialize;

/// The text of `GET /plaintext` and the message of `GET /json`.
pub const HELLO: &str = "Hello, World!";

/// The largest body `POST /echo` takes.
pub const ECHO_LIMIT: usize = 16 << 20;

/// How long a connection may be idle: as long as ours. Connections stay open while the other servers have their turns.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// The answer to `GET /json`, serialised for each request.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Message {
    /// What to say.
    pub message: &'static str,
}

/// The one message there is.
pub const MESSAGE: Message = Message { message: HELLO };

/// The command line: `[--port N] [--tls CHAIN KEY]`.
#[derive(Debug, Default)]
pub struct Options {
    /// 0, the default, lets the kernel pick one.
    pub port: u16,
    /// The files of the certificate and its key, for a server over TLS.
    pub tls: Option<[PathBuf; 2]>,
}

impl Options {
    /// Reads the arguments of the process, which ends when they are wrong.
    pub fn from_arguments() -> Options {
        parse(env::args().skip(1)).unwrap_or_else(|| {
            eprintln!("usage: PROGRAM [--port N] [--tls CHAIN KEY]");
            process::exit(2);
        })
    }

    /// A socket that does not block, whose address has been printed.
    pub fn listen(&self) -> TcpListener {
        let listener = TcpListener::bind(self.address()).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        announce(listener.local_addr().expect("it is bound"));
        listener
    }

    /// Where a server should listen that wants an address instead of a socket and does not tell its port.
    pub fn free_address(&self) -> SocketAddr {
        TcpListener::bind(self.address()).and_then(|listener| listener.local_addr()).expect("a free port")
    }

    /// Where to listen, with a port that may be 0.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

/// Prints where the server listens; the runner waits for this line.
pub fn announce(address: SocketAddr) {
    println!("listening on http://{address}");
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--port" => options.port = arguments.next()?.parse().ok()?,
            "--tls" => options.tls = Some([arguments.next()?.into(), arguments.next()?.into()]),
            _ => return None,
        }
    }
    Some(options)
}
