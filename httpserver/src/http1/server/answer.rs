//! Answers: what follows from them, and their encoding.
//!
//! Encoding an answer only appends to the output of the connection. The bytes leave when the connection waits, which is
//! nearly always in the same poll: for the next head. A batch of pipelined requests is answered before that, so all its
//! answers leave in one `send`.
//!
//! The head announces whether the connection stays. That is decided before anything is encoded, and has to hold
//! afterwards.

use http::{StatusCode, Version};
use iostream::ioloop::report_failure;

use super::{Flag, ServerConn, streamed::Streamed};
use crate::{
    Response,
    http1::encode::{self, EncodeContext, StreamFraming},
    upgrade::UpgradeHandler,
};

/// How a connection goes on behind the head of an answer.
pub(super) enum Next {
    /// With the next request.
    Request,
    /// With the rest of the answer. Boxed, because every idle connection would have room for it.
    Body(Box<Streamed>),
    /// With another protocol, once the head has left.
    Upgrade(Box<UpgradeHandler>),
    /// Not at all.
    End,
}

impl ServerConn {
    /// Encodes an answer, or its head if its body is a stream. Sends nothing; see the head of this file.
    ///
    /// By reference, because the response is large and a move costs as much as a line of its head. The caller drops it.
    pub(super) fn answer(&self, response: &mut Response) -> Next {
        // Nearly every answer is a 200 on a connection that stays, and is written by a function that knows that.
        let is_usual = response.is_usual()
            && self.conn.flags.are(Flag::HTTP11.and(Flag::KEEP_ALIVE), Flag::MESSAGE)
            && self.is_body_done()
            && self.keeps_another();
        if !(is_usual && encode::fits_usual(response)) {
            return self.answer_any(response);
        }
        // The response is dropped behind this, and its body may have a destructor of the user's: should that panic, an
        // answer is out, and no other may follow it.
        self.conn.flags.set(Flag::ANSWERED);
        self.conn.with_output(|out| encode::encode_usual(out, response, self.now(), &self.server.date));
        self.conn.flags.clear(Flag::IN_HAND);
        self.server.counters.answered_usually();
        Next::Request
    }

    /// [`answer`](ServerConn::answer) for the others.
    #[inline(never)]
    fn answer_any(&self, response: &mut Response) -> Next {
        // Answers to earlier requests are offered to the kernel all the same.
        if response.is_abort() {
            self.server.counters.unanswered();
            self.break_off();
            return Next::End;
        }
        if (response.is_upgrade() || self.conn.flags.has(Flag::CONNECT) || response.status().is_informational())
            && let Some(next) = self.check_switch(response)
        {
            return next;
        }
        if response.body().is_streamed() { self.answer_stream(response) } else { self.answer_whole(response) }
    }

    /// Encodes an answer that is there as a whole.
    fn answer_whole(&self, response: &mut Response) -> Next {
        let context = self.encode_context(self.can_pass_body());
        // Set before the response is dropped, for the reason in `answer`.
        self.conn.flags.set(Flag::ANSWERED);
        let encoded = self.conn.with_output(|out| encode::encode_any(out, response, &context));
        // Now: it may have become a 500.
        self.server.counters.answered(response.status());
        // Too large to be copied: it leaves with the head, and with earlier answers, by one `writev`.
        if let Some(body) = encoded.rest {
            self.conn.start_flush_with(body);
        }
        self.conn.flags.clear(Flag::IN_HAND);
        if encoded.keep_alive { Next::Request } else { Next::End }
    }

    /// Encodes the head of an answer whose body is pulled.
    #[inline(never)]
    fn answer_stream(&self, response: &mut Response) -> Next {
        if response.body().is_incoming() {
            // It will be read for certain, and behind the head it is too late.
            self.send_continue();
        }
        let can_pass_body = self.can_pass_body_behind_stream();
        let context = self.encode_context(can_pass_body);
        // Set before the head is encoded, for the reason in `answer`.
        self.conn.flags.set(Flag::ANSWERED);
        self.server.counters.answered(response.status());
        let encoded = self.conn.with_output(|out| encode::encode_stream_head(out, response, &context));
        let body = response.take_body();
        if encoded.framing == StreamFraming::None {
            // The answer is complete with its head: whatever makes the body need not begin.
            self.conn.flags.clear(Flag::IN_HAND);
            drop(body);
            return if encoded.keep_alive { Next::Request } else { Next::End };
        }
        Next::Body(Box::new(Streamed::new(body, encoded)))
    }

