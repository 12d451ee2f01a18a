//! A TLS session over another transport.
//!
//! A waker may come back to the stream while the session is in use: the carrier clones and wakes wakers, which is foreign
//! code. It finds the session borrowed. Sending then would block, and a poll is pending and tried again.

mod session;

use std::{
    cell::{Cell, RefCell, RefMut},
    fmt,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    task::{Context, Poll, Waker, ready},
};

use ioloop::{IOLoop, TimeoutHandle};
use rustls::Connection;

use self::session::{Session, Wire};
use super::{
    Kind, Transport,
    waiting::{Events, Waiting, wake_all},
};

/// How much one `try_send` sends, in bytes. What is left is queued.
const MOST_AT_ONCE: usize = 1024 * 1024;

/// Smaller buffers are not received into, or each record would take several system calls.
const SMALL: usize = 4096;

/// The one thing a task can wait for here and not in the carrier: the peer's close_notify.
const ENDED: Events = 1;

/// A TLS session and what carries its bytes.
pub(crate) struct Tls {
    ioloop: IOLoop,
    carrier: Transport,
    session: RefCell<Session>,
    waiting: RefCell<Waiting>,
    /// Ends a handshake that takes too long.
    timer: Cell<Option<TimeoutHandle>>,
}

impl Tls {
    /// Begins a handshake. `received` is what has come of it already. Once it is over, `timer` is removed.
    pub(crate) fn new(
        ioloop: IOLoop,
        carrier: Transport,
        conn: Connection,
        received: Vec<u8>,
        timer: TimeoutHandle,
    ) -> Tls {
        let mut session = Session::new(conn, received);
        // A client's first flight is ready. An error shows again when the handshake goes on.
        let _ = session.flush(&mut Wire::trying(&carrier));
        let timer = Cell::new(Some(timer));
        Tls { ioloop, carrier, session: RefCell::new(session), waiting: RefCell::default(), timer }
    }

    pub(crate) fn carrier(&self) -> &Transport {
        &self.carrier
    }

    /// Shows what was negotiated. `None` before the handshake is over.
    pub(crate) fn with_connection<T>(&self, ask: impl FnOnce(&Connection) -> T) -> Option<T> {
        let session = self.session.try_borrow().ok()?;
        (!session.is_handshaking()).then(|| ask(&session.conn))
    }

