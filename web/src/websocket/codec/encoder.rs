use httpserver::Bytes;

use super::{
    CloseFrame, EncodeError, Message, Role, Sender,
    frame::{FrameHead, MAX_CONTROL, MAX_HEAD, Opcode},
    mask::{append_unmasked, unmask},
    random::masking_key,
};

/// Turns messages into frames, one for each.
///
/// What a server sends is not masked, so the same `Bytes` serve every receiver: a message for thousands is framed once, and
/// a clone costs a count. A client's frames have a random key each.
///
/// Each frame is a buffer of its own, in which the content is copied once. [`append`](Encoder::append) puts several into
/// one buffer instead.
///
/// # Examples
///
/// ```
/// use web::websocket::codec::{Encoder, Role};
///
/// let mut encoder = Encoder::new(Role::Server);
/// assert_eq!(encoder.text("Hi"), b"\x81\x02Hi"[..]);
/// assert_eq!(encoder.binary(&[1, 2, 3]), b"\x82\x03\x01\x02\x03"[..]);
/// assert_eq!(encoder.ping(b"")?, b"\x89\x00"[..]);
/// # Ok::<(), web::websocket::codec::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    role: Role,
    /// With compression agreed on.
    sender: Option<Sender>,
}

/// What frames depend on besides the message and the role: a frame serves all encoders of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::websocket) enum FrameKind {
    /// Not compressed.
    Plain,
    /// Compressed by itself.
    #[cfg(feature = "deflate")]
    Compressed { level: u8, window_bits: u8, threshold: u32 },
    /// Compressed with what was in the messages before it: nobody else's.
    #[cfg(feature = "deflate")]
    Own,
}

impl Encoder {
    /// An encoder of what `role` sends.
    #[inline]
    pub fn new(role: Role) -> Encoder {
        Encoder { role, sender: None }
    }

    /// Compresses messages, as was agreed on. What does not become shorter is sent as it is, unless the messages share a
    /// context.
    ///
    /// Without context takeover the frames still serve all receivers that agreed on the same.
    #[cfg(feature = "deflate")]
    #[inline]
    pub fn deflate(mut self, agreed: &super::Deflate) -> Encoder {
        self.sender = Sender::new(agreed);
        self
    }

    /// Which other encoders frame messages in the same way.
    #[inline]
    pub(in crate::websocket) fn frame_kind(&self) -> FrameKind {
        self.sender.as_ref().map_or(FrameKind::Plain, Sender::frame_kind)
    }

    /// A message, framed.
    #[inline]
    pub fn message(&mut self, message: &Message) -> Bytes {
        match message {
            Message::Text(text) => self.text(text),
            Message::Binary(bytes) => self.binary(bytes),
        }
    }

    /// A message of text, framed.
    #[inline]
    pub fn text(&mut self, text: &str) -> Bytes {
        self.data(Opcode::Text, text.as_bytes())
    }

    /// A binary message, framed.
    #[inline]
    pub fn binary(&mut self, bytes: &[u8]) -> Bytes {
        self.data(Opcode::Binary, bytes)
    }

    /// Appends a message, framed, to what is in `out` already.
    #[inline]
    pub fn append(&mut self, message: &Message, out: &mut Vec<u8>) {
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(bytes) => (Opcode::Binary, &bytes[..]),
        };
        let start = out.len();
        match self.compressed(opcode, payload, out) {
            Some(begin) => drop(out.drain(start..begin)),
            None => {
                let head = self.head(opcode, payload.len(), false);
                out.extend_from_slice(&head.encode());
                append_unmasked(out, payload, head.key);
            }
        }
    }

    /// A ping, framed. The peer returns its payload in a pong.
    ///
    /// # Errors
    ///
    /// [`EncodeError::ControlTooLong`] for more than 125 bytes.
    #[inline]
    pub fn ping(&self, payload: &[u8]) -> Result<Bytes, EncodeError> {
        self.control(Opcode::Ping, payload)
    }

    /// A pong, framed: the answer to a ping, with its payload.
    ///
    /// # Errors
    ///
    /// [`EncodeError::ControlTooLong`] for more than 125 bytes, which no ping has.
    #[inline]
    pub fn pong(&self, payload: &[u8]) -> Result<Bytes, EncodeError> {
        self.control(Opcode::Pong, payload)
    }

    /// A close frame, the last that is sent.
    ///
    /// # Errors
    ///
    /// [`EncodeError::InvalidCloseCode`] and, for a reason of more than 123 bytes, [`EncodeError::ControlTooLong`].
    #[inline]
    pub fn close(&self, content: Option<&CloseFrame>) -> Result<Bytes, EncodeError> {
        let mut payload = Vec::new();
        if let Some(CloseFrame { code, reason }) = content {
            if !code.is_sendable() {
                return Err(EncodeError::InvalidCloseCode(*code));
            }
            payload.extend_from_slice(&code.as_u16().to_be_bytes());
            payload.extend_from_slice(reason.as_bytes());
        }
        self.control(Opcode::Close, &payload)
    }

    #[inline]
    fn data(&mut self, opcode: Opcode, payload: &[u8]) -> Bytes {
        let mut out = Vec::new();
        match self.compressed(opcode, payload, &mut out) {
            Some(begin) => {
                // A frame that waits in a queue is not to hold the room that its content would have taken.
                out.shrink_to_fit();
                Bytes::from(out).slice(begin..)
            }
            None => self.plain(opcode, payload),
        }
    }

    #[inline]
    fn control(&self, opcode: Opcode, payload: &[u8]) -> Result<Bytes, EncodeError> {
        if payload.len() > MAX_CONTROL {
            return Err(EncodeError::ControlTooLong { length: payload.len() });
        }
        Ok(self.plain(opcode, payload))
    }

    /// A frame as it is, in a buffer of exactly its length: one with room to spare is turned into `Bytes` by another
    /// allocation.
    #[inline]
    fn plain(&self, opcode: Opcode, payload: &[u8]) -> Bytes {
        let head = self.head(opcode, payload.len(), false);
        let encoded = head.encode();
        let mut out = Vec::with_capacity(encoded.len() + payload.len());
        out.extend_from_slice(&encoded);
        append_unmasked(&mut out, payload, head.key);
        Bytes::from(out)
    }

    /// Appends a frame with its payload compressed, and returns where it begins: its length is known too late. `None`, and
    /// nothing appended, if it is better sent as it is.
    #[inline]
    fn compressed(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let sender = self.sender.as_mut().filter(|sender| sender.wants(payload))?;
        let start = out.len();
        let content = start + MAX_HEAD;
        out.resize(content, 0);
        if !sender.compress(payload, out) {
            out.truncate(start);
            return None;
        }
        let head = self.head(opcode, out.len() - content, true);
        if let Some(key) = head.key {
            unmask(&mut out[content..], key);
        }
        let encoded = head.encode();
        let begin = content - encoded.len();
        out[begin..content].copy_from_slice(&encoded);
        Some(begin)
    }

    #[inline]
    fn head(&self, opcode: Opcode, length: usize, is_compressed: bool) -> FrameHead {
        let key = match self.role {
            Role::Server => None,
            Role::Client => Some(masking_key()),
        };
        FrameHead { is_final: true, is_compressed, opcode, length: length as u64, key }
    }
}
