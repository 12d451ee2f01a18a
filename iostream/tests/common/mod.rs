//! What all tests of streams need.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod certs;
pub(crate) mod kinds;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io,
    net::{TcpListener, TcpStream},
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use ioloop::PosixPoll;
use iostream::{CustomTransport, IOLoop, IOStream};

/// A name that stands for no address. Its label is too long for DNS, so no name server is asked, which may take long.
pub(crate) const NO_NAME: &str = "nobody-has-a-name-as-long-as-this-one-because-a-label-ends-after-63.invalid";

/// As a part of `over_poll`, makes the loops of this process wait with poll(2) from the first one on: every test begins
/// with one of the functions below.
pub(crate) fn choose_poller() {
    if module_path!().starts_with("over_poll::") {
        IOLoop::configure(|| Ok(Box::new(PosixPoll::new())));
    }
}

/// Runs `future` on the thread's loop. A test that waits for something that never happens fails instead of hanging.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    choose_poller();
    IOLoop::current()
        .run_sync(iostream::timeout(Duration::from_secs(30), future))
        .expect("the test waits for something that does not happen")
}

/// Two ends of a connection: a blocking one, and one that is not yet a stream.
pub(crate) fn sockets() -> (TcpStream, TcpStream) {
    choose_poller();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("listening");
    let (ours, _) = listener.accept().expect("connected");
    peer.set_nodelay(true).expect("a socket");
    (ours, peer)
}

/// A stream and its peer.
pub(crate) fn pair() -> (IOStream, TcpStream) {
    let (ours, peer) = sockets();
    (IOStream::from_accepted(ours).expect("a free epoll watch"), peer)
}

/// Two connected streams.
pub(crate) fn streams() -> (IOStream, IOStream) {
    let (ours, theirs) = pair();
    (ours, IOStream::from_tcp(theirs).expect("a free epoll watch"))
}

/// Polls `future` through some turns of the loop; gives its result if it ends, and drops it if not.
pub(crate) async fn try_for_some_turns<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..5 {
        if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(result);
        }
        turns(1).await;
    }
    None
}

/// Lets the loop go on for this many turns that begin with a look at the descriptors. Turns of the queue alone, of which
/// there may be any number in between, count for nothing: in them no stream learns of anything.
pub(crate) async fn turns(count: usize) {
    let looks = || IOLoop::current().metrics().waits;
    for _ in 0..count {
        let before = looks();
        while looks() == before {
            iostream::yield_now().await;
        }
    }
}

/// Bytes that show when one is missing, doubled or out of order.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// A transport over streams that passes on at most `piece` bytes at a time, and is pending before each.
pub(crate) struct Trickle {
    input: IOStream,
    output: IOStream,
    piece: usize,
    /// In each direction, or two tasks that take turns would leave one of them pending for ever.
    rested: [Cell<bool>; 2],
}

impl Trickle {
    pub(crate) fn new(stream: IOStream, piece: usize) -> Trickle {
        stream.set_half_open(true);
        Trickle::join(stream.clone(), stream, piece)
    }

    /// Of two streams that go in one direction each.
    pub(crate) fn join(input: IOStream, output: IOStream, piece: usize) -> Trickle {
        Trickle { input, output, piece, rested: Default::default() }
    }

    fn rest(&self, direction: usize, cx: &mut Context<'_>) -> Poll<()> {
        let rested = &self.rested[direction];
        if rested.replace(!rested.get()) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl CustomTransport for Trickle {
    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.rest(0, cx));
        let piece = self.piece.min(buf.len());
        self.input.poll_read_some(cx, &mut buf[..piece]).map_err(io::Error::from)
    }

    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.rest(1, cx));
        ready!(self.output.poll_flush(cx))?;
        let piece = data.len().min(self.piece);
        self.output.poll_write(cx, &data[..piece]).map_err(io::Error::from)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_shutdown(cx).map_err(io::Error::from)
    }

    fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.input.poll_peer_closed(cx)
    }
}
