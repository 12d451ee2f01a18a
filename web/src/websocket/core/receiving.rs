//! From bytes to messages.

use std::task::{Context, Poll, ready};

use httpserver::iostream::{self, Parsed};

use super::{Core, Phase, closing::Failure, keep_waiter};
use crate::{
    error::Result,
    websocket::codec::{Event, Message, ProtocolError},
};

/// What a receiver is told.
pub(in crate::websocket) enum Received {
    Message(Message),
    /// Answered already.
    Ping(httpserver::Bytes),
    Pong(httpserver::Bytes),
}

impl Core {
    /// The next message, or with `control` also pings and pongs. `None` at an orderly end.
    ///
    /// # Errors
    ///
    /// When the end was not an orderly one.
    #[inline]
    pub(in crate::websocket) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        control: bool,
    ) -> Poll<Result<Option<Received>>> {
        let received = loop {
            if let Some(message) = self.inbox.take() {
                break Ok(Some(Received::Message(*message)));
            }
            if !self.is_receiving() {
                self.answer_close();
                break self.end_for_receiver();
            }
            match self.poll_event(cx) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(Received::Ping(_) | Received::Pong(_))) if !control => {}
                Poll::Ready(Some(received)) => break Ok(Some(received)),
                Poll::Pending => {
                    self.has_read.set(true);
                    keep_waiter(&self.receiver, cx.waker());
                    return Poll::Pending;
                }
            }
        };
        // A receiver in another task leaves the input to the driver until it asks again.
        if !self.driving.get() {
            self.stop_receiving();
        }
        Poll::Ready(received)
    }

    /// A receiver has gone without a message: the driver is to look after the input again.
    #[inline]
    pub(in crate::websocket) fn stop_receiving(&self) {
        drop(self.receiver.take());
        self.wake_driver();
    }

    /// Reads what nobody is waiting for: what comes behind the handler's back may be a ping, or the end. A message is kept
    /// until it is asked for, and reading stops.
    pub(super) fn poll_read_ahead(&self, cx: &mut Context<'_>, has_handler: bool) {
        if has_handler && self.is_received_elsewhere(cx) {
            return;
        }
        loop {
            let inbox = self.inbox.take();
            let is_full = inbox.is_some();
            self.inbox.set(inbox);
            if is_full && has_handler {
                // Nothing else is looked for than a connection that is dead.
                if self.stream.poll_peer_closed(cx).is_ready() && self.stream.is_reset() {
                    self.fail(Failure::Gone);
                }
                return;
            }
            if !self.is_receiving() {
                return;
            }
            match self.poll_event(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Received::Message(message))) if has_handler => {
                    self.inbox.set(Some(Box::new(message)));
                    self.wake_receiver();
                }
                Poll::Ready(_) => {}
            }
        }
    }

    /// Whether a receiver in another task looks after the input.
    #[inline]
    fn is_received_elsewhere(&self, cx: &mut Context<'_>) -> bool {
        let receiver = self.receiver.take();
        let is_other = receiver.as_ref().is_some_and(|receiver| !receiver.will_wake(cx.waker()));
        self.receiver.set(receiver);
        is_other
    }

    /// Whether messages may still come.
    #[inline]
    fn is_receiving(&self) -> bool {
        matches!(self.phase.get(), Phase::Open | Phase::Closing)
    }

    /// What comes next, with what follows from it done. `None` when the phase has changed instead.
    #[inline]
    fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        match ready!(self.poll_decode(cx)) {
            Ok(Ok(Event::Message(message))) => Poll::Ready(Some(Received::Message(message))),
            Ok(Ok(Event::Ping(payload))) => {
                self.send_pong(&payload);
                Poll::Ready(Some(Received::Ping(payload)))
            }
            Ok(Ok(Event::Pong(payload))) => Poll::Ready(Some(Received::Pong(payload))),
            Ok(Ok(Event::Close(frame))) => {
                self.closed_by_peer(frame);
                Poll::Ready(None)
            }
            Ok(Err(error)) => {
                self.fail(Failure::Protocol(error));
                Poll::Ready(None)
            }
            // The end of input without a close frame, or a broken connection.
            Err(_) => {
                self.fail(Failure::Gone);
                Poll::Ready(None)
            }
        }
    }

    /// Receives and decodes until there is an event.
    #[inline]
    fn poll_decode(&self, cx: &mut Context<'_>) -> Poll<iostream::Result<Result<Event, ProtocolError>>> {
        loop {
            let decoded = ready!(self.stream.poll_read_with(cx, |bytes| {
                // Shown when a wait begins. To consume nothing of it would end the read.
                if bytes.is_empty() {
                    return Parsed::Incomplete;
                }
                let mut rest = bytes;
                let decoded = self.codec.borrow_mut().decoder.decode(&mut rest);
                Parsed::Done { consumed: bytes.len() - rest.len(), value: decoded }
            }))?;
            self.heard.set(true);
            match decoded {
                Ok(None) => {}
                Ok(Some(event)) => return Poll::Ready(Ok(Ok(event))),
                Err(error) => return Poll::Ready(Ok(Err(error))),
            }
        }
    }
}
