use httpserver::Bytes;

use super::{
    CloseFrame, EncodeError, Message, Role,
    frame::{FrameHead, MAX_CONTROL, MAX_HEAD, Opcode},
    mask::append_unmasked,
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
}

impl Encoder {
    /// An encoder of what `role` sends.
    #[inline]
    pub fn new(role: Role) -> Encoder {
        Encoder { role }
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
        match message {
            Message::Text(text) => self.frame(Opcode::Text, text.as_bytes(), out),
            Message::Binary(bytes) => self.frame(Opcode::Binary, bytes, out),
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
    fn data(&self, opcode: Opcode, payload: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(MAX_HEAD + payload.len());
        self.frame(opcode, payload, &mut out);
        Bytes::from(out)
    }

    #[inline]
    fn control(&self, opcode: Opcode, payload: &[u8]) -> Result<Bytes, EncodeError> {
        if payload.len() > MAX_CONTROL {
            return Err(EncodeError::ControlTooLong { length: payload.len() });
        }
        Ok(self.data(opcode, payload))
    }

    #[inline]
    fn frame(&self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let key = match self.role {
            Role::Server => None,
            Role::Client => Some(masking_key()),
        };
        let length = payload.len() as u64;
        FrameHead { is_final: true, is_compressed: false, opcode, length, key }.write(out);
        append_unmasked(out, payload, key);
    }
}