    /// Drives the handshake. Ready when it is over and everything we have to say has left.
    pub(crate) fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(mut session) = self.session(cx) else { return Poll::Pending };
            if session.has_failed() {
                return Poll::Ready(Err(session.take_failure()));
            }
            let flushed = session.flush(&mut Wire::polling(&self.carrier, cx));
            if !session.is_handshaking() {
                let is_complete = session.needs_no_more();
                drop(session);
                self.end_handshake();
                // An error shows again. What the peer has sent before may explain it, and is read first.
                return match flushed {
                    Ok(false) if !is_complete => Poll::Pending,
                    _ => Poll::Ready(Ok(())),
                };
            }
            // Reading goes on while a flight of ours cannot leave: the peer may be stuck in the middle of its own.
            if session.receive_unfed() {
                self.tell_failure(&mut session);
                continue;
            }
            drop(session);
            ready!(self.receive_handshake(cx, flushed.err()));
        }
    }

    /// A server sends tickets behind its handshake. A client that has only written has not received them, and the kernel
    /// would turn its end into a reset, as it does whenever something is unread. What is more than a few tickets is
    /// somebody's data.
    fn receive_tickets(&self, session: &mut Session) {
        let mut received = [0; SMALL];
        let mut cx = Context::from_waker(Waker::noop());
        while session.awaits_tickets() {
            match self.carrier.poll_recv(&mut cx, &mut received) {
                Poll::Ready(Ok(count)) if count > 0 => session.receive_all(&received[..count]),
                _ => return,
            }
        }
    }

    /// The session. When it is in use, `None`, and the task comes again.
    fn session(&self, cx: &mut Context<'_>) -> Option<RefMut<'_, Session>> {
        let session = self.session.try_borrow_mut().ok();
        if session.is_none() {
            cx.waker().wake_by_ref();
        }
        session
    }

    /// Ready when application data can be sent.
    fn poll_established(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(session) = self.session(cx) else { return Poll::Pending };
        if !session.is_handshaking() {
            return Poll::Ready(Ok(()));
        }
        drop(session);
        self.poll_handshake(cx)
    }

    fn end_handshake(&self) {
        if let Some(timer) = self.timer.take() {
            self.ioloop.remove_timeout(timer);
        }
    }

    /// Receives a part of the handshake. `unsent`: why our side of it could not leave.
    #[inline(never)]
    fn receive_handshake(&self, cx: &mut Context<'_>, unsent: Option<io::Error>) -> Poll<()> {
        let mut received = [0; SMALL];
        ready!(self.carrier.poll_recv_ready(cx));
        let result = ready!(self.carrier.poll_recv(cx, &mut received));
        let mut session = self.session.borrow_mut();
        match result {
            Ok(0) => session.fail(unsent.unwrap_or_else(|| {
                io::Error::new(io::ErrorKind::UnexpectedEof, "the peer has left during the TLS handshake")
            })),
            Ok(count) => session.receive_all(&received[..count]),
            Err(error) => session.fail(error),
        }
        self.tell_failure(&mut session);
        Poll::Ready(())
    }

    /// Receives and decrypts. 0 is no end, but nothing for the reader.
    fn receive(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if buf.len() < SMALL {
            return self.receive_for_small(cx, buf);
        }
        let count = ready!(self.carrier.poll_recv(cx, buf))?;
        self.decrypt(count, |session| session.receive(buf, count))
    }

    #[inline(never)]
    fn receive_for_small(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut received = [0; SMALL];
        let count = ready!(self.carrier.poll_recv(cx, &mut received))?;
        self.decrypt(count, |session| {
            session.receive_all(&received[..count]);
            session.read(buf)
        })
    }

    fn decrypt(&self, received: usize, decrypt: impl FnOnce(&mut Session) -> usize) -> Poll<io::Result<usize>> {
        if received == 0 {
            // FIN without close_notify: whoever can send a FIN may have cut the end off (RFC 8446, 6.1).
            let cut = "the TLS connection was cut off: the peer has sent no close_notify";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut)));
        }
        // The carrier has returned, so nobody else has the session.
        let mut session = self.session.borrow_mut();
        let count = decrypt(&mut session);
        self.tell_failure(&mut session);
        let has_ended = session.has_ended();
        drop(session);
        if has_ended {
            let woken = self.waiting.borrow_mut().take(ENDED);
            wake_all(woken);
        }
        Poll::Ready(Ok(count))
    }

    /// Sends the alert that says what the session failed of.
    fn tell_failure(&self, session: &mut Session) {
        if session.has_failed() {
            let _ = session.flush(&mut Wire::trying(&self.carrier));
        }
    }
}

