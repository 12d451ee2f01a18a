//! The kinds of stream, each as two connected ends on the thread's loop. A new one is a line in [`KINDS`].

use std::{io, os::unix::net::UnixStream, sync::LazyLock};

use iostream::{
    IOStream, memory, spawn,
    tls::{TlsAcceptor, TlsConnector},
};

use super::{Trickle, certs::Authority, choose_poller, run, streams};

#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Returns a reader and a writer.
    make: fn() -> (IOStream, IOStream),
    /// Each end does both.
    both_ways: bool,
}

/// Small capacities, so that a test of much data sees full ones.
const KINDS: [Kind; 10] = [
    both_ways("TCP", streams),
    both_ways("Unix", unix),
    Kind { name: "pipe", make: pipe, both_ways: false },
    both_ways("memory", || memory::pair(64 * 1024)),
    both_ways("a little memory", || memory::pair(10_000)),
    both_ways("custom", custom),
    both_ways("TLS to the server", || secured(streams())),
    both_ways("TLS to the client", || swap(secured(streams()))),
    both_ways("TLS over Unix", || secured(unix())),
    both_ways("TLS over a little memory", || secured(memory::pair(10_000))),
];

const fn both_ways(name: &'static str, make: fn() -> (IOStream, IOStream)) -> Kind {
    Kind { name, make, both_ways: true }
}

/// One of each kind: its name, a reader and a writer.
pub(crate) fn every_kind() -> impl Iterator<Item = (&'static str, IOStream, IOStream)> {
    KINDS.into_iter().map(Kind::made)
}

/// Runs `test` with a reader and a writer of each kind. When it fails, its output names the kind.
pub(crate) fn over_every_kind(test: impl AsyncFn(IOStream, IOStream)) {
    over(&KINDS, test);
}

/// As [`over_every_kind`], of those kinds whose ends both read and write.
pub(crate) fn both_ways_over_every_kind(test: impl AsyncFn(IOStream, IOStream)) {
    let kinds: Vec<Kind> = KINDS.into_iter().filter(|kind| kind.both_ways).collect();
    over(&kinds, test);
}

fn over(kinds: &[Kind], test: impl AsyncFn(IOStream, IOStream)) {
    for &kind in kinds {
        let (name, reader, writer) = kind.made();
        println!("over {name}");
        run(test(reader, writer));
    }
}

impl Kind {
    fn made(self) -> (&'static str, IOStream, IOStream) {
        choose_poller();
        let (reader, writer) = (self.make)();
        (self.name, reader, writer)
    }
}

pub(crate) fn unix() -> (IOStream, IOStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (IOStream::from_unix(ours).unwrap(), IOStream::from_unix(theirs).unwrap())
}

pub(crate) fn pipe() -> (IOStream, IOStream) {
    let (reader, writer) = io::pipe().unwrap();
    (IOStream::from_pipe(reader).unwrap(), IOStream::from_pipe(writer).unwrap())
}

fn custom() -> (IOStream, IOStream) {
    let (ours, theirs) = streams();
    (IOStream::from_custom(Trickle::new(ours, 10_000)), IOStream::from_custom(Trickle::new(theirs, 10_000)))
}

/// Lets a server and a client shake hands over what connects them.
pub(crate) fn secured((server, client): (IOStream, IOStream)) -> (IOStream, IOStream) {
    static BOTH: LazyLock<(TlsAcceptor, TlsConnector)> = LazyLock::new(|| Authority::new().both());
    let (acceptor, connector) = &*BOTH;
    run(async {
        let accepted = spawn(server.start_tls_server(acceptor));
        client.start_tls_client(connector, "localhost").await.unwrap();
        accepted.await.unwrap().unwrap();
    });
    (server, client)
}

fn swap<T>((one, other): (T, T)) -> (T, T) {
    (other, one)
}
