//! What a client's and a server's end of a connection share: the stream, the body that comes in, the bytes that go out.
//!
//! `incoming` takes in the body of one message after the other. `outgoing` gathers what is to be sent, sends it in one
//! call and waits for slow peers. Heads are not its business: each role parses those of the other.

mod flags;
mod incoming;
mod outgoing;
mod rare;

use std::{
    cell::{Cell, OnceCell},
    num::NonZeroU64,
    time::Instant,
};

use iostream::{IOStream, ioloop::Deadline};

use crate::pool::Buffer;
use incoming::Body;
use rare::Rare;

pub(crate) use flags::{Flag, Flags};
pub(crate) use incoming::{BodyBounds, Taken};
pub(crate) use outgoing::{GATHER, SEND_WHOLE_FROM, YIELD_AFTER_BYTES, YIELD_AFTER_PIECES};

/// One end of an HTTP/1.1 connection, whichever.
///
/// There is one per connection, so it is kept small; buffers, decoders and time-outs of writing are held only while they
/// are in use. Each of those is one pointer here while it is not.
pub(crate) struct Conn {
    stream: IOStream,
    /// When waiting for input has lasted too long: for a head, for a body, or for the client's end. Those waits exclude
    /// each other, so one timer serves them all. Set before it is polled, by the one that waits; moving it to later is
    /// a store.
    deadline: Deadline,
    /// How much of the message in hand is still to come in.
    body: Body,
    /// The Content-Length of the message in hand; `None` for a chunked body. A length of 0 is no body, and every other
    /// number is a length.
    announced: Cell<Option<NonZeroU64>>,
    /// What few connections ever need.
    rare: OnceCell<Box<Rare>>,
    /// What goes out and has not been given to the stream yet: it leaves in one send.
    output: Cell<Option<Buffer>>,
    /// Counts messages, so that what is left of an earlier one finds out.
    pub(crate) serial: Cell<u32>,
    /// Here, and not with the server's own, because they fill up a word.
    pub(crate) flags: Flags,
    /// The stream did not take all at once: something may still be queued there.
    queued: Cell<bool>,
}

impl Conn {
    /// A connection that has no message in hand and nothing to send.
    pub(crate) fn new(stream: IOStream) -> Conn {
        Conn {
            stream,
            deadline: Deadline::new(),
            body: Body::new(),
            announced: Cell::new(None),
            rare: OnceCell::new(),
            output: Cell::new(None),
            serial: Cell::new(0),
            flags: Flags::new(Flag::HTTP11),
            queued: Cell::new(false),
        }
    }

    pub(crate) fn stream(&self) -> &IOStream {
        &self.stream
    }

    /// The deadline of waiting for input.
    pub(crate) fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// The loop's turn time: what deadlines count from. A deadline that read the clock would cost 27 ns more.
    pub(crate) fn now(&self) -> Instant {
        self.deadline.ioloop().turn_time()
    }

    /// The same as the loop counts it.
    pub(crate) fn turn_nanos(&self) -> u64 {
        self.deadline.ioloop().turn_nanos()
    }

    /// What [`turn_nanos`](Conn::turn_nanos) has given, as an instant.
    #[inline]
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.deadline.ioloop().instant_at(nanos)
    }
}
