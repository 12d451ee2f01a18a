//! Random conversations over every transport against the simplest model: a queue of bytes. Nothing is lost, doubled or
//! reordered, whatever is read how, given up half-way or cut off by a close.

mod common;

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    sync::LazyLock,
};

use bytes::Bytes;
use common::{Trickle, certs::Authority, pair, run, streams, try_for_some_turns};
use iostream::{
    IOStream, JoinHandle, Parsed, memory, spawn,
    tls::{TlsAcceptor, TlsConnector},
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    PeerSends(Vec<u8>),
    PeerEnds,
    Read(How),
    /// Polled for some turns, then dropped.
    GiveUp(How),
    TryRead(usize),
    Write(Vec<u8>),
    Close,
}

#[derive(Debug, Clone)]
enum How {
    Until(Vec<u8>),
    Bytes(usize),
    Some(usize),
    Into(usize),
    Partly(usize),
    With(usize),
    UntilClose,
}

/// Few different bytes, so that delimiters occur, whole and in part.
fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(0..3u8, 1..10),
        1 => proptest::collection::vec(0..3u8, 1..max),
    ]
}

fn how() -> impl Strategy<Value = How> {
    let size = || prop_oneof![3 => 1..20usize, 1 => 1..5000usize];
    prop_oneof![
        proptest::collection::vec(0..3u8, 1..6).prop_map(How::Until),
        size().prop_map(How::Bytes),
        size().prop_map(How::Some),
        size().prop_map(How::Into),
        size().prop_map(How::Partly),
        size().prop_map(How::With),
        Just(How::UntilClose),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => bytes(5000).prop_map(Step::PeerSends),
        30 => how().prop_map(Step::Read),
        15 => how().prop_map(Step::GiveUp),
        5 => (1..50usize).prop_map(Step::TryRead),
        10 => bytes(5000).prop_map(Step::Write),
        1 => Just(Step::PeerEnds),
        1 => Just(Step::Close),
    ]
}

async fn read(stream: &IOStream, how: &How) -> iostream::Result<Bytes> {
    let into = |buf: Vec<u8>, n| Bytes::from(buf).slice(..n);
    match how {
        How::Until(delimiter) => stream.read_until(delimiter).await,
        How::Bytes(n) => stream.read_bytes(*n).await,
        How::Some(n) => stream.read_some(*n).await,
        How::Into(n) => {
            let mut buf = vec![0; *n];
            let n = stream.read_into(&mut buf).await?;
            Ok(into(buf, n))
        }
        How::Partly(n) => {
            let mut buf = vec![0; *n];
            let n = stream.read_into(&mut buf).partial().await?;
            Ok(into(buf, n))
        }
        How::With(n) => stream.read_with(|bytes| take(bytes, *n)).await,
        How::UntilClose => stream.read_until_close().await,
    }
}

/// A parser: `n` bytes.
fn take(bytes: &[u8], n: usize) -> Parsed<Bytes> {
    match bytes.get(..n) {
        Some(bytes) => Parsed::Done { consumed: n, value: Bytes::copy_from_slice(bytes) },
        None => Parsed::Incomplete,
    }
}

/// The model: what was sent and not read.
#[derive(Default)]
struct Model {
    unread: VecDeque<u8>,
    /// No more will come.
    ended: bool,
}

impl Model {
    /// The lengths that a read may give. `None` when it has to wait, empty when it has to fail.
    fn allowed(&mut self, how: &How) -> Option<std::ops::RangeInclusive<usize>> {
        let unread = self.unread.make_contiguous();
        let len = unread.len();
        let exactly = |n| Some(n..=n);
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range is meant")]
        let fails = self.ended.then_some(1..=0);
        match how {
            How::Until(delimiter) => {
                let found = unread.windows(delimiter.len()).position(|window| window == delimiter);
                found.map_or(fails, |start| exactly(start + delimiter.len()))
            }
            How::Bytes(n) | How::Into(n) | How::With(n) => {
                if *n <= len {
                    exactly(*n)
                } else {
                    fails
                }
            }
            How::Some(n) | How::Partly(n) => {
                if len > 0 {
                    Some(1..=*n.min(&len))
                } else {
                    fails
                }
            }
            How::UntilClose => {
                if self.ended {
                    exactly(len)
                } else {
                    None
                }
            }
        }
    }

    fn check(&mut self, how: &How, result: iostream::Result<Bytes>) {
        let allowed = self.allowed(how).expect("the read gave what has not come");
        match result {
            Ok(bytes) => {
                assert!(allowed.contains(&bytes.len()), "{how:?} gave {} bytes, not {allowed:?}", bytes.len());
                let expected: Vec<u8> = self.unread.drain(..bytes.len()).collect();
                assert!(bytes == expected, "{how:?} gave other bytes than were sent");
            }
            Err(error) => assert!(error.is_closed() && allowed.is_empty(), "{how:?}: {error:?}, not {allowed:?}"),
        }
    }
}

/// The other end of the conversation.
trait Peer {
    fn send(&mut self, bytes: &[u8]);

    fn end(&mut self);

    /// Everything that it was sent.
    fn received(self: Box<Self>) -> Vec<u8>;
}

type Conversation = (IOStream, Box<dyn Peer>);

