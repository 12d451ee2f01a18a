use httpserver::Bytes;

use super::CloseFrame;

/// A message, whole: all its fragments, decompressed.
///
/// # Examples
///
/// ```
/// use web::websocket::Message;
///
/// let message = Message::from("Hello");
/// assert_eq!(message.as_text(), Some("Hello"));
/// assert_eq!(message.as_bytes(), b"Hello");
/// assert_eq!(Message::from(vec![1, 2, 3]).as_text(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text, which is UTF-8.
    Text(String),
    /// Any bytes.
    Binary(Bytes),
}

impl Message {
    /// The text, unless the message is binary.
    #[inline]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The content of either kind.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The content of either kind, without a copy.
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Message::Text(text) => Bytes::from(text),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The length of the content in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there is no content. An empty message is a message like any other.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl From<&str> for Message {
    #[inline]
    fn from(text: &str) -> Message {
        Message::Text(text.to_owned())
    }
}

impl From<String> for Message {
    #[inline]
    fn from(text: String) -> Message {
        Message::Text(text)
    }
}

impl From<&[u8]> for Message {
    #[inline]
    fn from(bytes: &[u8]) -> Message {
        Message::Binary(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Message {
    #[inline]
    fn from(bytes: Vec<u8>) -> Message {
        Message::Binary(Bytes::from(bytes))
    }
}

impl From<Bytes> for Message {
    #[inline]
    fn from(bytes: Bytes) -> Message {
        Message::Binary(bytes)
    }
}

/// What a [`Decoder`](super::Decoder) found in the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message is complete.
    Message(Message),
    /// A ping, which has to be answered by a pong with the same payload, of at most 125 bytes (RFC 6455 5.5.2). It may come
    /// between the fragments of a message.
    Ping(Bytes),
    /// A pong: the payload of the latest ping, or anything if the peer sent it unasked.
    Pong(Bytes),
    /// The peer closes, with a code and a reason unless it gave none. It sends nothing after this, so the decoder drops all
    /// that follows. It has to be answered by a close frame, unless one was sent before (RFC 6455 5.5.1).
    Close(Option<CloseFrame>),
}
