//! The server's end of a connection.
//!
//! A connection is one future, made by [`serve()`], and goes round like this:
//!
//! 1. `request` waits for a head. It takes a complete one from the buffer first. Only when there is none does it send
//!    the answers that are ready, and then receives.
//! 2. `serve` calls the service and polls its future in place.
//! 3. `answer` decides whether the connection goes on, and encodes the answer into the output of the connection.
//!    Nothing is sent yet.
//! 4. `streamed` pulls a body that is a stream, and sends it as it comes.
//! 5. `ending` drops what the service left of the request's body. Then it starts over, or closes so that the client can
//!    still read the last answer.
//!
//! Answers leave when the connection has to wait: for the next head, for the service, or for room. All answers to a
//! batch of pipelined requests therefore leave in one `send`, and a single answer leaves in the same poll that made it.
//! A send for each of them would cost 6 µs each (docs, "Performance").
//!
//! [`ServerConn`] is shared by that future, the request in the service's hands and its body. All of them run on one
//! thread and none holds a borrow across foreign code, so its fields are cells.

mod answer;
mod contained;
mod ending;
mod front;
mod informational;
mod peer_addr;
mod registration;
mod request;
mod serve;
mod streamed;

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};

use iostream::{IOStream, ioloop::Deadline};

use self::peer_addr::PeerAddr;
use super::conn::{BodyBounds, Conn, Flag, Taken};
use crate::{
    Error, Headers, Limits, Protocol, Result, Trailers,
    body::{IncomingSource, Sink},
    http1::encode::CONTINUE,
    server_state::ServerState,
};

pub(crate) use contained::log_panic;
pub(crate) use front::Front;
pub(crate) use peer_addr::as_peer;
pub(crate) use registration::Registration;
pub(crate) use request::HeadWait;
pub(crate) use serve::{serve, serve_through};

/// A server's connection: what it shares with the request in hand and its body.
///
/// There is one per connection, so it is kept small.
pub(crate) struct ServerConn {
    conn: Conn,
    /// The limits, the `Date` and the drain of the server; shared by all its connections.
    server: Rc<ServerState>,
    /// Known from `accept`, so that asking for it costs no system call, or from a proxy's header. `None` for a stream that
    /// has no address.
    peer: PeerAddr,
}

impl ServerConn {
    /// A connection before its first request. It is in no list yet; see [`Registration`].
    pub(crate) fn new(stream: IOStream, peer: Option<SocketAddr>, server: Rc<ServerState>) -> ServerConn {
        // A request that came before the client's FIN is answered; the connection decides when to close.
        stream.set_half_open(true);
        // The stream watches over silence by itself, while something is queued.
        stream.set_write_timeout(server.limits.write_timeout);
        // It may come from a server that has done the handshake.
        #[cfg(feature = "tls")]
        let is_tls = stream.is_tls();
        let conn = Conn::new(stream);
        #[cfg(feature = "tls")]
        conn.flags.replace(Flag::TLS, is_tls);
        ServerConn { conn, server, peer: PeerAddr::new(peer) }
    }

    pub(crate) fn stream(&self) -> &IOStream {
        self.conn.stream()
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer.get()
    }

    /// The address of the client whose request has these headers.
    #[inline]
    pub(crate) fn remote_ip(&self, headers: &Headers) -> Option<IpAddr> {
        let peer = self.peer().map(|peer| peer.ip().to_canonical());
        self.server.xheaders.as_ref().and_then(|proxies| proxies.remote_ip(peer, headers)).or(peer)
    }

    /// How the client whose request has these headers speaks.
    #[inline]
    pub(crate) fn protocol(&self, headers: &Headers) -> Protocol {
        let peer = || self.peer().map(|peer| peer.ip());
        let said = self.server.xheaders.as_ref().and_then(|proxies| proxies.protocol(peer(), headers));
        said.or(self.server.protocol).unwrap_or(if self.is_tls() { Protocol::Https } else { Protocol::Http })
    }

    #[inline]
    fn is_tls(&self) -> bool {
        self.conn.flags.has(Flag::TLS)
    }

    pub(crate) fn server(&self) -> &Rc<ServerState> {
        &self.server
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.server.limits
    }

    /// The loop's turn time, which costs no reading of the clock.
    pub(crate) fn now(&self) -> Instant {
        self.conn.now()
    }

    /// The same as the loop counts it.
    pub(crate) fn turn_nanos(&self) -> u64 {
        self.conn.turn_nanos()
    }

