use std::{
    fmt,
    rc::{Rc, Weak},
    time::Duration,
};

use crate::comet::{Cursor, Publication, channel::Channel, message::Message};

/// Where a [`Broker`](super::Broker) puts the messages of one channel of one hub. Clones are the same feed.
///
/// It does not keep the channel: once its hub has given that up, what is delivered is dropped.
#[derive(Clone)]
pub struct Feed {
    name: Rc<str>,
    channel: Weak<Channel>,
}

/// How far back clients of a hub may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Depth {
    /// So many messages.
    pub messages: usize,
    /// So many bytes of data.
    pub bytes: usize,
    /// None that are older.
    pub age: Duration,
}

impl Feed {
    #[inline]
    pub(in crate::comet) fn new(channel: &Rc<Channel>) -> Feed {
        Feed { name: Rc::clone(&channel.name), channel: Rc::downgrade(channel) }
    }

    /// The channel's name.
    #[inline]
    pub fn channel(&self) -> &str {
        &self.name
    }

    /// Goes on behind `cursor`: what is delivered from now on is everything behind it. What that means for subscribers is
    /// part of the [contract](super::Broker#the-contract).
    #[inline]
    pub fn begin(&self, cursor: Cursor) {
        if let Some(channel) = self.channel.upgrade() {
            channel.begin(cursor);
        }
    }

    /// The next message. False when it has been dropped: it is one that the hub has, it belongs to another epoch than the last
    /// [`begin`](Feed::begin), or the feed is closed.
    #[inline]
    pub fn deliver(&self, cursor: Cursor, publication: Publication) -> bool {
        let Some(channel) = self.channel.upgrade() else { return false };
        let now = channel.now();
        channel.deliver(Message::new(cursor, publication, now))
    }

    /// The cursor of the newest message, or the last that the feed began with: where a broker goes on after it had lost its
    /// connection. `None` before the first [`begin`](Feed::begin).
    #[inline]
    pub fn newest(&self) -> Option<Cursor> {
        self.channel.upgrade()?.newest()
    }

    /// How many of the messages that there are already should be delivered at the beginning.
    #[inline]
    pub fn history(&self) -> Depth {
        let nothing = Depth { messages: 0, bytes: 0, age: Duration::ZERO };
        self.channel.upgrade().map_or(nothing, |channel| {
            let options = &channel.options;
            Depth { messages: options.max_messages, bytes: options.max_bytes, age: options.max_age }
        })
    }

    /// Whether the hub has given the channel up.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.channel.strong_count() == 0
    }
}

impl fmt::Debug for Feed {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("channel", &self.name).finish_non_exhaustive()
    }
}
