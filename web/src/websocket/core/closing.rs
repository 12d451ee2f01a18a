//! How a WebSocket comes to its end (RFC 6455 7).

use std::task::{Context, Poll};

use httpserver::iostream::Parsed;

use super::{Core, Phase};
use crate::{
    error::{Error, Result},
    websocket::{
        codec::{CloseCode, CloseFrame, EncodeError, ProtocolError, Role},
        core::Received,
    },
};

/// How a connection ended.
#[derive(Debug)]
pub(in crate::websocket) struct End {
    pub(in crate::websocket) code: CloseCode,
    pub(in crate::websocket) reason: String,
    failure: Option<Failure>,
}

/// What ends a connection otherwise than by a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The end of input without a close frame, a broken connection, or silence.
    Gone,
    /// A ping has not been answered in time.
    Silent,
    /// The peer has not answered our close frame in time.
    Unanswered,
    /// The driver was dropped.
    Cut,
    /// The peer broke the protocol.
    Protocol(ProtocolError),
    /// The peer reads too slowly, and the policy says so.
    TooSlow,
}

impl Failure {
    /// What the peer is told, if there is any use in that.
    #[inline]
    fn frame(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Failure::Gone | Failure::Unanswered | Failure::Cut => None,
            Failure::Silent => Some((CloseCode::INTERNAL_ERROR, "no answer to a ping")),
            Failure::Protocol(error) => Some((error.close_code(), "")),
            Failure::TooSlow => Some((CloseCode::POLICY_VIOLATION, "too slow")),
        }
    }

    /// What [`close_code`](Core::end) says of it.
    #[inline]
    fn code(self) -> CloseCode {
        match self {
            Failure::Gone | Failure::Unanswered | Failure::Silent | Failure::Cut => CloseCode::ABNORMAL,
            Failure::Protocol(error) => error.close_code(),
            Failure::TooSlow => CloseCode::POLICY_VIOLATION,
        }
    }
}

impl Core {
    /// How it ended, once no more messages come.
    #[inline]
    pub(in crate::websocket) fn end(&self) -> Option<&End> {
        self.end.get().map(|end| &**end)
    }

    /// What a receiver is told at the end.
    #[inline]
    pub(super) fn end_for_receiver(&self) -> Result<Option<Received>> {
        match self.end.get().and_then(|end| end.failure) {
            None | Some(Failure::Unanswered) => Ok(None),
            Some(Failure::Protocol(error)) => Err(Error::WebSocketProtocol(error)),
            Some(Failure::Gone | Failure::Silent | Failure::Cut | Failure::TooSlow) => Err(Error::ClientGone),
        }
    }

    /// Begins the closing handshake, or ends the one that the peer has begun. Does nothing when our close frame is out.
    ///
    /// # Errors
    ///
    /// That of a frame that cannot be sent.
    #[inline]
    pub(in crate::websocket) fn begin_close(&self, code: CloseCode, reason: &str) -> Result<(), EncodeError> {
        if !self.can_send() {
            return Ok(());
        }
        self.send_close(Some(&CloseFrame { code, reason: reason.to_owned() }))?;
        match self.phase.get() {
            Phase::ClosedByPeer => self.phase.set(self.phase_behind_close()),
            _ => self.phase.set(Phase::Closing),
        }
        self.deadline.set_after(self.settings().close_timeout);
        self.wake_driver();
        Ok(())
    }

    /// The peer's close frame has come. It is answered by [`answer_close`](Core::answer_close), unless it is an answer
    /// itself.
    #[inline]
    pub(super) fn closed_by_peer(&self, frame: Option<CloseFrame>) {
        let next = if self.is_open() { Phase::ClosedByPeer } else { self.phase_behind_close() };
        let (code, reason) = frame.map_or((CloseCode::NO_STATUS, String::new()), |frame| (frame.code, frame.reason));
        self.end_with(End { code, reason, failure: None }, next);
    }