impl Kind for Tls {
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut session) = self.session(cx) else { return Poll::Pending };
        if session.has_input() {
            return Poll::Ready(());
        }
        if session.is_handshaking() {
            drop(session);
            // Over or failed, which `poll_recv` tells.
            if self.poll_handshake(cx).map_err(|error| self.session.borrow_mut().fail(error)).is_pending() {
                return Poll::Pending;
            }
            return self.poll_recv_ready(cx);
        }
        if session.wants_send() {
            // A ticket or an answer to a key update. When it cannot leave, reading goes on all the same: the peer may be
            // one that does not read before it has written.
            let _ = session.flush(&mut Wire::polling(&self.carrier, cx));
        }
        drop(session);
        self.carrier.poll_recv_ready(cx)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_established(cx))?;
        loop {
            let Some(mut session) = self.session(cx) else { return Poll::Pending };
            let count = session.read(buf);
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            if session.has_failed() {
                return Poll::Ready(Err(session.take_failure()));
            }
            if session.has_ended() {
                return Poll::Ready(Ok(0));
            }
            let count = if session.receive_unfed() {
                self.tell_failure(&mut session);
                0
            } else {
                drop(session);
                ready!(self.receive(cx, buf))?
            };
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            // That was a part of a record, or nothing for the reader.
            ready!(self.poll_recv_ready(cx));
        }
    }

    fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        self.try_send_vectored(&[IoSlice::new(data)])
    }

    fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let would_block = || io::Error::from(io::ErrorKind::WouldBlock);
        let mut session = self.session.try_borrow_mut().map_err(|_| would_block())?;
        // The queue's task drives the handshake, and then sends.
        if session.is_handshaking() {
            return Err(would_block());
        }
        match session.send(&mut Wire::trying(&self.carrier), pieces, MOST_AT_ONCE)? {
            0 => Err(would_block()),
            sent => Ok(sent),
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_established(cx))?;
        let Some(mut session) = self.session(cx) else { return Poll::Pending };
        match session.send(&mut Wire::polling(&self.carrier, cx), pieces, 1)? {
            0 => Poll::Pending,
            sent => Poll::Ready(Ok(sent)),
        }
    }

    fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_peer_closed() || self.carrier.poll_peer_closed(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.waiting.borrow_mut().add_events(ENDED, cx.waker()) {
            let waker = cx.waker().clone();
            let turn = self.ioloop.metrics().turns;
            let stale = self.waiting.borrow_mut().push(ENDED, waker, turn);
            wake_all(stale);
        }
        // Cloning the waker was foreign code, which may have read the end.
        if self.is_peer_closed() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.carrier.poll_broken(cx)
    }

    fn is_readable(&self) -> bool {
        self.session.try_borrow().is_ok_and(|session| session.has_input()) || self.carrier.is_readable()
    }

    fn is_peer_closed(&self) -> bool {
        self.session.try_borrow().is_ok_and(|session| session.has_ended()) || self.carrier.is_peer_closed()
    }

    fn is_broken(&self) -> bool {
        self.carrier.is_broken()
    }

    /// Sends close_notify, then ends the carrier.
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_established(cx))?;
        let Some(mut session) = self.session(cx) else { return Poll::Pending };
        session.shut();
        if !session.flush(&mut Wire::polling(&self.carrier, cx))? {
            return Poll::Pending;
        }
        drop(session);
        self.carrier.poll_shutdown(cx)
    }

    fn ioloop(&self) -> &IOLoop {
        &self.ioloop
    }

    /// Tells the peer that this was all. Without it the peer has to assume that somebody has cut the end off. False when
    /// it cannot leave at once.
    fn say_goodbye(&self) -> bool {
        let Ok(mut session) = self.session.try_borrow_mut() else { return false };
        if session.is_handshaking() || session.has_failed() {
            return true;
        }
        self.receive_tickets(&mut session);
        session.shut();
        match session.flush(&mut Wire::trying(&self.carrier)) {
            Ok(true) => self.carrier.say_goodbye(),
            Ok(false) => false,
            // Nobody is there to hear it.
            Err(_) => true,
        }
    }

    fn poll_goodbye(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut session) = self.session(cx) else { return Poll::Pending };
        session.shut();
        match session.flush(&mut Wire::polling(&self.carrier, cx)) {
            Ok(true) => self.carrier.poll_goodbye(cx),
            Ok(false) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }

    fn close(self: Box<Self>, sole: bool) {
        self.end_handshake();
        self.carrier.close(sole);
        wake_all(self.waiting.take().take(ENDED));
    }

    /// Of what carries it.
    fn fmt_peer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.carrier.fmt_peer(f)
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.carrier.as_fd()
    }

    fn as_tls(&self) -> Option<&Tls> {
        Some(self)
    }

    fn begins_ahead(&self) -> bool {
        true
    }
}

impl fmt::Debug for Tls {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("carrier", &self.carrier).field("session", &self.session).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_rustls_own_but_for_little() {
        let ours = size_of::<Tls>() - size_of::<Connection>();
        println!("a stream with TLS takes {ours} bytes beside rustls' connection");
        assert!(ours <= 256, "{ours} bytes");
    }
}
