//! The wait for a request.
//!
//! A poll takes these steps, and each only if the one before has not settled the matter:
//!
//! 1. While the kernel has not taken earlier answers, wait until it has.
//! 2. Parse what is buffered. A pipelined request is found here, without a system call.
//! 3. Send the answers that are ready.
//! 4. Receive once, and parse the bytes where they were received.
//! 5. Set one of two deadlines: for the first byte of a head, or for its end.
//!
//! For a request on a kept connection that is one `send`, one `recv`, and one deadline to move.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::Version;
use iostream::Parsed;

use super::{Flag, ServerConn};
use crate::{
    Body, Error, Result,
    body::Incoming,
    http1::{
        head_parser::HeadParser,
        request_head::{Expect, RequestHead},
    },
};

/// What waiting for a request's head keeps between polls.
///
/// It lives in the future of the connection, where every idle connection has room for it.
#[derive(Default)]
pub(crate) struct HeadWait {
    /// How far an incomplete head was looked at.
    parser: HeadParser,
    stage: Stage,
}

/// Which deadline is set.
#[derive(Default, PartialEq, Eq)]
enum Stage {
    /// None yet: the request may be there already.
    #[default]
    Fresh,
    /// For the first byte: [`idle_timeout`](crate::Limits::idle_timeout).
    Idle,
    /// For the end of the head: [`header_timeout`](crate::Limits::header_timeout).
    Head,
}

impl HeadWait {
    /// Whether the loop had its turn in between. False for a request that was found in the buffer.
    pub(crate) fn has_waited(&self) -> bool {
        self.stage != Stage::Fresh
    }
}

