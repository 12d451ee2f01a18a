//! The client's end of a connection: what it shares with the response in hand and its body.

use std::{
    cell::Cell,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Method, StatusCode, Version};
use iostream::{IOStream, Parsed};

use super::{
    response::ClientResponse,
    upload::{Upload, framing_of},
};
use crate::{
    Body, Error, Limits, Request, Result, Trailers,
    body::{Incoming, IncomingSource, Sink},
    http1::{
        conn::{BodyBounds, Conn, Taken},
        encode_request::{RequestStart, encode_request_head},
        framing::BodyFraming,
        head_parser::HeadParser,
        refusal::fault_of_server,
        request_head::Expect,
        response_head::{ResponseFraming, ResponseHead},
    },
};

/// More than that many interim responses to one request are refused: a server could go on for ever.
const MOST_INTERIM: u32 = 16;
/// How long a server may take to say that it wants a body, before the body is sent all the same (RFC 9110 10.1.1).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// A client's connection. Its fields are cells, because the body of a response has a handle to it.
pub(super) struct ClientConn {
    conn: Conn,
    limits: Limits,
    /// Counts requests, so that what is left of an earlier response finds out.
    serial: Cell<u32>,
    /// Both ends let the connection be kept behind the exchange in hand.
    keep_alive: Cell<bool>,
    /// The rest of the request in hand. Out of its place while it is polled.
    upload: Cell<Option<Box<Upload>>>,
}

/// What waiting for the head of a response keeps between polls.
pub(super) struct HeadWait {
    method: Method,
    /// An upgrade was asked for.
    upgrade: bool,
    parser: HeadParser,
    interim: u32,
    /// What the deadline is set for.
    stage: Stage,
    /// Why the request could not be sent to its end. The server may have answered all the same, and that says more.
    send_failure: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    Continue,
    Head,
}

impl ClientConn {
    #[inline]
    pub(super) fn new(stream: IOStream, limits: Limits) -> ClientConn {
        // A server that ends its side early may still be read from, and the connection decides when to close.
        stream.set_half_open(true);
        stream.set_write_timeout(limits.write_timeout);
        ClientConn {
            conn: Conn::new(stream),
            limits,
            serial: Cell::new(0),
            keep_alive: Cell::new(true),
            upload: Cell::new(None),
        }
    }

    #[inline]
    pub(super) fn stream(&self) -> &IOStream {
        self.conn.stream()
    }

    /// Whether the exchange before has come to its end, and another may follow.
    #[inline]
    pub(super) fn is_reusable(&self) -> bool {
        self.keep_alive.get() && self.conn.is_body_done() && !self.has_upload() && !self.stream().is_peer_closed()
    }

    /// Leaves the stream to another protocol.
    #[inline]
    pub(super) fn release_stream(&self) -> IOStream {
        self.conn.deadline().clear();
        self.stream().set_write_timeout(Duration::MAX);
        self.stream().set_half_open(false);
        self.stream().clone()
    }

    /// Ends the connection.
    #[inline]
    pub(super) fn close(&self) {
        self.keep_alive.set(false);
        self.stream().close();
        // Last: its destructor is foreign code.
        drop(self.upload.take());
    }