    /// Answers the peer's close frame with its own code, if that is still to be done.
    #[inline]
    pub(super) fn answer_close(&self) {
        if self.phase.get() == Phase::ClosedByPeer {
            let code = self.end().map(|end| end.code).filter(|code| code.is_sendable());
            // What was received may be sent.
            let _ = self.send_close(code.map(|code| CloseFrame { code, reason: String::new() }).as_ref());
            self.phase.set(self.phase_behind_close());
            self.deadline.set_after(self.settings().close_timeout);
            self.wake_driver();
        }
    }

    /// What follows when both close frames are out. RFC 6455 7.1.1: the server closes the connection first, and
    /// the client waits for that.
    #[inline]
    fn phase_behind_close(&self) -> Phase {
        if self.role == Role::Server { Phase::Flushing } else { Phase::FlushingThenLingering }
    }

    /// Ends the connection, as orderly as the reason allows.
    #[cold]
    pub(super) fn fail(&self, failure: Failure) {
        let frame = failure.frame().filter(|_| self.is_open());
        if let Some((code, reason)) = frame {
            // A known code, and a short reason.
            let _ = self.send_close(Some(&CloseFrame { code, reason: reason.to_owned() }));
        }
        let next = match failure {
            // What was queued before a FIN is still sent.
            Failure::Gone if !self.stream.is_closed() && !self.stream.is_reset() => Phase::Flushing,
            Failure::Gone | Failure::Unanswered | Failure::Silent | Failure::Cut => Phase::Over,
            Failure::Protocol(_) | Failure::TooSlow => Phase::FlushingThenLingering,
        };
        self.end_with(End { code: failure.code(), reason: String::new(), failure: Some(failure) }, next);
    }

    #[inline]
    fn end_with(&self, end: End, next: Phase) {
        let _ = self.end.set(Box::new(end));
        self.phase.set(next);
        self.deadline.set_after(self.settings().close_timeout);
        if next == Phase::Over {
            self.flush();
            self.stream.close();
        }
        self.wake_receiver();
        self.wake_watchers();
        self.wake_driver();
    }

    /// Sends a close frame behind everything that waits.
    #[inline]
    fn send_close(&self, frame: Option<&CloseFrame>) -> Result<(), EncodeError> {
        let frame = self.codec.borrow().encoder.close(frame)?;
        match self.outbox.take() {
            Some(mut outbox) => {
                outbox.push_control(frame);
                self.outbox.set(Some(outbox));
            }
            None => self.send_frame(frame),
        }
        Ok(())
    }

    /// Sends what is left and closes. Ready when that is over, one way or another.
    #[inline]
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.phase.get() {
                Phase::Open | Phase::Closing | Phase::ClosedByPeer => return Poll::Pending,
                Phase::Over => {
                    self.stream.close();
                    return Poll::Ready(());
                }
                phase @ (Phase::Flushing | Phase::FlushingThenLingering) => {
                    if self.poll_pump(cx).is_ready() {
                        match self.stream.poll_flush(cx) {
                            Poll::Pending => {}
                            Poll::Ready(Ok(())) if phase == Phase::FlushingThenLingering => {
                                self.phase.set(Phase::Lingering);
                                continue;
                            }
                            Poll::Ready(_) => {
                                self.phase.set(Phase::Over);
                                continue;
                            }
                        }
                    }
                }
                Phase::Lingering => {
                    if self.poll_linger(cx).is_ready() {
                        self.phase.set(Phase::Over);
                        continue;
                    }
                }
            }
            if self.deadline.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
            self.phase.set(Phase::Over);
        }
    }

    /// Ends our side, and drops what comes until the peer has ended its own.
    #[inline]
    fn poll_linger(&self, cx: &mut Context<'_>) -> Poll<()> {
        // A client waits for the server, which closes first: its own end of output would be taken for a half-closed client.
        if self.role == Role::Server && !matches!(self.stream.poll_shutdown(cx), Poll::Ready(Ok(()))) {
            return Poll::Ready(());
        }
        loop {
            let read = self.stream.poll_read_with(cx, |bytes| match bytes.len() {
                0 => Parsed::Incomplete,
                count => Parsed::Done { consumed: count, value: () },
            });
            match read {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