impl ServerConn {
    /// Puts the head of the next request into `head` and takes the request up, or leaves it empty when the connection is to
    /// end without an answer: the client has left or stays silent, or the server drains. What is ready to be sent is sent
    /// before waiting.
    ///
    /// # Errors
    ///
    /// What is wrong with the head, to be answered by its status; [`Error::HeaderTimeout`]. Those of the connection
    /// have no status: nobody is there to be answered. Boxed, because they are rare and large.
    #[inline(always)]
    pub(crate) fn poll_request(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        wait: &mut HeadWait,
        head: &mut Option<RequestHead>,
    ) -> Poll<Result<(), Box<Error>>> {
        // The head is put there by the parser instead of being handed from call to call: moving it costs more than the
        // calls.
        if let Err(error) = ready!(self.poll_head(cx, wait, head)) {
            return Poll::Ready(Err(error));
        }
        match head {
            Some(head) => Poll::Ready(self.begin(head)),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Puts the next head into `head`, or leaves it empty when the connection is to end without an answer.
    #[inline(always)]
    fn poll_head(
        &self,
        cx: &mut Context<'_>,
        wait: &mut HeadWait,
        head: &mut Option<RequestHead>,
    ) -> Poll<Result<(), Box<Error>>> {
        // A client that asks and does not read must not fill the memory with answers.
        if self.conn.has_queue() && ready_or_boxed(self.poll_flush(cx))?.is_pending() {
            return Poll::Pending;
        }
        let (limits, parser) = (self.limits(), &mut wait.parser);
        // An error is put beside it, for the same reason.
        let mut fault = None;
        let mut parse = |buf: &[u8]| match parser.parse_into(buf, limits, head) {
            Ok(Some(consumed)) => Parsed::Done { consumed, value: () },
            Ok(None) => Parsed::Incomplete,
            Err(error) => {
                fault = Some(boxed(error));
                Parsed::Done { consumed: 0, value: () }
            }
        };
        // Nothing was waited for since the last answer, so the buffer may hold the next head.
        if wait.stage == Stage::Fresh {
            // A request that came together with the one before is answered before anything is sent: this is what makes
            // all answers to a batch leave in one send.
            if self.stream().try_read_with(&mut parse).is_some() {
                return Poll::Ready(fault.map_or(Ok(()), Err));
            }
            // Nothing complete is left, so the answers leave now. They leave before the `recv`, because the client
            // waits for them, and nearly always there is nothing to receive before it has them.
            if ready_or_boxed(self.poll_flush(cx))?.is_pending() {
                return Poll::Pending;
            }
        }
        // Once it has come to waiting, what was ready has been sent and what was buffered has been looked at.
        match self.stream().poll_read_with(cx, &mut parse) {
            Poll::Ready(Ok(())) => Poll::Ready(fault.map_or(Ok(()), Err)),
            Poll::Ready(Err(error)) if error.is_closed() => Poll::Ready(self.judge_rest().map_err(boxed)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(boxed(Error::connection(error)))),
            Poll::Pending => self.poll_head_deadline(cx, &mut wait.stage),
        }
    }

    /// What is left when the client has ended its input. Half a head is nobody's request; RFC 9112 8 would permit an error
    /// answer.
    ///
    /// # Errors
    ///
    /// The fault of what could not have become a head. In pieces it may not have been found yet, and the client is told the
    /// same however its bytes came.
    #[cold]
    fn judge_rest(&self) -> Result<()> {
        let mut judged = Ok(());
        self.stream().try_read_with(|buf| {
            judged = HeadParser::parse_last(buf, self.limits()).map(drop);
            Parsed::Done { consumed: 0, value: () }
        });
        judged
    }

    /// Sets and polls the deadline that goes with what has come of the head. `Ok` ends the connection in silence.
    #[inline(always)]
    fn poll_head_deadline(&self, cx: &mut Context<'_>, stage: &mut Stage) -> Poll<Result<(), Box<Error>>> {
        // A drain cuts the idle connections once. One that was busy then must not become idle.
        if *stage == Stage::Fresh && self.stream().buffered() == 0 && !self.server.ends_idle() {
            *stage = Stage::Idle;
            // Once per request of a keep-alive connection, so deadline and waker are set in one step.
            self.conn.deadline().start(self.limits().idle_timeout, cx);
            return Poll::Pending;
        }
        self.poll_later_deadline(cx, stage)
    }

    /// [`poll_head_deadline`](ServerConn::poll_head_deadline) for what is not the beginning of an idle wait.
    #[inline(never)]
    fn poll_later_deadline(&self, cx: &mut Context<'_>, stage: &mut Stage) -> Poll<Result<(), Box<Error>>> {
        let (limits, deadline) = (self.limits(), self.conn.deadline());
        if self.stream().buffered() == 0 {
            if self.server.ends_idle() {
                return Poll::Ready(Ok(()));
            }
            if *stage != Stage::Idle {
                *stage = Stage::Idle;
                deadline.set_after(limits.idle_timeout);
            }
            // No 408: a client with no outstanding request may not take it for an answer (RFC 9112 9.2).
            deadline.poll_expired(cx).map(Ok)
        } else {
            // Once only: a client must not buy time by sending a byte now and then.
            if *stage != Stage::Head {
                *stage = Stage::Head;
                deadline.set_after(limits.header_timeout);
            }
            deadline.poll_expired(cx).map(|()| Err(boxed(Error::HeaderTimeout(limits.header_timeout))))
        }
    }

    /// The serial of the request in hand.
    #[inline(always)]
    pub(crate) fn serial(&self) -> u32 {
        self.conn.serial.get()
    }

    /// Takes up the request with this head.
    #[inline(always)]
    fn begin(&self, head: &RequestHead) -> Result<(), Box<Error>> {
        // RFC 9110 10.1.1 leaves the choice. A client that is not refused may wait for what never comes.
        if head.expect == Expect::Other {
            return Err(boxed(Error::ExpectationFailed));
        }
        // Asked for first: nearly no request has one.
        let is_body_done = if head.has_body() {
            self.conn.begin_body(head.body());
            self.conn.is_body_done()
        } else {
            self.conn.begin_without_body();
            true
        };
        let flags = Flag::HTTP11
            .when(head.version == Version::HTTP_11)
            .and(head.method_flags())
            .and(Flag::UPGRADE.when(head.upgrade))
            .and(Flag::KEEP_ALIVE.when(head.keep_alive))
            // Without a body there is nothing to continue with (RFC 9110 10.1.1).
            .and(Flag::EXPECTS_CONTINUE.when(head.expect == Expect::Continue && !is_body_done))
            .and(Flag::BUSY);
        self.conn.flags.begin_request(flags);
        // It wraps after four billion requests. A request that is kept for as long would pass for the one in hand.
        self.conn.serial.set(self.serial().wrapping_add(1));
        Ok(())
    }

    /// The body of the request that was taken up last.
    #[inline(never)]
    pub(crate) fn incoming_body(self: &Rc<Self>) -> Body {
        self.hold_body();
        Body::incoming(Incoming::new(Rc::<ServerConn>::clone(self), self.serial()))
    }
}

/// Out of line, so that what is rare takes no room in the code of every request.
#[cold]
fn boxed(error: Error) -> Box<Error> {
    Box::new(error)
}

#[inline(always)]
fn ready_or_boxed(polled: Poll<Result<()>>) -> Result<Poll<()>, Box<Error>> {
    match polled {
        Poll::Ready(Ok(())) => Ok(Poll::Ready(())),
        Poll::Ready(Err(error)) => Err(boxed(error)),
        Poll::Pending => Ok(Poll::Pending),
    }
}