    /// Fails if something has come that no request asked for: it would be taken for the next response.
    ///
    /// # Errors
    ///
    /// [`Error::BadResponse`], and those of a connection that has ended meanwhile.
    #[inline]
    pub(super) fn check_silence(&self, cx: &mut Context<'_>) -> Result<()> {
        let look = |buf: &[u8]| match buf.is_empty() {
            true => Parsed::Incomplete,
            false => Parsed::Done { consumed: 0, value: () },
        };
        // No system call unless the loop has heard of something to read.
        match self.stream().poll_read_with(cx, look) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => Err(Error::BadResponse("bytes that no request asked for")),
            Poll::Ready(Err(error)) => Err(Error::from(error)),
        }
    }

    /// Takes up a request: its head is put into the output, and its body behind it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] when it cannot be sent. Nothing has been sent then.
    #[inline]
    pub(super) fn begin(&self, mut request: Request) -> Result<HeadWait> {
        let body = request.take_body();
        let framing = framing_of(&body, request.method());
        let start = RequestStart {
            method: request.method(),
            target: request.target(),
            host: request.host().unwrap_or_default(),
            body: framing,
            keep_alive: request.is_keep_alive(),
        };
        let lines = request.headers().iter().filter(|(name, value)| !is_of_connection(&request, name, value));
        self.conn.with_output(|out| encode_request_head(out, &start, lines))?;
        self.serial.set(self.serial.get().wrapping_add(1));
        self.keep_alive.set(request.is_keep_alive());
        if !matches!(framing, BodyFraming::None | BodyFraming::Length(0)) {
            let waits = request.expects() == Expect::Continue;
            self.upload.set(Some(Box::new(Upload::new(body, framing, waits))));
        }
        Ok(HeadWait {
            method: request.method().clone(),
            upgrade: request.is_upgrade(),
            parser: HeadParser::default(),
            interim: 0,
            stage: Stage::Fresh,
            send_failure: None,
        })
    }

    /// Sends the request, and is ready with the head of its response.
    ///
    /// # Errors
    ///
    /// Those of the request's body as they are; everything else is the server's fault or its connection's.
    #[inline]
    pub(super) fn poll_response(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        wait: &mut HeadWait,
    ) -> Poll<Result<ClientResponse>> {
        loop {
            if wait.send_failure.is_none() {
                wait.send_failure = self.poll_sending(cx)?;
            }
            let head = match self.poll_head(cx, wait) {
                Poll::Ready(head) => head?,
                Poll::Pending => {
                    ready!(self.poll_head_deadline(cx, wait))?;
                    // The time for a `100 Continue` is over: the body follows.
                    continue;
                }
            };
            if head.is_interim() {
                self.pass_interim(&head, wait)?;
                continue;
            }
            return Poll::Ready(self.take_up(head, wait));
        }
    }

    /// Goes on with the request. `Some` when the connection takes no more of it.
    ///
    /// # Errors
    ///
    /// Those of the request's body.
    #[inline]
    fn poll_sending(&self, cx: &mut Context<'_>) -> Result<Option<Error>> {
        let mut upload = match self.upload.take() {
            Some(upload) if !upload.waits_for_continue => upload,
            // There is nothing to add to what is on its way.
            other => {
                self.upload.set(other);
                return Ok(match self.conn.poll_flush(cx, &self.limits) {
                    Poll::Ready(Err(error)) => Some(fault(error)),
                    Poll::Ready(Ok(())) | Poll::Pending => None,
                });
            }
        };
        match upload.poll(cx, &self.conn, &self.limits) {
            Poll::Ready(Ok(())) => Ok(None),
            Poll::Pending => {
                self.upload.set(Some(upload));
                Ok(None)
            }
            // The connection is closed by its own failures alone; anything else is the body's.
            Poll::Ready(Err(error)) if error.is_client_gone() && self.is_broken() => Ok(Some(fault(error))),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    #[inline]
    fn is_broken(&self) -> bool {
        self.stream().is_closed() || self.stream().is_reset()
    }

    /// The next head, interim or not.
    #[inline]
    fn poll_head(&self, cx: &mut Context<'_>, wait: &mut HeadWait) -> Poll<Result<ResponseHead>> {
        let (limits, method, parser) = (&self.limits, &wait.method, &mut wait.parser);
        let parse = |buf: &[u8]| match parser.parse_response(buf, limits, method) {
            Ok(Some((consumed, head))) => Parsed::Done { consumed, value: Ok(head) },
            Ok(None) => Parsed::Incomplete,
            Err(error) => Parsed::Done { consumed: 0, value: Err(fault(error)) },
        };
        match ready!(self.stream().poll_read_with(cx, parse)) {
            Ok(head) => Poll::Ready(head),
            // Why nothing could be sent says more than that nothing came.
            Err(_) if wait.send_failure.is_some() => {
                Poll::Ready(Err(wait.send_failure.take().unwrap_or(Error::Closed)))
            }
            Err(error) => Poll::Ready(Err(Error::from(error))),
        }
    }

    /// Counts the time that the server takes, once it has the request. `Ok` when the body is to follow without a
    /// `100 Continue`.
    #[inline]
    fn poll_head_deadline(&self, cx: &mut Context<'_>, wait: &mut HeadWait) -> Poll<Result<()>> {
        let upload = self.upload.take();
        let waits_for_continue = upload.as_ref().map(|upload| upload.waits_for_continue);
        self.upload.set(upload);
        let (stage, time) = match waits_for_continue {
            // Time in which the request is being sent is not the server's, and a server that takes nothing of it is
            // found out by the stream.
            Some(false) => return Poll::Pending,
            Some(true) => (Stage::Continue, CONTINUE_WAIT),
            None => (Stage::Head, self.limits.header_timeout),
        };
        if wait.stage != stage {
            wait.stage = stage;
            self.conn.deadline().set_after(time);
        }
        ready!(self.conn.deadline().poll_expired(cx));
        if stage == Stage::Continue {
            self.go_on_sending();
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(Error::ServerTimeout("did not answer in time")))
    }

    #[inline]
    fn go_on_sending(&self) {
        if let Some(mut upload) = self.upload.take() {
            upload.waits_for_continue = false;
            self.upload.set(Some(upload));
        }
    }

    #[inline]
    fn pass_interim(&self, head: &ResponseHead, wait: &mut HeadWait) -> Result<()> {
        wait.interim += 1;
        if wait.interim > MOST_INTERIM {
            return Err(Error::BadResponse("too many interim responses"));
        }
        if head.status == StatusCode::CONTINUE {
            self.go_on_sending();
        }
        Ok(())
    }

    /// Takes up the response.
    #[inline]
    fn take_up(self: &Rc<Self>, head: ResponseHead, wait: &HeadWait) -> Result<ClientResponse> {
        self.keep_alive.set(self.keep_alive.get() && head.keep_alive && wait.send_failure.is_none());
        match head.body {
            // RFC 9110 7.8: a server may not switch to what was not asked for.
            ResponseFraming::Tunnel if !wait.upgrade => {
                return Err(Error::BadResponse("a switch of protocols that was not asked for"));
            }
            ResponseFraming::Tunnel => {
                self.keep_alive.set(false);
                drop(self.upload.take());
                return Ok(ClientResponse::tunnel(head, Rc::clone(self)));
            }
            ResponseFraming::Body(framing) => self.conn.begin_body(framing),
            ResponseFraming::UntilClose => self.conn.begin_until_close(),
        }
        self.judge_upload(&head);
        if self.conn.is_body_done() {
            self.end_exchange();
            return Ok(ClientResponse::new(head, Body::empty()));
        }
        let source: Rc<dyn IncomingSource> = Rc::<ClientConn>::clone(self);
        Ok(ClientResponse::new(head, Body::incoming(Incoming::new(source, self.serial.get()))))
    }

    /// Gives up the rest of a request that the server does not want.
    #[inline]
    fn judge_upload(&self, head: &ResponseHead) {
        let Some(upload) = self.upload.take() else { return };
        let is_error = head.status.is_client_error() || head.status.is_server_error();
        // Without the body that its head has announced, nothing can follow the request.
        if upload.waits_for_continue || (is_error && !head.keep_alive) {
            self.keep_alive.set(false);
            drop(upload);
        } else {
            self.upload.set(Some(upload));
        }
    }

    /// The response has come to its end.
    #[inline]
    fn end_exchange(&self) {
        // Nobody would go on with the request: the connection has no task of its own.
        if self.has_upload() || !self.keep_alive.get() {
            self.close();
        }
        self.conn.deadline().clear();
    }

    #[inline]
    fn has_upload(&self) -> bool {
        let upload = self.upload.take();
        let has_upload = upload.is_some();
        self.upload.set(upload);
        has_upload
    }

    /// The response broke: the connection ends.
    #[inline]
    fn fail(&self, error: Error) -> Error {
        self.close();
        error
    }
}

impl IncomingSource for ClientConn {
    #[inline]
    fn is_current(&self, serial: u32) -> bool {
        self.serial.get() == serial
    }

    #[inline]
    fn announced_body(&self) -> Option<u64> {
        self.conn.announced_body()
    }

    #[inline]
    fn is_body_done(&self) -> bool {
        self.conn.is_body_done()
    }

    #[inline]
    fn begin_body_wait(&self) {
        self.conn.forget_body_wait();
    }

    #[inline]
    fn take_trailers(&self) -> Option<Trailers> {
        self.conn.take_trailers()
    }

    #[inline]
    fn has_trailers(&self) -> bool {
        self.conn.has_trailers()
    }

    #[inline]
    fn set_bounds(&self, set: &dyn Fn(&mut BodyBounds)) {
        self.conn.set_bounds(set);
    }

    #[inline]
    fn poll_body(&self, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Poll<Result<bool>> {
        if self.conn.is_body_done() {
            return Poll::Ready(Ok(false));
        }
        // What the server sends may depend on the rest of the request. A failure of sending is told by what comes, or
        // does not come, from the server.
        if let Err(error) = self.poll_sending(cx) {
            return Poll::Ready(Err(self.give_up_body(error)));
        }
        loop {
            let Poll::Ready(taken) = self.conn.poll_data(cx, self.limits.max_body, sink) else {
                let error = ready!(self.conn.poll_body_deadline(cx, &self.limits));
                return Poll::Ready(Err(self.fail(fault(error))));
            };
            let has_data = match taken {
                Ok(Taken::Data) => true,
                Ok(Taken::End) => false,
                Ok(Taken::Framing) => continue,
                Err(error) => return Poll::Ready(Err(self.fail(fault(error)))),
            };
            if self.conn.is_body_done() {
                self.end_exchange();
            }
            return Poll::Ready(Ok(has_data));
        }
    }

    #[inline]
    fn give_up_body(&self, error: Error) -> Error {
        let error = fault(self.conn.fail_body(error));
        self.fail(error)
    }

    #[inline]
    fn release_body(&self, serial: u32) {
        if !self.is_current(serial) {
            return;
        }
        drop(self.conn.take_trailers());
        // What is left would be in the way of the next response.
        if !self.conn.is_body_done() {
            self.close();
        }
    }
}

/// Whether a line of `request` is about its own connection (RFC 9110 7.6.1), or made anew by the encoder.
#[inline]
fn is_of_connection(request: &Request, name: &str, value: &[u8]) -> bool {
    const OWN: [&str; 6] =
        ["host", "connection", "content-length", "transfer-encoding", "keep-alive", "proxy-connection"];
    if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return true;
    }
    let is_named = || request.headers().has_token("connection", name);
    // The next two are named by the encoder again. An offer that was not named says nothing (RFC 9110 7.8), and would be
    // made by that.
    if name.eq_ignore_ascii_case("upgrade") {
        return !is_named() || request.version() == Version::HTTP_10;
    }
    // A server would be free to use any other coding that it names, and chunked is all that can be read here.
    if name.eq_ignore_ascii_case("te") {
        return !value.eq_ignore_ascii_case(b"trailers");
    }
    is_named()
}

/// `error` as one of the server or of the stream to it. The others are about the client of a service, who has done nothing
/// wrong, and may not be there at all.
#[inline]
fn fault(error: Error) -> Error {
    match fault_of_server(error) {
        Error::IncompleteBody => Error::BadResponse("the body ends too early"),
        Error::Closed => iostream::Error::Closed { cause: None }.into(),
        Error::Connection(error) => Error::Stream(error),
        Error::BodyTimeout(_) | Error::BodyTooSlow => Error::ServerTimeout("sends its response too slowly"),
        Error::WriteTimeout(_) | Error::WriteTooSlow => Error::ServerTimeout("takes the request too slowly"),
        other => other,
    }
}
