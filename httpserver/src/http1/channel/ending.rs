//! The end of a request before its answer, and of the connection.

use std::task::{Context, Poll};

use iostream::Parsed;

use super::Channel;

impl Channel {
    pub(crate) fn cancel_on_disconnect(&self, serial: u32) {
        if self.is_current(serial) {
            self.cancels.set(true);
            // When it is another task that asks, the connection's own has to look again.
            if let Some(task) = self.task.take() {
                task.wake();
            }
        }
    }

    /// Ready when the service's future is to be dropped: the client has gone and the service asked for it, or a drain's
    /// time is over.
    pub(crate) fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cut.get() {
            return Poll::Ready(());
        }
        let known = self.task.take().filter(|waker| waker.will_wake(cx.waker()));
        self.task.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
        if self.cancels.get() { self.stream.poll_peer_closed(cx) } else { Poll::Pending }
    }

    /// Whether it waits for a request, with nothing of one received and nothing of an answer left to send.
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy.get()
            && self.is_body_done()
            && self.stream.buffered() == 0
            && !self.stream.is_readable()
            && self.output.borrow().is_none()
            && !self.has_queue()
    }

    /// Ends the connection now, whatever it does.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
        self.stream.close();
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    /// Whether the client may still be sending something that nobody will read: then a close would reset the connection
    /// and could take the answer with it.
    pub(crate) fn has_unread_input(&self) -> bool {
        !self.is_body_done() || self.stream.buffered() > 0 || self.stream.is_readable()
    }

    /// Reads and drops for a while, until the client has closed its side.
    pub(crate) fn poll_linger(&self, cx: &mut Context<'_>, dropped: &mut usize) -> Poll<()> {
        while *dropped <= self.limits().max_linger {
            let polled = self.stream.poll_read_with(cx, |buf| match buf.len() {
                0 => Parsed::Incomplete,
                count => Parsed::Done { consumed: count, value: count },
            });
            match polled {
                Poll::Ready(Ok(count)) => *dropped += count,
                Poll::Ready(Err(_)) => break,
                Poll::Pending => return self.deadline.poll_expired(cx),
            }
        }
        Poll::Ready(())
    }

    pub(crate) fn set_linger_deadline(&self) {
        self.deadline.set_after(self.limits().linger_timeout);
    }
}
