use std::rc::Rc;

use httpserver::Bytes;

use super::codec::{Encoder, FrameKind, Message, Role};

/// A message that is framed once and sent to many: a broadcast costs one buffer, whatever the number of receivers. A clone
/// costs a count. It belongs to its thread.
///
/// # Examples
///
/// ```
/// use web::websocket::{PreparedMessage, WebSocketSender};
///
/// async fn broadcast(room: &[WebSocketSender], text: &str) {
///     let message = PreparedMessage::new(text);
///     for member in room {
///         // A member that has gone is no reason not to tell the others.
///         let _ = member.send_prepared(&message).await;
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct PreparedMessage(Rc<Prepared>);

#[derive(Debug)]
struct Prepared {
    /// As a server sends it.
    frame: Bytes,
    /// Where the content begins.
    head: u8,
    is_text: bool,
    /// What was compressed for those who have agreed on that.
    #[cfg(feature = "deflate")]
    compressed: std::cell::RefCell<Vec<(FrameKind, Bytes)>>,
}

impl PreparedMessage {
    /// Frames a message. It is compressed when it is first sent to somebody who has agreed on that, once for all who have
    /// agreed on the same.
    #[inline]
    pub fn new(message: impl Into<Message>) -> PreparedMessage {
        let message = message.into();
        let frame = Encoder::new(Role::Server).message(&message);
        PreparedMessage(Rc::new(Prepared {
            // A head has two to ten bytes without a mask.
            head: (frame.len() - message.len()) as u8,
            frame,
            is_text: message.as_text().is_some(),
            #[cfg(feature = "deflate")]
            compressed: Default::default(),
        }))
    }

    /// The content.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.frame[usize::from(self.0.head)..]
    }

    /// Whether it is text.
    #[inline]
    pub fn is_text(&self) -> bool {
        self.0.is_text
    }

    /// The length of the content in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.frame.len() - usize::from(self.0.head)
    }

    /// Whether there is no content.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole frame, as a server sends it: not masked, not compressed.
    #[inline]
    pub fn as_frame(&self) -> &Bytes {
        &self.0.frame
    }

    /// The frame for one receiver. Made by its encoder only if nobody else can have the same.
    #[inline]
    pub(super) fn frame(&self, role: Role, encoder: &mut Encoder) -> Bytes {
        match (role, encoder.frame_kind()) {
            (Role::Server, FrameKind::Plain) => self.0.frame.clone(),
            #[cfg(feature = "deflate")]
            (Role::Server, kind @ FrameKind::Compressed { .. }) => self.compressed(kind, encoder),
            _ => self.encode(encoder),
        }
    }

    #[cfg(feature = "deflate")]
    #[inline]
    fn compressed(&self, kind: FrameKind, encoder: &mut Encoder) -> Bytes {
        let known = self.0.compressed.borrow().iter().find(|(known, _)| *known == kind).map(|(_, frame)| frame.clone());
        known.unwrap_or_else(|| {
            let frame = self.encode(encoder);
            self.0.compressed.borrow_mut().push((kind, frame.clone()));
            frame
        })
    }

    #[inline]
    fn encode(&self, encoder: &mut Encoder) -> Bytes {
        match self.0.is_text {
            // It was made of text, so it is some.
            true => encoder.text(std::str::from_utf8(self.as_bytes()).unwrap_or_default()),
            false => encoder.binary(self.as_bytes()),
        }
    }
}

impl<M: Into<Message>> From<M> for PreparedMessage {
    #[inline]
    fn from(message: M) -> PreparedMessage {
        PreparedMessage::new(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_that_of_a_server_whatever_its_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let message = PreparedMessage::new(vec![7; length]);
            assert_eq!(message.as_bytes(), vec![7; length]);
            assert_eq!((message.len(), message.is_empty(), message.is_text()), (length, length == 0, false));
            let mut encoder = Encoder::new(Role::Server);
            assert_eq!(message.as_frame(), &encoder.binary(&vec![7; length]));
            assert_eq!(message.frame(Role::Server, &mut encoder).as_ptr(), message.as_frame().as_ptr());
        }
        assert!(PreparedMessage::new("é").is_text());
    }
}