    /// What [`turn_nanos`](ServerConn::turn_nanos) has given, as an instant.
    #[inline]
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.conn.instant(nanos)
    }

    /// The deadline of waiting for input.
    #[inline]
    pub(crate) fn deadline(&self) -> &Deadline {
        self.conn.deadline()
    }

    /// Lends the deadline, which is not set then, to who answers the request with this number. False if it is lent already, or
    /// is still needed for the body.
    #[inline]
    pub(crate) fn lend_deadline(&self, serial: u32) -> bool {
        if !self.is_current(serial) || !self.is_body_done() || self.conn.flags.replace(Flag::LENT, true) {
            return false;
        }
        self.deadline().clear();
        true
    }

    /// Ends the loan, if the request with this number is still in hand.
    #[inline]
    pub(crate) fn take_deadline_back(&self, serial: u32) {
        if self.is_current(serial) {
            self.conn.flags.clear(Flag::LENT);
            self.deadline().clear();
        }
    }

    /// [`Conn::poll_flush`] by the limits of the server.
    #[inline(always)]
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.conn.poll_flush(cx, self.limits())
    }

    pub(crate) fn is_body_done(&self) -> bool {
        self.conn.is_body_done()
    }

    /// Notes that the body is handed out. [`release_body`](IncomingSource::release_body) takes that back.
    pub(crate) fn hold_body(&self) {
        self.conn.flags.set(Flag::BODY_HELD);
    }

    /// Adds `100 Continue` to the output if the client waits for it, once per request. The caller flushes.
    ///
    /// A server may leave it out when some of the body has come (RFC 9110 10.1.1), and must when the final answer has
    /// begun: behind that head the client would read it as part of the body.
    fn send_continue(&self) {
        if !self.conn.flags.replace(Flag::EXPECTS_CONTINUE, false) {
            return;
        }
        if self.stream().buffered() == 0 && !self.conn.flags.has(Flag::ANSWERED) {
            self.conn.with_output(|out| out.extend_from_slice(CONTINUE));
        }
    }

    /// The next data of the body in hand, for `sink`. False at the end.
    fn poll_rest_of_body(&self, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Poll<Result<bool>> {
        let limits = self.limits();
        loop {
            // The body is tried before the 100 is sent: one that has come with its head, or waits in the kernel, needs
            // none.
            let Poll::Ready(taken) = self.conn.poll_data(cx, limits.max_body, sink) else {
                // The client may be waiting for the 100, or for an answer sent earlier, before it goes on.
                self.send_continue();
                self.conn.start_flush();
                // Set at each wait and by nothing else: a body that is there costs no timer.
                let error = ready!(self.conn.poll_body_deadline(cx, limits));
                return Poll::Ready(Err(error));
            };
            // It sends without being told to.
            self.conn.flags.clear(Flag::EXPECTS_CONTINUE);
            match taken? {
                Taken::Data => return Poll::Ready(Ok(true)),
                Taken::End => return Poll::Ready(Ok(false)),
                // A chunk's size, or a trailer: nothing for the reader, who asked for data.
                Taken::Framing => {}
            }
        }
    }
}

impl IncomingSource for ServerConn {
    fn is_current(&self, serial: u32) -> bool {
        // The serial stays until the next request begins, so it alone would let a kept body read behind its answer.
        self.conn.flags.has(Flag::BUSY) && self.conn.serial.get() == serial
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

    fn set_bounds(&self, set: &dyn Fn(&mut BodyBounds)) {
        self.conn.set_bounds(set);
    }

    fn take_trailers(&self) -> Option<Trailers> {
        self.conn.take_trailers()
    }

    fn has_trailers(&self) -> bool {
        self.conn.has_trailers()
    }

    fn poll_body(&self, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Poll<Result<bool>> {
        let had_failed = self.conn.has_failed();
        let polled = self.poll_rest_of_body(cx, sink);
        // Later reads repeat the failure.
        if let Poll::Ready(Err(error)) = &polled
            && !had_failed
        {
            self.server.counters.failed_body(as_peer(self.peer()), error, self.now());
        }
        polled
    }

    fn give_up_body(&self, error: Error) -> Error {
        self.conn.fail_body(error)
    }

    fn release_body(&self, serial: u32) {
        // A body kept beyond its answer is dropped while the next request holds its own.
        if self.conn.serial.get() == serial {
            self.conn.flags.clear(Flag::BODY_HELD);
            // Nobody else will take them, and an idle connection has no use for them.
            drop(self.conn.take_trailers());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        // The two counters of the Rc come on top.
        let size = size_of::<ServerConn>() + 16;
        assert!(size <= 104, "{size} bytes");
        assert_eq!(size_of::<Registration>(), 16);
    }
}
