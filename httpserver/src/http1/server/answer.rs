//! Answers: what follows from them, and their encoding.

use http::{StatusCode, Version};
use iostream::ioloop::report_failure;

use super::{RequestFacts, ServerConn, streamed::Streamed};
use crate::{
    Response,
    http1::encode::{self, EncodeContext, StreamFraming},
    upgrade::UpgradeHandler,
};

/// How a connection goes on behind the head of an answer.
pub(super) enum Next {
    /// With the next request.
    Request,
    /// With the rest of the answer.
    Body(Streamed),
    /// With another protocol, once the head has left.
    Upgrade(UpgradeHandler),
    /// Not at all.
    End,
}

impl ServerConn {
    /// Encodes an answer, or its head if its body is a stream.
    pub(super) fn answer(&self, mut response: Response) -> Next {
        let facts = self.request.get();
        if response.is_abort() {
            self.break_off();
            return Next::End;
        }
        if response.is_upgrade() || facts.is_connect || response.status().is_informational() {
            response = match self.check_switch(response, facts) {
                Ok(next) => return next,
                Err(response) => response,
            };
        }
        if response.body().is_streamed() { self.answer_stream(response) } else { self.answer_whole(response) }
    }

    /// Encodes an answer that is there as a whole.
    fn answer_whole(&self, response: Response) -> Next {
        let context = self.encode_context(self.can_pass_body());
        // The response is dropped in there, and its body may have a destructor of the user's: should that panic, half an
        // answer is out, and no other may follow it.
        self.answered.set(true);
        let encoded = self.conn.with_output(|out| encode::encode_response(out, response, &context));
        if let Some(body) = encoded.rest {
            self.conn.start_flush_with(body);
        }
        self.busy.set(false);
        if encoded.keep_alive { Next::Request } else { Next::End }
    }

    /// Encodes the head of an answer whose body is pulled.
    fn answer_stream(&self, mut response: Response) -> Next {
        if response.body().is_incoming() {
            // It will be read for certain, and behind the head it is too late.
            self.send_continue();
        }
        let can_pass_body = self.can_pass_body_behind_stream();
        let context = self.encode_context(can_pass_body);
        self.answered.set(true);
        let encoded = self.conn.with_output(|out| encode::encode_stream_head(out, &response, &context));
        let body = response.take_body();
        if encoded.framing == StreamFraming::None {
            // The answer is complete with its head: whatever makes the body need not begin.
            drop(body);
            self.busy.set(false);
            return if encoded.keep_alive { Next::Request } else { Next::End };
        }
        Next::Body(Streamed::new(body, encoded))
    }

    /// Sees to it that protocols are switched by [`Request::upgrade`](crate::Request::upgrade) alone, and that nothing
    /// else speaks on a connection that a client believes to be switched.
    fn check_switch(&self, mut response: Response, facts: RequestFacts) -> Result<Next, Response> {
        let status = response.status();
        let switches = if facts.is_connect { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS };
        let asked = facts.is_connect || facts.upgrade;
        match response.take_upgrade() {
            Some(handler) if switches && asked && self.is_body_done() => {
                self.answered.set(true);
                let context = self.encode_context(true);
                self.conn.with_output(|out| encode::encode_switch(out, &response, &context));
                Ok(Next::Upgrade(handler))
            }
            // RFC 9110 9.3.6: behind any 2xx the client speaks another protocol, which nobody here does.
            None if facts.is_connect && status.is_success() => {
                Err(closing(Response::text("501 Not Implemented\n").with_status(StatusCode::NOT_IMPLEMENTED)))
            }
            None if !status.is_informational() => Err(response),
            _ => {
                let message =
                    format_args!("{status} as an answer, without an upgrade that was asked for; answering 500");
                report_failure("httpserver", message);
                Err(internal_error())
            }
        }
    }

    /// Encodes the answer to a request that could not be understood.
    pub(super) fn refuse(&self, response: Response) {
        self.request.set(RequestFacts::UNKNOWN);
        self.conn.fail_body(crate::Error::Closed);
        self.answer_whole(response);
    }

    /// Closes behind half an answer.
    pub(super) fn break_off(&self) {
        self.conn.start_flush();
        self.busy.set(false);
        self.stream().close();
    }

    /// Whether the connection can go on behind what the service left of the body: what is announced in the head of the
    /// answer, and so must hold.
    fn can_pass_body(&self) -> bool {
        if self.is_body_done() {
            return true;
        }
        let most = self.limits().max_unread_body;
        self.conn.forget_body_wait();
        match self.conn.body_left() {
            // A client that was not told to continue may send its body or the next request: nobody can tell which.
            Some(left) if self.expects_continue.get() => left <= self.stream().buffered() as u64,
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
        if self.is_body_done() || !self.body_held.get() {
            return self.can_pass_body();
        }
        // Not read yet, and no 100 follows the head of an answer: whether the body comes is up to the client.
        !self.expects_continue.get()
    }

    fn encode_context(&self, can_pass_body: bool) -> EncodeContext<'_> {
        let facts = self.request.get();
        EncodeContext {
            version: if facts.is_http11 { Version::HTTP_11 } else { Version::HTTP_10 },
            is_head: facts.is_head,
            keep_alive: facts.keep_alive && can_pass_body && !self.server.is_draining(),
            now: self.now(),
            date: &self.server.date,
        }
    }
}

/// What a client is told of a fault that is not its own.
pub(super) fn internal_error() -> Response {
    closing(Response::text("500 Internal Server Error\n").with_status(StatusCode::INTERNAL_SERVER_ERROR))
}

fn closing(mut response: Response) -> Response {
    response.close_connection();
    response
}
