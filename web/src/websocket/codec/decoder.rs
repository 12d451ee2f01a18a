use httpserver::Bytes;

use super::{
    CloseFrame, Event, Message, ProtocolError,
    ProtocolError::Violation,
    Receiver, Role,
    assembly::Assembly,
    frame::{FrameHead, MAX_HEAD, Opcode},
    mask::{append_unmasked, rotated},
};

/// The largest message that a decoder takes unless told otherwise, in bytes: 10 MiB, as in Tornado.
pub const DEFAULT_MAX_MESSAGE_SIZE: usize = 10 * 1024 * 1024;

/// Turns the bytes of a connection into [`Event`]s.
///
/// The bytes may come in any pieces. Between messages a decoder holds no buffer; it has less than 64 bytes itself. A
/// message holds memory for what has come of it, never for what was merely announced.
///
/// Text is checked as it arrives: a byte that is not UTF-8 is an error when it comes, even within a frame.
///
/// # Examples
///
/// ```
/// use web::websocket::{
///     Message,
///     codec::{Decoder, Event, Role},
/// };
///
/// let mut decoder = Decoder::new(Role::Client).max_message_size(1000);
/// let mut bytes = &b"\x01\x03Hel\x89\x00\x80\x02lo"[..]; // a message in two fragments, and a ping between them
/// assert!(matches!(decoder.decode(&mut bytes)?, Some(Event::Ping(_))));
/// assert_eq!(decoder.decode(&mut bytes)?, Some(Event::Message(Message::from("Hello"))));
/// assert_eq!(decoder.decode(&mut bytes)?, None); // more has to come
/// # Ok::<(), web::websocket::codec::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_message_size: usize,
    state: State,
    /// A head that has come in part, `head_len` bytes of it.
    head: [u8; MAX_HEAD],
    head_len: u8,
    role: Role,
    /// With compression agreed on.
    receiver: Option<Receiver>,
}

#[derive(Debug)]
enum State {
    /// Between messages, and at most within a head.
    Idle,
    /// Within a message or a frame. Boxed, because most connections are idle most of the time.
    Busy(Box<Partial>),
    /// The peer has sent a close frame.
    Closed,
    Failed(Box<ProtocolError>),
}

#[derive(Debug, Default)]
struct Partial {
    /// The message whose last fragment has not come.
    message: Option<Assembly>,
    /// How many bytes the frames of that message have announced.
    announced: usize,
    frame: Option<Receiving>,
    /// What has come of a control frame.
    control: Vec<u8>,
}

/// A frame whose payload has not come as a whole.
#[derive(Debug)]
struct Receiving {
    opcode: Opcode,
    is_final: bool,
    /// The key for the next byte.
    key: Option<[u8; 4]>,
    /// How many bytes are to come.
    left: usize,
}

impl Decoder {
    /// A decoder of what the peer of `role` sends, with a limit of [`DEFAULT_MAX_MESSAGE_SIZE`].
    #[inline]
    pub fn new(role: Role) -> Decoder {
        Decoder {
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            state: State::Idle,
            head: [0; MAX_HEAD],
            head_len: 0,
            role,
            receiver: None,
        }
    }

    /// Takes compressed messages, as was agreed on.
    #[cfg(feature = "deflate")]
    #[inline]
    pub fn deflate(mut self, agreed: &super::Deflate) -> Decoder {
        self.receiver = Some(Receiver::new(agreed));
        self
    }

    /// Sets the largest message that is taken, in bytes: all fragments together, and both as sent and decompressed.
    #[inline]
    pub fn max_message_size(mut self, bytes: usize) -> Decoder {
        self.max_message_size = bytes;
        self
    }

    /// The next event, if the bytes complete one. They are taken from the front of `input`, which is left with what follows
    /// the event. Without an event, all of them are taken: more has to come.
    ///
    /// After [`Event::Close`] there are no more events, and all bytes are dropped.
    ///
    /// # Errors
    ///
    /// What the peer must not send. [`ProtocolError::close_code`] says what it should be told before the connection ends.
    /// The decoder stays in error: it returns the same from then on.
    #[inline]
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, ProtocolError> {
        match &self.state {
            State::Idle | State::Busy(_) => {}
            State::Closed => {
                *input = &[];
                return Ok(None);
            }
            State::Failed(error) => return Err(**error),
        }
        let event = self.advance(input);
        match &event {
            Ok(Some(Event::Close(_))) => {
                self.state = State::Closed;
                *input = &[];
            }
            Ok(_) => {}
            Err(error) => self.state = State::Failed(Box::new(*error)),
        }
        event
    }

