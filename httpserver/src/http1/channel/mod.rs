mod ending;
mod incoming;
mod outgoing;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    task::Waker,
    time::Instant,
};

use iostream::{IOStream, ioloop::Deadline};

use crate::{Limits, http1::chunked::ChunkedDecoder, pool::Buffer, server::ServerState};

pub(crate) use incoming::HeadWait;
use incoming::{Incoming, RequestFacts};
pub(crate) use outgoing::Answer;

/// What a connection shares with the body and the answer of the request in hand: the stream, what is about to be sent,
/// and how far the request and its answer have got.
///
/// There is one per connection, so it is kept small; buffers are held only while they have something in them.
pub(crate) struct Channel {
    stream: IOStream,
    server: Rc<ServerState>,
    peer: Option<SocketAddr>,
    /// The one timer of the connection. Whoever waits sets it before looking at it.
    deadline: Deadline,
    /// Answers, or parts of one, that have not been given to the stream yet: they leave in one send.
    output: RefCell<Option<Buffer>>,
    /// The stream did not take all at once: something may still be queued there.
    queued: Cell<bool>,
    /// Bytes queued in the stream when the deadline for writing was last set: fewer means progress.
    stalled_at: Cell<usize>,
    /// How much of the current request's body is still to come.
    body: Cell<Incoming>,
    /// Where in a chunked body it is. Boxed, because few connections ever see one.
    decoder: Cell<Option<Box<ChunkedDecoder>>>,
    /// The Content-Length of the current request, or [`UNKNOWN`].
    announced: Cell<u64>,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: Cell<bool>,
    /// The service is waiting for the body, and the deadline has been set for that.
    waits_for_body: Cell<bool>,
    request: Cell<RequestFacts>,
    answer: Cell<Answer>,
    /// Counts requests, so that what is left of an earlier one finds out.
    serial: Cell<u32>,
    cancels: Cell<bool>,
    /// A drain's deadline has passed: the connection is to end now.
    cut: Cell<bool>,
    /// A request is being answered.
    busy: Cell<bool>,
    /// Who to wake for `cut`: set only when a service waits.
    task: Cell<Option<Waker>>,
}

/// No Content-Length: the body is chunked. A real one stays below, being limited.
const UNKNOWN: u64 = u64::MAX;

impl Channel {
    pub(crate) fn new(stream: IOStream, peer: Option<SocketAddr>, server: Rc<ServerState>) -> Channel {
        Channel {
            stream,
            server,
            peer,
            deadline: Deadline::new(),
            output: RefCell::default(),
            queued: Cell::new(false),
            stalled_at: Cell::new(0),
            body: Cell::new(Incoming::Done),
            decoder: Cell::new(None),
            announced: Cell::new(UNKNOWN),
            expects_continue: Cell::new(false),
            waits_for_body: Cell::new(false),
            request: Cell::new(RequestFacts { is_http11: true, is_head: false, keep_alive: false }),
            answer: Cell::new(Answer::NotBegun),
            serial: Cell::new(0),
            cancels: Cell::new(false),
            cut: Cell::new(false),
            busy: Cell::new(false),
            task: Cell::new(None),
        }
    }

    pub(crate) fn stream(&self) -> &IOStream {
        &self.stream
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.server.limits
    }

    pub(crate) fn now(&self) -> Instant {
        self.deadline.ioloop().turn_time()
    }
}
