//! The end of a request before its answer, and of the connection.

use std::task::{Context, Poll, ready};

use iostream::Parsed;

use super::ServerConn;
use crate::{Error, Result, body::IncomingSource, server_state::Registered};

impl ServerConn {
    pub(crate) fn cancel_on_disconnect(&self, serial: u32) {
        if self.is_current(serial) {
            self.cancels.set(true);
            // When it is another task that asks, the connection's own has to look again.
            if let Some(task) = self.task.take() {
                task.wake();
            }
        }
    }

    /// Ready when the service's future, or the body of its answer, is to be dropped: the client has gone and the service
    /// asked for it, or a drain's time is over.
    pub(super) fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cut.get() {
            return Poll::Ready(());
        }
        let known = self.task.take().filter(|waker| waker.will_wake(cx.waker()));
        self.task.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
        if self.cancels.get() { self.stream().poll_peer_closed(cx) } else { Poll::Pending }
    }

    /// Drops what is left of the body, counting it in `dropped`. The answer is sent meanwhile.
    ///
    /// # Errors
    ///
    /// Besides those of the body: [`Error::BodyTooLarge`] when more than
    /// [`Limits::max_unread_body`](crate::Limits::max_unread_body) comes after the answer.
    pub(super) fn poll_drop_body(&self, cx: &mut Context<'_>, dropped: &mut usize) -> Poll<Result<()>> {
        let limit = self.limits().max_unread_body;
        self.expects_continue.set(false);
        while ready!(self.poll_body(cx, &mut |data| *dropped += data.len()))? {
            if *dropped > limit {
                return Poll::Ready(Err(Error::BodyTooLarge { limit: limit as u64 }));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client may still be sending something that nobody will read: then a close would reset the connection
    /// and could take the answer with it.
    pub(super) fn has_unread_input(&self) -> bool {
        !self.is_body_done() || self.stream().buffered() > 0 || self.stream().is_readable()
    }

    /// Reads and drops until the client has closed its side, or is silent, or time is over.
    ///
    /// Bounded by time rather than by bytes: a proxy goes on sending its request until it has sent all of it, and sees a
    /// reset instead of the answer when nobody reads. What is read is dropped at once, so it costs no memory.
    pub(super) fn poll_linger(&self, cx: &mut Context<'_>, linger: &mut Linger) -> Poll<()> {
        loop {
            let polled = self.stream().poll_read_with(cx, |buf| match buf.len() {
                0 => Parsed::Incomplete,
                count => Parsed::Done { consumed: count, value: () },
            });
            match polled {
                Poll::Ready(Ok(())) => linger.is_set = false,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let (limits, deadline) = (self.limits(), self.conn.deadline());
        if !linger.is_set {
            linger.is_set = true;
            let until = *linger.until.get_or_insert(self.now() + limits.linger_time);
            deadline.set_after(limits.linger_timeout.min(until.saturating_duration_since(self.now())));
        }
        deadline.poll_expired(cx)
    }
}

/// What lingering keeps between polls.
#[derive(Default)]
pub(super) struct Linger {
    /// When it ends, whatever the client does.
    until: Option<std::time::Instant>,
    /// The deadline counts from the last input.
    is_set: bool,
}

impl Registered for ServerConn {
    fn is_idle(&self) -> bool {
        !self.busy.get()
            && self.is_body_done()
            && self.stream().buffered() == 0
            && !self.stream().is_readable()
            && !self.conn.has_output()
            && !self.conn.has_queue()
    }

    fn cut(&self) {
        self.cut.set(true);
        self.stream().close();
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}
