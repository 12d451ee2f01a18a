//! The latest messages of a channel.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Instant,
};

use super::{
    cursor::{Cursor, Position},
    message::Message,
    options::HubOptions,
    update::Missed,
};

/// A ring of messages, numbered in the order in which they came. A number is a place in this ring and never leaves the
/// process; it is all that a subscriber has to remember.
///
/// Where messages are missing, numbers are left out: a subscriber that stands there is behind the first message, and is
/// told.
#[derive(Debug)]
pub(super) struct History {
    epoch: u64,
    /// Oldest first.
    messages: VecDeque<Rc<Message>>,
    /// The number of the oldest message, or of the next one when there is none.
    first: u64,
    /// The position in front of the oldest message.
    base: Position,
    /// The sum of their sizes.
    bytes: usize,
    /// The number of the latest message of each key.
    keys: HashMap<Rc<str>, u64>,
    /// A subscriber in front of it belongs to an earlier epoch.
    epoch_begins: u64,
    /// A subscriber in front of it has missed an unknown number of messages.
    gap_ends: u64,
}

/// Where a cursor stands in the history.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// In front of the message with this number.
    At(u64),
    /// Behind all messages: it was given out by another hub that is ahead of this one.
    Ahead,
    /// Of another epoch.
    OtherEpoch,
    /// In front of the oldest message, with others missing in between.
    Lost,
}

impl History {
    /// An empty one. `cursor` is the place in front of the first message.
    #[inline]
    pub(super) fn new(cursor: Cursor) -> History {
        History {
            epoch: cursor.epoch(),
            messages: VecDeque::new(),
            first: 1,
            base: cursor.position(),
            bytes: 0,
            keys: HashMap::new(),
            epoch_begins: 0,
            gap_ends: 0,
        }
    }

    /// Goes on behind `cursor`, whatever came before. Returns what has to be dropped.
    #[inline]
    #[must_use]
    pub(super) fn begin(&mut self, cursor: Cursor) -> VecDeque<Rc<Message>> {
        let same_epoch = cursor.epoch() == self.epoch;
        if same_epoch && cursor.position() <= self.newest() {
            // What it has already is told apart by its position.
            return VecDeque::new();
        }
        // One number is left out, so that nobody stands behind the gap.
        self.first = self.next() + 1;
        self.gap_ends = self.first;
        if !same_epoch {
            self.epoch_begins = self.first;
        }
        (self.epoch, self.base, self.bytes) = (cursor.epoch(), cursor.position(), 0);
        self.keys = HashMap::new();
        std::mem::take(&mut self.messages)
    }

    /// Adds a message, unless it is not later than the newest there is.
    #[inline]
    pub(super) fn push(&mut self, message: Message) -> bool {
        if message.position() <= self.newest() {
            return false;
        }
        let number = self.next();
        self.bytes += message.size();
        if let Some(key) = message.shared_key() {
            let earlier = self.keys.insert(Rc::clone(key), number);
            if let Some(earlier) = earlier.and_then(|earlier| self.get(earlier)) {
                earlier.supersede();
            }
        }
        self.messages.push_back(Rc::new(message));
        true
    }

    /// Takes out the oldest message if there is too much. To be called until there is nothing to take.
    #[inline]
    pub(super) fn evict(&mut self, options: &HubOptions, now: Instant) -> Option<Rc<Message>> {
        let too_much = self.messages.len() > options.max_messages
            || (self.bytes > options.max_bytes && self.messages.len() > 1)
            || self.messages.front().is_some_and(|oldest| now.duration_since(oldest.published()) > options.max_age);
        if !too_much {
            return None;
        }
        let oldest = self.messages.pop_front()?;
        if let Some(key) = oldest.shared_key()
            && self.keys.get(key) == Some(&self.first)
        {
            self.keys.remove(key);
        }
        (self.base, self.bytes) = (oldest.position(), self.bytes - oldest.size());
        self.first += 1;
        if self.messages.is_empty() {
            // A channel that was busy once is not to hold its memory for ever.
            (self.messages, self.keys) = Default::default();
        }
        Some(oldest)
    }

    /// The message with this number.
    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<&Rc<Message>> {
        self.messages.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// What a subscriber in front of message `number` has missed, if that is gone.
    #[inline]
    pub(super) fn missed(&self, number: u64) -> Option<Missed> {
        if number >= self.first {
            None
        } else if number < self.epoch_begins {
            Some(Missed::Everything)
        } else if number < self.gap_ends {
            Some(Missed::Some(None))
        } else {
            Some(Missed::Some(Some(self.first - number)))
        }
    }

    /// Where `cursor` stands.
    #[inline]
    pub(super) fn find(&self, cursor: Cursor) -> Found {
        if cursor.epoch() != self.epoch {
            return Found::OtherEpoch;
        }
        let position = cursor.position();
        if position < self.base {
            return Found::Lost;
        }
        if position > self.newest() {
            return Found::Ahead;
        }
        Found::At(self.first + self.messages.partition_point(|message| message.position() <= position) as u64)
    }

    /// The number of the first of the latest `count` messages.
    #[inline]
    pub(super) fn latest(&self, count: usize) -> u64 {
        self.first + self.messages.len().saturating_sub(count) as u64
    }

    /// The cursor of a subscriber in front of message `number`. One that has missed messages and was not told so gets a cursor
    /// with which it will be told.
    #[inline]
    pub(super) fn cursor(&self, number: u64) -> Cursor {
        if number < self.first {
            return Cursor::new(if number < self.epoch_begins { !self.epoch } else { self.epoch }, (0, 0));
        }
        let before = self.get(number - 1).map_or(self.base, |message| message.position());
        Cursor::new(self.epoch, before)
    }

    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the oldest message.
    #[inline]
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next message.
    #[inline]
    pub(super) fn next(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn newest(&self) -> Position {
        self.messages.back().map_or(self.base, |message| message.position())
    }
}