    /// Whether a message or a frame has begun and not ended. An end of the input here is in the middle of something.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.head_len > 0 || matches!(self.state, State::Busy(_))
    }

    #[inline]
    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Event>, ProtocolError> {
        loop {
            if !self.is_within_frame() {
                let Some(head) = self.next_head(input)? else { return Ok(None) };
                let length = self.check(&head)?;
                if let Some(event) = self.take_whole(&head, length, input)? {
                    return Ok(Some(event));
                }
                self.begin(&head, length);
            }
            let event = self.receive(input)?;
            if event.is_some() || self.is_within_frame() {
                return Ok(event);
            }
        }
    }

    #[inline]
    fn is_within_frame(&self) -> bool {
        matches!(&self.state, State::Busy(partial) if partial.frame.is_some())
    }

    #[inline]
    fn next_head(&mut self, input: &mut &[u8]) -> Result<Option<FrameHead>, ProtocolError> {
        if self.head_len == 0
            && let Some((head, length)) = FrameHead::parse(input, self.role)?
        {
            *input = &input[length..];
            return Ok(Some(head));
        }
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            // The longest head is whole, so there is room.
            self.head[usize::from(self.head_len)] = byte;
            self.head_len += 1;
            if let Some((head, _)) = FrameHead::parse(&self.head[..usize::from(self.head_len)], self.role)? {
                self.head_len = 0;
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// What a head may be depends on what went before it. Returns the length, which is within the limit.
    #[inline]
    fn check(&self, head: &FrameHead) -> Result<usize, ProtocolError> {
        // Set in the first frame of a message (RFC 7692 6).
        if head.is_compressed && (self.receiver.is_none() || !matches!(head.opcode, Opcode::Text | Opcode::Binary)) {
            return Err(Violation("a reserved bit is set"));
        }
        if head.opcode.is_control() {
            return Ok(head.length as usize); // at most 125
        }
        let announced = match &self.state {
            State::Busy(partial) if partial.message.is_some() => Some(partial.announced),
            _ => None,
        };
        match (head.opcode, announced) {
            (Opcode::Continuation, None) => return Err(Violation("a continuation of no message")),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation("a message within another")),
            _ => {}
        }
        match usize::try_from(head.length) {
            Ok(length) if length <= self.max_message_size - announced.unwrap_or(0) => Ok(length),
            _ => Err(ProtocolError::MessageTooBig { limit: self.max_message_size }),
        }
    }

    /// The usual case: a frame that is here as a whole, and is a message by itself or a control frame. It needs no
    /// memory but its own.
    #[inline]
    fn take_whole(
        &mut self,
        head: &FrameHead,
        length: usize,
        input: &mut &[u8],
    ) -> Result<Option<Event>, ProtocolError> {
        if head.opcode == Opcode::Continuation || !head.is_final || head.is_compressed {
            return Ok(None);
        }
        let Some((payload, rest)) = input.split_at_checked(length) else { return Ok(None) };
        *input = rest;
        let mut bytes = Vec::with_capacity(length);
        append_unmasked(&mut bytes, payload, head.key);
        Ok(Some(match head.opcode {
            Opcode::Text => {
                let text = String::from_utf8(bytes).map_err(|_| ProtocolError::InvalidUtf8)?;
                Event::Message(Message::Text(text))
            }
            Opcode::Binary => Event::Message(Message::Binary(Bytes::from(bytes))),
            control => control_event(control, bytes)?,
        }))
    }

    /// A frame that is received piece by piece, or belongs to a message that is.
    #[inline]
    fn begin(&mut self, head: &FrameHead, length: usize) {
        if !matches!(self.state, State::Busy(_)) {
            self.state = State::Busy(Box::default());
        }
        let State::Busy(partial) = &mut self.state else { unreachable!("just made so") };
        if !head.opcode.is_control() {
            partial.announced += length;
            let new = || Assembly::new(head.opcode == Opcode::Text, head.is_compressed);
            partial.message.get_or_insert_with(new);
        }
        partial.frame = Some(Receiving { opcode: head.opcode, is_final: head.is_final, key: head.key, left: length });
    }

    /// Takes what there is of the frame that has begun.
    #[inline]
    fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Event>, ProtocolError> {
        let State::Busy(partial) = &mut self.state else { return Ok(None) };
        let event = partial.receive(input, &mut self.receiver, self.max_message_size)?;
        if partial.message.is_none() && partial.frame.is_none() {
            self.state = State::Idle;
        }
        Ok(event)
    }
}

impl Partial {
    #[inline]
    fn receive(
        &mut self,
        input: &mut &[u8],
        receiver: &mut Option<Receiver>,
        limit: usize,
    ) -> Result<Option<Event>, ProtocolError> {
        let Some(frame) = &mut self.frame else { return Ok(None) };
        let (piece, rest) = input.split_at(frame.left.min(input.len()));
        *input = rest;
        if frame.opcode.is_control() {
            append_unmasked(&mut self.control, piece, frame.key);
        } else if let Some(message) = &mut self.message {
            message.push(piece, frame.key, frame.left, receiver, limit)?;
        }
        frame.left -= piece.len();
        frame.key = frame.key.map(|key| rotated(key, piece.len()));
        if frame.left > 0 {
            return Ok(None);
        }
        let (opcode, is_final) = (frame.opcode, frame.is_final);
        self.frame = None;
        if opcode.is_control() {
            return control_event(opcode, std::mem::take(&mut self.control)).map(Some);
        }
        match self.message.take_if(|_| is_final) {
            Some(message) => {
                self.announced = 0;
                Ok(Some(Event::Message(message.finish(receiver, limit)?)))
            }
            None => Ok(None),
        }
    }
}

#[inline]
fn control_event(opcode: Opcode, payload: Vec<u8>) -> Result<Event, ProtocolError> {
    Ok(match opcode {
        Opcode::Close => Event::Close(CloseFrame::parse(&payload)?),
        Opcode::Ping => Event::Ping(Bytes::from(payload)),
        _ => Event::Pong(Bytes::from(payload)),
    })
}
