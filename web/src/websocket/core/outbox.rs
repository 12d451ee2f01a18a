use std::collections::VecDeque;

use httpserver::Bytes;

use super::sending::Outgoing;

/// What a message costs in the queue beside its content, in bytes.
const OVERHEAD: usize = 32;

/// Messages that wait, not yet framed: compression with a shared window must not see one that is dropped.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Queued>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) enum Queued {
    Message(Outgoing),
    /// A close frame, which goes behind all of them and is never dropped.
    Control(Bytes),
}

impl Queued {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Queued::Message(item) => item.len() + OVERHEAD,
            Queued::Control(frame) => frame.len(),
        }
    }

    /// Whether `item` makes it obsolete.
    #[inline]
    fn is_replaced_by(&self, item: &Outgoing) -> bool {
        matches!(self, Queued::Message(queued) if queued.key() == item.key())
    }
}

impl Outbox {
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a message. If it `coalesces`, it takes the place of the one with its key. Drops the oldest ones beyond `max`
    /// bytes, but never the new one. Returns what was dropped.
    #[inline]
    pub(super) fn push(&mut self, item: Outgoing, coalesces: bool, max: usize) -> Vec<Queued> {
        let mut dropped = Vec::new();
        let same = coalesces.then(|| self.queue.iter().position(|queued| queued.is_replaced_by(&item))).flatten();
        let item = Queued::Message(item);
        self.bytes += item.len();
        match same {
            Some(at) => {
                let old = std::mem::replace(&mut self.queue[at], item);
                self.bytes -= old.len();
                dropped.push(old);
            }
            None => self.queue.push_back(item),
        }
        while self.bytes > max && self.queue.len() > 1 {
            dropped.extend(self.pop());
        }
        dropped
    }

    /// Adds a close frame.
    #[inline]
    pub(super) fn push_control(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.queue.push_back(Queued::Control(frame));
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Queued> {
        let item = self.queue.pop_front()?;
        self.bytes -= item.len();
        Some(item)
    }
}
