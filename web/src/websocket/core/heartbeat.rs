//! Pings, and peers that do not answer them.

use std::task::Context;

use super::{Core, Phase, closing::Failure};

impl Core {
    /// Does what is due: a ping, or the end of a peer that was silent for too long.
    #[inline]
    pub(super) fn poll_heartbeat(&self, cx: &mut Context<'_>) {
        // Each step moves the deadline, and the last of them registers for it.
        while self.deadline.poll_expired(cx).is_ready() {
            match self.phase.get() {
                Phase::Open => self.beat(),
                Phase::Closing => self.fail(Failure::Unanswered),
                // The handler has had its time.
                Phase::ClosedByPeer => self.answer_close(),
                _ => return,
            }
        }
    }

    #[cold]
    fn beat(&self) {
        let settings = self.settings();
        let timeout = settings.ping_timeout();
        if self.awaits_pong.replace(false) {
            if !self.is_alive() {
                return self.fail(Failure::Silent);
            }
            let pause = settings.ping_interval - timeout;
            if !pause.is_zero() {
                return self.deadline.set_after(pause);
            }
        }
        let is_stuck = self.stream.pending_write() > 0;
        self.heard.set(false);
        self.was_stuck.set(is_stuck);
        self.sent_mark.set(self.stream.bytes_sent() as u32);
        self.awaits_pong.set(true);
        // Behind what the peer has not taken yet a ping would come too late to say anything.
        if !is_stuck {
            // It is open, and the payload is short.
            let _ = self.send_ping(&[]);
        }
        self.deadline.set_after(timeout);
    }

    /// Whether there was a sign of life since the last ping: something came, or something was taken of what was queued
    /// then. What the kernel takes otherwise says nothing of the peer. While a message waits for its handler nothing is
    /// read, and nothing can be said.
    fn is_alive(&self) -> bool {
        let inbox = self.inbox.take();
        let is_paused = inbox.is_some();
        self.inbox.set(inbox);
        // The kernel may have room that it does not tell of.
        let is_moving = self.was_stuck.get()
            && (self.stream.offer_queued() || self.stream.bytes_sent() as u32 != self.sent_mark.get());
        self.heard.get() || is_paused || is_moving
    }
}
