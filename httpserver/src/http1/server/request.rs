//! The wait for a request.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::{Method, Version};
use iostream::Parsed;

use super::{CurrentRequest, ServerConn};
use crate::{
    Error, Request, Result,
    http1::{
        head_parser::HeadParser,
        request_head::{Expect, RequestHead},
    },
};

/// What waiting for a request's head keeps between polls.
#[derive(Default)]
pub(crate) struct HeadWait {
    parser: HeadParser,
    stage: Stage,
}

/// Which deadline is set.
#[derive(Default, PartialEq, Eq)]
enum Stage {
    /// None yet: the request may be there already.
    #[default]
    Fresh,
    /// For the first byte.
    Idle,
    /// For the end of the head.
    Head,
}

impl HeadWait {
    /// Whether the loop had its turn in between.
    pub(crate) fn has_waited(&self) -> bool {
        self.stage != Stage::Fresh
    }
}

impl ServerConn {
    /// The next request. `None` when the connection is to end without an answer: the client has left or stays silent, or the
    /// server drains. What is ready to be sent is sent before waiting.
    pub(crate) fn poll_request(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        wait: &mut HeadWait,
    ) -> Poll<Result<Option<Request>>> {
        // The head is put here by the parser instead of being handed from call to call: moving it costs more than the calls.
        let mut head = None;
        match ready!(self.poll_head(cx, wait, &mut head)) {
            Ok(()) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        let Some(head) = head else { return Poll::Ready(Ok(None)) };
        if head.expect == Expect::Other {
            return Poll::Ready(Err(Error::ExpectationFailed));
        }
        let serial = self.begin(&head);
        Poll::Ready(Ok(Some(Request::received(head, Rc::clone(self), serial))))
    }

    fn poll_head(&self, cx: &mut Context<'_>, wait: &mut HeadWait, head: &mut Option<RequestHead>) -> Poll<Result<()>> {
        // A client that asks and does not read must not fill the memory with answers.
        if self.conn.has_queue() && self.poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        let (limits, parser) = (self.limits(), &mut wait.parser);
        // An error is put beside it, for the same reason.
        let mut fault = Ok(());
        let mut parse = |buf: &[u8]| match parser.parse(buf, limits) {
            Ok(Some((consumed, parsed))) => {
                *head = Some(parsed);
                Parsed::Done { consumed, value: () }
            }
            Ok(None) => Parsed::Incomplete,
            Err(error) => {
                fault = Err(error);
                Parsed::Done { consumed: 0, value: () }
            }
        };
        if wait.stage == Stage::Fresh {
            // A request that came together with the one before is answered before anything is sent: this is what makes
            // all answers to a batch leave in one send.
            if self.stream().try_read_with(&mut parse).is_some() {
                return Poll::Ready(fault);
            }
            // Nothing complete is left, so the answers leave now.
            if self.poll_flush(cx)?.is_pending() {
                return Poll::Pending;
            }
        }
        // Once it has come to waiting, what was ready has been sent and what was buffered has been looked at.
        match self.stream().poll_read_with(cx, parse) {
            Poll::Ready(Ok(())) => Poll::Ready(fault),
            // A head that the client's end has cut short is nobody's request.
            Poll::Ready(Err(error)) if error.is_closed() => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Error::Connection(error))),
            Poll::Pending => self.poll_head_deadline(cx, &mut wait.stage),
        }
    }

    fn poll_head_deadline(&self, cx: &mut Context<'_>, stage: &mut Stage) -> Poll<Result<()>> {
        let (limits, deadline) = (self.limits(), self.conn.deadline());
        if self.stream().buffered() == 0 {
            if self.server.ends_idle() {
                return Poll::Ready(Ok(()));
            }
            if *stage != Stage::Idle {
                *stage = Stage::Idle;
                deadline.start(limits.idle_timeout, cx);
                return Poll::Pending;
            }
            deadline.poll_expired(cx).map(Ok)
        } else {
            // Once only: a client must not buy time by sending a byte now and then.
            if *stage != Stage::Head {
                *stage = Stage::Head;
                deadline.set_after(limits.header_timeout);
            }
            deadline.poll_expired(cx).map(|()| Err(Error::HeaderTimeout(limits.header_timeout)))
        }
    }

    /// Takes up a request; returns its serial.
    fn begin(&self, head: &RequestHead) -> u32 {
        self.conn.begin_body(head.body);
        self.expects_continue.set(head.expect == Expect::Continue && !self.conn.is_body_done());
        self.request.set(CurrentRequest {
            is_http11: head.version == Version::HTTP_11,
            is_head: head.method == Method::HEAD,
            is_connect: head.method == Method::CONNECT,
            upgrade: head.upgrade,
            keep_alive: head.keep_alive,
        });
        self.answered.set(false);
        self.cancels.set(false);
        self.busy.set(true);
        self.serial.set(self.serial.get().wrapping_add(1));
        self.serial.get()
    }
}
