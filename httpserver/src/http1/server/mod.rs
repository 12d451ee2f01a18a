//! The server's end of a connection.

mod answer;
mod ending;
mod registration;
mod request;
mod serve;
mod streamed;

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use iostream::IOStream;

use super::conn::{Conn, Taken};
use crate::{Error, Limits, Result, body::IncomingSource, http1::encode::CONTINUE, server_state::ServerState};

pub(crate) use registration::Registration;
pub(crate) use request::HeadWait;
pub(crate) use serve::serve;

/// A server's connection: what it shares with the request in hand and its body.
///
/// There is one per connection, so it is kept small.
pub(crate) struct ServerConn {
    conn: Conn,
    server: Rc<ServerState>,
    peer: Option<SocketAddr>,
    request: Cell<CurrentRequest>,
    /// Counts requests, so that what is left of an earlier one finds out.
    serial: Cell<u32>,
    /// The head of the answer has been encoded: no other may follow it.
    answered: Cell<bool>,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: Cell<bool>,
    /// The service is dropped when the client goes.
    cancels: Cell<bool>,
    /// A drain's deadline has passed: the connection is to end now.
    cut: Cell<bool>,
    /// A request is being answered.
    busy: Cell<bool>,
    /// The request's body has not been dropped: the body of the answer may read it.
    body_held: Cell<bool>,
    /// The connection's task, to be woken for `cut`: set only while a service or a body is waited for.
    task: Cell<Option<Waker>>,
}

/// What the encoder has to know about the current request.
#[derive(Clone, Copy)]
struct CurrentRequest {
    is_http11: bool,
    is_head: bool,
    is_connect: bool,
    /// An upgrade was asked for.
    upgrade: bool,
    keep_alive: bool,
}

impl CurrentRequest {
    /// Of a request that could not be understood.
    const UNKNOWN: CurrentRequest =
        CurrentRequest { is_http11: true, is_head: false, is_connect: false, upgrade: false, keep_alive: false };
}

impl ServerConn {
    pub(crate) fn new(stream: IOStream, peer: Option<SocketAddr>, server: Rc<ServerState>) -> ServerConn {
        // A request that came before the client's FIN is answered; the connection decides when to close.
        stream.set_half_open(true);
        stream.set_write_timeout(server.limits.write_timeout);
        ServerConn {
            conn: Conn::new(stream),
            server,
            peer,
            request: Cell::new(CurrentRequest::UNKNOWN),
            serial: Cell::new(0),
            answered: Cell::new(false),
            expects_continue: Cell::new(false),
            cancels: Cell::new(false),
            cut: Cell::new(false),
            busy: Cell::new(false),
            body_held: Cell::new(false),
            task: Cell::new(None),
        }
    }

    pub(crate) fn stream(&self) -> &IOStream {
        self.conn.stream()
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(crate) fn server(&self) -> &ServerState {
        &self.server
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.server.limits
    }

    pub(crate) fn now(&self) -> Instant {
        self.conn.now()
    }

    #[inline(always)]
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.conn.poll_flush(cx, self.limits())
    }

    pub(crate) fn is_body_done(&self) -> bool {
        self.conn.is_body_done()
    }

    /// Hands the body out.
    pub(crate) fn hold_body(&self) {
        self.body_held.set(true);
    }

    /// RFC 9110 10.1.1: no 100 when the client has begun to send anyway, or when the answer has.
    fn send_continue(&self) {
        if !self.expects_continue.replace(false) {
            return;
        }
        if self.stream().buffered() == 0 && !self.answered.get() {
            self.conn.with_output(|out| out.extend_from_slice(CONTINUE));
        }
    }
}

impl IncomingSource for ServerConn {
    fn is_current(&self, serial: u32) -> bool {
        self.busy.get() && self.serial.get() == serial
    }

    fn announced_body(&self) -> Option<u64> {
        self.conn.announced_body()
    }

    fn is_body_done(&self) -> bool {
        self.conn.is_body_done()
    }

    fn begin_body_wait(&self) {
        self.conn.forget_body_wait();
    }

    fn poll_body(&self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<Result<bool>> {
        let limits = self.limits();
        loop {
            let Poll::Ready(taken) = self.conn.poll_data(cx, limits.max_body, sink) else {
                // The client may be waiting for the 100, or for an answer sent earlier, before it goes on.
                self.send_continue();
                self.conn.start_flush();
                let error = ready!(self.conn.poll_body_deadline(cx, limits));
                return Poll::Ready(Err(error));
            };
            self.expects_continue.set(false);
            match taken? {
                Taken::Data => return Poll::Ready(Ok(true)),
                Taken::End => return Poll::Ready(Ok(false)),
                Taken::Framing => {}
            }
        }
    }

    fn give_up_body(&self, error: Error) -> Error {
        self.conn.fail_body(error)
    }

    fn release_body(&self, serial: u32) {
        if self.serial.get() == serial {
            self.body_held.set(false);
        }
    }
}
