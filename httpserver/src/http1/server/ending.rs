//! The end of a request before its answer, and of the connection.
//!
//! There are four kinds of end here. A service is dropped because its client has gone, if it asked for that. What it
//! left of the request's body is read and dropped, when keep-alive was announced. A connection that closes with input
//! unread lingers. And a drain cuts whatever is left.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use iostream::Parsed;

use super::{Flag, ServerConn};
use crate::{
    Result,
    body::{IncomingSource, Sink},
    server_state::Registered,
};

/// How often a connection reads what it drops before the rest of the loop has its turn: a client that sends faster than
/// that must not starve the others, nor outlast its deadline.
const READS_IN_A_ROW: usize = 16;

impl ServerConn {
    /// Has the service dropped when the client goes, if its request is still the one in hand.
    pub(crate) fn cancel_on_disconnect(&self, serial: u32) {
        if self.is_current(serial) {
            self.conn.flags.set(Flag::CANCELS);
            // When it is another task that asks, the connection's own has to look again.
            if let Some(task) = self.conn.take_task() {
                task.wake();
            }
        }
    }

    /// Ready when the service's future, or the body of its answer, is to be dropped: the client has gone and the service
    /// asked for it, or a drain's time is over.
    pub(super) fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.conn.flags.has(Flag::CUT) {
            return Poll::Ready(());
        }
        // Waited for in any case: a cut begins with closing the stream, which wakes whoever waits for it.
        let is_gone = self.stream().poll_peer_closed(cx).is_ready();
        // Unless the service asked for that, a client that has ended its sending half may well be waiting for the answer:
        // `printf … | nc` does.
        if is_gone && self.conn.flags.has(Flag::CANCELS) {
            return Poll::Ready(());
        }
        // Then there is nothing to wait for at the stream, and the cut, or a service that asks later, is to be heard all the
        // same. And the end of TLS may have to wait for room.
        if is_gone || self.is_tls() {
            let known = self.conn.take_task().filter(|waker| waker.will_wake(cx.waker()));
            self.conn.keep_task(known.unwrap_or_else(|| cx.waker().clone()));
        }
        Poll::Pending
    }

    /// Drops what is left of the body, however much it is: the answer has announced that the connection goes on. The
    /// answer is sent meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the body.
    pub(super) fn poll_drop_body(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // The final answer has been given, and no 100 follows it.
        self.conn.flags.clear(Flag::EXPECTS_CONTINUE);
        for _ in 0..READS_IN_A_ROW {
            // By way of the reader, so that its time-outs and its rate hold for a body that nobody wants, too.
            if !ready!(self.poll_body(cx, &mut Sink::Show(&mut |_| {})))? {
                drop(self.conn.take_trailers());
                return Poll::Ready(Ok(()));
            }
        }
        // In the next turn, behind the others.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the client may still be sending something that nobody will read: then a close would reset the connection
    /// and could take the answer with it.
    ///
    /// All three count: the rest of the body, what was received and not parsed, and what the kernel is known to hold.
    pub(super) fn has_unread_input(&self) -> bool {
        !self.is_body_done() || self.stream().buffered() > 0 || self.stream().is_readable()
    }

    /// Reads and drops until the client has closed its side, or is silent, or time is over.
    ///
    /// Bounded by time rather than by bytes: a proxy goes on sending its request until it has sent all of it, and sees a
    /// reset instead of the answer when nobody reads. What is read is dropped at once, so it costs no memory.
    pub(super) fn poll_linger(&self, cx: &mut Context<'_>, linger: &mut Linger) -> Poll<()> {
        let mut reads = 0;
        loop {
            if reads == READS_IN_A_ROW {
                cx.waker().wake_by_ref();
                break;
            }
            reads += 1;
            let polled = self.stream().poll_read_with(cx, |buf| match buf.len() {
                // Consuming nothing would be a read that is over at once, without having waited.
                0 => Parsed::Incomplete,
                count => Parsed::Done { consumed: count, value: () },
            });
            match polled {
                // Input breaks the silence, so its time begins anew.
                Poll::Ready(Ok(())) => linger.is_set = false,
                // The client has ended its side, or the connection broke: a close harms nothing any more.
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let (limits, deadline) = (self.limits(), self.conn.deadline());
        if !linger.is_set {
            linger.is_set = true;
            // The time in all counts from the first wait, whatever has come since.
            let waited = self.now() - *linger.began.get_or_insert(self.now());
            deadline.set_after(limits.linger_timeout.min(limits.linger_time.saturating_sub(waited)));
        }
        deadline.poll_expired(cx)
    }
}

/// What lingering keeps between polls.
#[derive(Default)]
pub(super) struct Linger {
    /// When the first wait began. The time in all counts from there, whatever the client does.
    began: Option<std::time::Instant>,
    /// The deadline counts from the last input.
    is_set: bool,
}

impl Registered for ServerConn {
    fn is_idle(&self) -> bool {
        // Each line is a request or an answer that closing now would lose: one being answered, one half received, one
        // that the kernel holds, and an answer not given to the kernel, or not taken by it.
        !self.conn.flags.has(Flag::BUSY)
            && self.is_body_done()
            && self.stream().buffered() == 0
            && !self.stream().is_readable()
            && !self.conn.has_output()
            && !self.conn.has_queue()
    }

    fn cut(&self) -> bool {
        let is_first = !self.conn.flags.replace(Flag::CUT, true);
        // Ends every wait for the stream. A service that waits for something else is reached by its waker.
        self.stream().close();
        if let Some(task) = self.conn.take_task() {
            task.wake();
        }
        is_first
    }

    #[inline]
    fn tell_draining(&self) {
        // Whoever waits for it looks for the drain first.
        if self.conn.flags.has(Flag::LENT) {
            self.deadline().set_after(Duration::ZERO);
        }
    }
}