    /// Sees to it that protocols are switched by [`Request::upgrade`](crate::Request::upgrade) alone, and that nothing
    /// else speaks on a connection that a client believes to be switched. `None` when `response`, perhaps another one
    /// now, is an answer like any other.
    #[cold]
    fn check_switch(&self, response: &mut Response) -> Option<Next> {
        let (status, is_connect) = (response.status(), self.conn.flags.has(Flag::CONNECT));
        let switches = if is_connect { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS };
        let asked = is_connect || self.conn.flags.has(Flag::UPGRADE);
        match response.take_upgrade() {
            // RFC 9110 7.8: a server switches only when it was asked to. A body that is still under way would be read
            // as the beginning of the other protocol.
            Some(handler) if switches && asked && self.is_body_done() => {
                self.conn.flags.set(Flag::ANSWERED);
                self.server.counters.answered(status);
                let context = self.encode_context(true);
                self.conn.with_output(|out| encode::encode_switch(out, response, &context));
                return Some(Next::Upgrade(handler));
            }
            // RFC 9110 9.3.6: behind any 2xx the client speaks another protocol, which nobody here does.
            None if is_connect && status.is_success() => {
                *response = closing(Response::text("501 Not Implemented\n").with_status(StatusCode::NOT_IMPLEMENTED));
            }
            None if !status.is_informational() => {}
            // A 1xx is no answer (RFC 9110 15.2): the client would go on waiting, or speak another protocol to nobody.
            _ => {
                let message =
                    format_args!("{status} as an answer, without an upgrade that was asked for; answering 500");
                report_failure("httpserver", message);
                *response = internal_error();
            }
        }
        None
    }

    /// Encodes the answer to a request that could not be understood.
    pub(super) fn refuse(&self, response: &mut Response) {
        // Forgets the request before, whose method and version have no say in this answer.
        self.conn.flags.begin_request(Flag::HTTP11);
        // Where its body ends is not known, so the connection counts as having unread input and lingers at its end.
        self.conn.fail_body(crate::Error::Closed);
        self.answer(response);
    }

    /// Closes behind half an answer. What is ready is offered to the kernel once; what it does not take is lost.
    ///
    /// The end of the connection is how the client learns that something is missing: a chunked body lacks its last
    /// chunk, and a counted one some of its bytes (RFC 9112 8).
    pub(super) fn break_off(&self) {
        self.conn.start_flush();
        self.conn.flags.clear(Flag::IN_HAND);
        self.stream().close();
    }

    /// Whether the connection can go on behind what the service left of the body: what is announced in the head of the
    /// answer, and so must hold.
    fn can_pass_body(&self) -> bool {
        self.is_body_done() || self.can_pass_rest()
    }

    /// Whether what is still to come of the body is short enough to be read and dropped.
    #[inline(never)]
    fn can_pass_rest(&self) -> bool {
        let most = self.limits().max_unread_body;
        self.conn.forget_body_wait();
        match self.conn.body_left() {
            // A client that was not told to continue may send its body or the next request: nobody can tell which.
            Some(left) if self.conn.flags.has(Flag::EXPECTS_CONTINUE) => left <= self.stream().buffered() as u64,
            Some(left) => left <= most as u64,
            // The length of a chunked body is unknown. What has come is dropped here; unless that is all of it, there is
            // no telling what will come behind the answer.
            None => self.conn.drop_received(self.limits().max_body) <= most && self.is_body_done(),
        }
    }

    /// [`can_pass_body`](ServerConn::can_pass_body) for an answer whose body is still to be made, perhaps from that of the
    /// request: nothing that it may read is dropped here. What it leaves unread is read and dropped behind the answer,
    /// however much it is, because keep-alive was promised.
    fn can_pass_body_behind_stream(&self) -> bool {
        if self.is_body_done() || !self.conn.flags.has(Flag::BODY_HELD) {
            return self.can_pass_body();
        }
        // Not read yet, and no 100 follows the head of an answer: whether the body comes is up to the client.
        !self.conn.flags.has(Flag::EXPECTS_CONTINUE)
    }

    /// Whether the server has another request follow on the connection.
    #[inline(always)]
    fn keeps_another(&self) -> bool {
        self.limits().allows_another(self.conn.serial.get()) && !self.server.is_draining()
    }

    /// What the encoder is told. Keep-alive takes all of them: the client, the body, the number of requests, and the server,
    /// which may drain.
    fn encode_context(&self, can_pass_body: bool) -> EncodeContext<'_> {
        EncodeContext {
            version: if self.conn.flags.has(Flag::HTTP11) { Version::HTTP_11 } else { Version::HTTP_10 },
            is_head: self.conn.flags.has(Flag::HEAD),
            keep_alive: self.conn.flags.has(Flag::KEEP_ALIVE) && can_pass_body && self.keeps_another(),
            now: self.now(),
            date: &self.server.date,
        }
    }
}

/// What a client is told of a fault that is not its own.
pub(super) fn internal_error() -> Response {
    closing(Response::text("500 Internal Server Error\n").with_status(StatusCode::INTERNAL_SERVER_ERROR))
}

/// The same answer with `Connection: close`.
fn closing(mut response: Response) -> Response {
    response.close_connection();
    response
}