macro_rules! socket_peer {
    ($socket:ty) => {
        impl Peer for $socket {
            fn send(&mut self, bytes: &[u8]) {
                self.write_all(bytes).unwrap();
            }

            fn end(&mut self) {
                self.shutdown(Shutdown::Write).unwrap_or(());
            }

            fn received(mut self: Box<Self>) -> Vec<u8> {
                let mut received = Vec::new();
                self.read_to_end(&mut received).unwrap();
                received
            }
        }
    };
}

socket_peer!(TcpStream);
socket_peer!(UnixStream);

fn tcp() -> Conversation {
    let (stream, peer) = pair();
    (stream, Box::new(peer))
}

fn unix() -> Conversation {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (IOStream::from_unix(ours).unwrap(), Box::new(theirs))
}

fn custom(piece: usize) -> Conversation {
    let (stream, peer) = pair();
    (IOStream::from_custom(Trickle::new(stream, piece)), Box::new(peer))
}

fn memory(capacity: usize) -> Conversation {
    let (stream, peer) = memory::pair(capacity);
    peer.set_half_open(true);
    (stream, Box::new(StreamPeer::new(peer.clone(), peer)))
}

fn pipes(piece: usize) -> Conversation {
    common::choose_poller();
    let ((reader, their_writer), (their_reader, writer)) = (io::pipe().unwrap(), io::pipe().unwrap());
    let end = |reader, writer| (IOStream::from_pipe(reader).unwrap(), IOStream::from_pipe(writer).unwrap());
    let ((input, output), (their_input, their_output)) = (end(reader, writer), end(their_reader, their_writer));
    let stream = IOStream::from_custom(Trickle::join(input, output, piece));
    (stream, Box::new(StreamPeer::new(their_input, their_output)))
}

/// A conversation over TLS, of which the server is looked at.
fn tls((server, client): (IOStream, IOStream)) -> Conversation {
    static BOTH: LazyLock<(TlsAcceptor, TlsConnector)> = LazyLock::new(|| Authority::new().both());
    let (acceptor, connector) = &*BOTH;
    run(async {
        let accepted = spawn(server.start_tls_server(acceptor));
        client.start_tls_client(connector, "localhost").await.unwrap();
        accepted.await.unwrap().unwrap();
    });
    client.set_half_open(true);
    (server, Box::new(StreamPeer::new(client.clone(), client)))
}

/// It reads all the time, or a small capacity would stop our writes.
struct StreamPeer {
    output: IOStream,
    reader: JoinHandle<iostream::Result<Bytes>>,
}

impl StreamPeer {
    fn new(input: IOStream, output: IOStream) -> StreamPeer {
        StreamPeer { output, reader: spawn(async move { input.read_until_close().await }) }
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
        run(self.reader).unwrap().unwrap().into()
    }
}

fn converse(steps: Vec<Step>, (stream, mut peer): Conversation) {
    let mut model = Model::default();
    let mut written = Vec::new();
    let mut peer_ended = false;
    run(async {
        for step in steps {
            match step {
                Step::PeerSends(bytes) if !peer_ended => {
                    peer.send(&bytes);
                    model.unread.extend(bytes);
                }
                Step::PeerEnds if !peer_ended => {
                    peer.end();
                    peer_ended = true;
                    model.ended = true;
                }
                Step::Read(how) if model.allowed(&how).is_some() => {
                    let result = read(&stream, &how).await;
                    model.check(&how, result);
                }
                Step::Read(how) | Step::GiveUp(how) => {
                    if let Some(result) = try_for_some_turns(read(&stream, &how)).await {
                        model.check(&how, result);
                    }
                }
                Step::TryRead(n) => {
                    let known = stream.buffered();
                    let result = stream.try_read_with(|bytes| take(bytes, n));
                    assert_eq!(result.is_some(), known >= n);
                    result.into_iter().for_each(|bytes| model.check(&How::Bytes(n), Ok(bytes)));
                }
                Step::Write(bytes) => {
                    if stream.write(&bytes).await.is_ok() {
                        written.extend(bytes);
                    } else {
                        assert!(stream.is_closed());
                    }
                }
                Step::Close => {
                    stream.shutdown_write().await.ok();
                    break;
                }
                Step::PeerSends(_) | Step::PeerEnds => {}
            }
            assert!(stream.buffered() <= model.unread.len());
        }
        // Both ends say goodbye, and each has got everything.
        peer.end();
        model.ended = true;
        let rest = stream.read_until_close().await;
        model.check(&How::UntilClose, rest);
    });
    stream.close();
    let received = peer.received();
    assert!(received == written, "the peer got {} bytes of {}", received.len(), written.len());
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 0..60)
}

/// One test for each kind of stream.
macro_rules! nothing_is_lost_doubled_or_reordered {
    ($($name:ident($($param:ident in $values:expr)?) => $conversation:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(steps in steps(), $($param in $values)?) {
                    converse(steps, $conversation);
                }
            )*
        }
    };
}

nothing_is_lost_doubled_or_reordered! {
    over_tcp() => tcp();
    over_a_unix_socket() => unix();
    over_pipes(piece in 1..10_000usize) => pipes(piece);
    in_memory(capacity in 1..10_000usize) => memory(capacity);
    over_a_custom_transport(piece in 1..10_000usize) => custom(piece);
    over_tls() => tls(streams());
    over_tls_in_memory(capacity in 1..10_000usize) => tls(memory::pair(capacity));
}
