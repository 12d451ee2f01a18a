//! The kinds of stream, each with the other end of its conversation. A new one is a function here and a line in the list
//! of tests.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    thread,
};

use iostream::{IOStream, JoinHandle, memory, spawn};

use super::common::{self, Trickle, run};

/// The other end. It reads all the time, or a small capacity would stop our writes.
pub(super) trait Peer {
    fn send(&mut self, bytes: &[u8]);

    fn end(&mut self);

    /// Everything that it was sent, up to the end or the break.
    fn received(self: Box<Self>) -> Vec<u8>;
}

pub(super) type Conversation = (IOStream, Box<dyn Peer>);

pub(super) fn tcp() -> Conversation {
    let (stream, peer) = common::pair();
    (stream, SocketPeer::new(peer, TcpStream::try_clone))
}

pub(super) fn unix() -> Conversation {
    common::choose_poller();
    let (ours, theirs) = UnixStream::pair().unwrap();
    (IOStream::from_unix(ours).unwrap(), SocketPeer::new(theirs, UnixStream::try_clone))
}

pub(super) fn custom(piece: usize) -> Conversation {
    let (stream, peer) = common::pair();
    (IOStream::from_custom(Trickle::new(stream, piece)), SocketPeer::new(peer, TcpStream::try_clone))
}

pub(super) fn memory(capacity: usize) -> Conversation {
    common::choose_poller();
    let (stream, peer) = memory::pair(capacity);
    peer.set_half_open(true);
    (stream, StreamPeer::new(peer.clone(), peer))
}

pub(super) fn pipes(piece: usize) -> Conversation {
    common::choose_poller();
    let ((input, their_output), (their_input, output)) = (common::kinds::pipe(), common::kinds::pipe());
    let stream = IOStream::from_custom(Trickle::join(input, output, piece));
    (stream, StreamPeer::new(their_input, their_output))
}

/// A conversation over TLS, of which the server is looked at.
pub(super) fn tls(ends: (IOStream, IOStream)) -> Conversation {
    let (server, client) = common::kinds::secured(ends);
    client.set_half_open(true);
    (server, StreamPeer::new(client.clone(), client))
}

/// Sends from the test's thread and reads on one of its own, both blocking.
struct SocketPeer<S> {
    socket: S,
    reader: thread::JoinHandle<Vec<u8>>,
}

impl<S: Read + Send + 'static> SocketPeer<S> {
    fn new(socket: S, clone: fn(&S) -> io::Result<S>) -> Box<SocketPeer<S>> {
        let mut input = clone(&socket).unwrap();
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            // What came before a reset counts.
            let _ = input.read_to_end(&mut received);
            received
        });
        Box::new(SocketPeer { socket, reader })
    }
}

macro_rules! socket_peer {
    ($socket:ty) => {
        impl Peer for SocketPeer<$socket> {
            fn send(&mut self, bytes: &[u8]) {
                self.socket.write_all(bytes).unwrap();
            }

            fn end(&mut self) {
                self.socket.shutdown(Shutdown::Write).unwrap_or(());
            }

            fn received(self: Box<Self>) -> Vec<u8> {
                self.reader.join().unwrap()
            }
        }
    };
}

socket_peer!(TcpStream);
socket_peer!(UnixStream);

/// A stream on the same loop, or one for each direction.
struct StreamPeer {
    output: IOStream,
    reader: JoinHandle<Vec<u8>>,
}

impl StreamPeer {
    fn new(input: IOStream, output: IOStream) -> Box<StreamPeer> {
        let reader = spawn(async move {
            let mut received = Vec::new();
            while let Ok(bytes) = input.read_some(usize::MAX).await {
                received.extend_from_slice(&bytes);
            }
            received
        });
        Box::new(StreamPeer { output, reader })
    }
}

impl Peer for StreamPeer {
    fn send(&mut self, bytes: &[u8]) {
        drop(self.output.write(bytes));
    }

    fn end(&mut self) {
        let stream = self.output.clone();
        spawn(async move { stream.shutdown_write().await });
    }

    fn received(self: Box<Self>) -> Vec<u8> {
        run(self.reader).unwrap()
    }
}
