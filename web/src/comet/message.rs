//! A message of a channel, and what is sent of it.

use std::{
    cell::{Cell, OnceCell},
    fmt,
    rc::Rc,
    time::Instant,
};

use httpserver::Bytes;

use super::cursor::{Cursor, Position};
use crate::event_stream::Event;
#[cfg(feature = "websocket")]
use crate::websocket::PreparedMessage;

/// What is published: data, which is JSON, and optionally a key.
///
/// It is what a [`Broker`](super::broker::Broker) carries from one hub to others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Publication {
    /// One JSON text.
    pub data: Bytes,
    /// Of messages with the same key only the latest matters to those who
    /// [coalesce](super::SlowPolicy::Coalesce).
    pub key: Option<Rc<str>>,
}

impl Publication {
    /// Data without a key.
    #[inline]
    pub fn new(data: Bytes) -> Publication {
        Publication { data, key: None }
    }

    /// The same with a key.
    #[inline]
    #[must_use]
    pub fn with_key(mut self, key: Option<&str>) -> Publication {
        self.key = key.map(Rc::from);
        self
    }
}

/// A message as a channel keeps it: one for all who receive it.
///
/// What is sent of it is made when the first client of that kind receives it, and shared by the others.
pub struct Message {
    epoch: u64,
    position: Position,
    published: Instant,
    publication: Publication,
    /// A later message of the channel has its key.
    superseded: Cell<bool>,
    event: OnceCell<Bytes>,
    #[cfg(feature = "websocket")]
    frame: OnceCell<PreparedMessage>,
}

impl Message {
    #[inline]
    pub(super) fn new(cursor: Cursor, publication: Publication, published: Instant) -> Message {
        Message {
            epoch: cursor.epoch(),
            position: cursor.position(),
            published,
            publication,
            superseded: Cell::new(false),
            event: OnceCell::new(),
            #[cfg(feature = "websocket")]
            frame: OnceCell::new(),
        }
    }

    /// The cursor of who has seen this message and all before it.
    #[inline]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.epoch, self.position)
    }

    /// One JSON text.
    #[inline]
    pub fn data(&self) -> &Bytes {
        &self.publication.data
    }

    /// The key it was published with.
    #[inline]
    pub fn key(&self) -> Option<&str> {
        self.publication.key.as_deref()
    }

    /// Whether a later message has the same key.
    #[inline]
    pub fn is_superseded(&self) -> bool {
        self.superseded.get()
    }

    #[inline]
    pub(super) fn shared_key(&self) -> Option<&Rc<str>> {
        self.publication.key.as_ref()
    }

    #[inline]
    pub(super) fn supersede(&self) {
        self.superseded.set(true);
    }

    #[inline]
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// When it came to this hub.
    #[inline]
    pub(super) fn published(&self) -> Instant {
        self.published
    }

    /// What it takes in the history, about.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.publication.data.len() + self.key().map_or(0, str::len)
    }

    /// As a server-sent event whose id is the cursor.
    #[inline]
    pub(super) fn event(&self) -> &Bytes {
        self.event.get_or_init(|| event(self.cursor(), None, &self.publication.data))
    }

    /// As a message of a WebSocket.
    #[cfg(feature = "websocket")]
    #[inline]
    pub(super) fn frame(&self) -> &PreparedMessage {
        self.frame.get_or_init(|| {
            let data = String::from_utf8_lossy(&self.publication.data);
            PreparedMessage::new(format!("{{\"cursor\":\"{}\",\"data\":{data}}}", self.cursor()))
        })
    }
}

/// An event of a hub. Nothing in it can be at fault: data that came as bytes is made text.
#[inline]
pub(super) fn event(cursor: Cursor, name: Option<&str>, data: &[u8]) -> Bytes {
    let mut event = Event::without_data().id(cursor.to_string());
    if let Some(name) = name {
        event = event.name(name);
    }
    event.data(String::from_utf8_lossy(data)).encode().map(|event| event.into_bytes()).unwrap_or_default()
}

impl fmt::Debug for Message {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("cursor", &self.cursor()).field("data", self.data()).finish_non_exhaustive()
    }
}
