use std::rc::Rc;

use super::message::Message;

/// What a subscriber is told next.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Update {
    /// A message, in order, once.
    Message(Rc<Message>),

    /// Messages have been missed: they fell out of the history before this subscriber came to read them. It was too slow, or
    /// comes back after too long. What follows begins with the oldest message there is.
    Lagged {
        /// How many, if that is known.
        missed: Option<u64>,
    },

    /// The channel has another epoch than the subscriber's cursor, or does not know the cursor: what the client knows of the
    /// channel is of another life. What follows begins with the oldest message there is.
    Reset,
}

/// What a subscriber has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    /// So many messages.
    Some(Option<u64>),
    /// The end of an epoch.
    Everything,
}

impl From<Missed> for Update {
    #[inline]
    fn from(missed: Missed) -> Update {
        match missed {
            Missed::Some(missed) => Update::Lagged { missed },
            Missed::Everything => Update::Reset,
        }
    }
}

/// What happens to a subscriber that does not keep up: its client reads too slowly, or not at all. A publisher never waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SlowPolicy {
    /// It goes on with the oldest message that the history still has, and is told by [`Update::Lagged`] what it has missed.
    #[default]
    DropOldest,

    /// In addition, messages that a later one with the same key has superseded are left out, and nothing is said about that. A
    /// client that keeps up sees all of them; one that does not sees the latest of each key.
    Coalesce,

    /// Its connection is ended. The client comes back with its cursor when it is able to.
    Disconnect,
}
