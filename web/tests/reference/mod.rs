//! A slow decoder of WebSocket frames, written to be compared with RFC 6455 and RFC 7692 line by line. It has all bytes at
//! once, keeps everything and copies whatever it likes.

use flate2::{Decompress, FlushDecompress, Status};

#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum End {
    /// More could come.
    Open,
    /// After a close frame.
    Closed,
    /// A fault, with the code that the peer is told.
    Fault(u16),
    /// A compressed message that is not whole. A decoder may have found a fault in it already.
    WithinCompressed,
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub is_server: bool,
    /// Whether compression was agreed on, and if so, whether messages share a context.
    pub deflate: Option<bool>,
    pub max_message_size: usize,
}

/// What the bytes mean, and how they end.
pub fn decode(bytes: &[u8], settings: Settings) -> (Vec<Item>, End) {
    let mut reference = Reference { settings, bytes, message: None, window: Decompress::new(false), items: Vec::new() };
    let end = loop {
        match reference.frame() {
            Ok(()) => {}
            Err(end) => break end,
        }
    };
    (reference.items, end)
}

struct Reference<'a> {
    settings: Settings,
    bytes: &'a [u8],
    message: Option<Message>,
    window: Decompress,
    items: Vec<Item>,
}

struct Message {
    is_text: bool,
    is_compressed: bool,
    content: Vec<u8>,
}

const PROTOCOL: End = End::Fault(1002);
const INVALID: End = End::Fault(1007);
const TOO_BIG: End = End::Fault(1009);

impl Reference<'_> {
    fn take(&mut self, count: usize) -> Result<Vec<u8>, End> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(self.end_here())?;
        self.bytes = rest;
        Ok(taken.to_vec())
    }

    fn end_here(&self) -> End {
        match &self.message {
            Some(message) if message.is_compressed => End::WithinCompressed,
            _ => End::Open,
        }
    }

    fn frame(&mut self) -> Result<(), End> {
        let first = self.take(1)?[0];
        let (fin, rsv1, rsv23, opcode) = (first & 0x80 != 0, first & 0x40 != 0, first & 0x30, first & 0xf);
        let is_control = matches!(opcode, 8..=10);
        if !matches!(opcode, 0..=2) && !is_control || rsv23 != 0 || is_control && !fin {
            return Err(PROTOCOL);
        }
        let second = self.take(1)?[0];
        let (is_masked, short) = (second & 0x80 != 0, second & 0x7f);
        if is_masked != self.settings.is_server || is_control && short > 125 {
            return Err(PROTOCOL);
        }
        let length = match short {
            126 => self.take(2)?.iter().fold(0u64, |sum, &b| sum * 256 + u64::from(b)),
            127 => self.take(8)?.iter().fold(0u64, |sum, &b| sum.wrapping_mul(256) + u64::from(b)),
            short => u64::from(short),
        };
        if short == 126 && length < 126 || short == 127 && length < 65536 || length >= 1 << 63 {
            return Err(PROTOCOL);
        }
        let key = if is_masked { self.take(4)? } else { vec![0; 4] };
        if rsv1 && (self.settings.deflate.is_none() || !matches!(opcode, 1 | 2)) {
            return Err(PROTOCOL);
        }
        if is_control {
            let payload = unmask(self.take(length as usize)?, &key);
            return self.control(opcode, payload);
        }
        match (opcode, &self.message) {
            (0, None) | (1.., Some(_)) => return Err(PROTOCOL),
            _ => {}
        }
        let message =
            self.message.get_or_insert(Message { is_text: opcode == 1, is_compressed: rsv1, content: Vec::new() });
        if length > (self.settings.max_message_size - message.content.len()) as u64 {
            return Err(TOO_BIG);
        }
        let available = self.bytes.len().min(length as usize);
        let (payload, rest) = self.bytes.split_at(available);
        self.bytes = rest;
        message.content.extend(unmask(payload.to_vec(), &key));
        let is_whole = available == length as usize;
        if message.is_text && !message.is_compressed && !can_begin_text(&message.content) {
            return Err(INVALID);
        }
        if !is_whole {
            return Err(self.end_here());
        }
        if fin {
            let message = self.message.take().expect("made above");
            self.finish(message)?;
        }
        Ok(())
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>) -> Result<(), End> {
        match opcode {
            9 => self.items.push(Item::Ping(payload)),
            10 => self.items.push(Item::Pong(payload)),
            _ => {
                let content = match payload[..] {
                    [] => None,
                    [_] => return Err(PROTOCOL),
                    [high, low, ref reason @ ..] => {
                        let code = u16::from(high) * 256 + u16::from(low);
                        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                            return Err(PROTOCOL);
                        }
                        Some((code, String::from_utf8(reason.to_vec()).map_err(|_| INVALID)?))
                    }
                };
                self.items.push(Item::Close(content));
                return Err(End::Closed);
            }
        }
        Ok(())
    }

    fn finish(&mut self, message: Message) -> Result<(), End> {
        let content = if message.is_compressed { self.inflate(&message.content)? } else { message.content };
        if message.is_text {
            self.items.push(Item::Text(String::from_utf8(content).map_err(|_| INVALID)?));
        } else {
            self.items.push(Item::Binary(content));
        }
        Ok(())
    }

    /// The message as it was before compression, in one go and one byte more than is allowed at most.
    fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>, End> {
        let keeps = self.settings.deflate == Some(true);
        if !keeps {
            self.window.reset(false);
        }
        let mut out = Vec::with_capacity(self.settings.max_message_size + 1);
        // Behind a whole message without context, a final block ends the stream.
        let end = [&END[..], if keeps { &[] } else { &LAST }].concat();
        let mut input = compressed.to_vec();
        if !input.is_empty() {
            input.extend(&end);
        }
        let (mut rest, mut is_at_end, mut ends) = (&input[..], true, 0);
        while !rest.is_empty() {
            let before = self.window.total_in();
            let status = self.window.decompress_vec(rest, &mut out, FlushDecompress::None);
            rest = &rest[(self.window.total_in() - before) as usize..];
            is_at_end = matches!(status, Ok(Status::StreamEnd));
            match status {
                Err(_) => return Err(INVALID),
                _ if out.len() > self.settings.max_message_size => return Err(TOO_BIG),
                // Behind a final block another stream begins, with the window as it was (7.2.3.5).
                Ok(Status::StreamEnd) => {
                    self.window.reset(false);
                    self.window.set_dictionary(&out).map_err(|_| INVALID)?;
                    if rest == end {
                        return Ok(out);
                    }
                    // That is bounded, because it takes long and two bytes are enough for it.
                    ends += 1;
                    if !rest.is_empty() && ends > 16 + self.settings.max_message_size / 2048 {
                        return Err(TOO_BIG);
                    }
                }
                Ok(Status::Ok | Status::BufError) => assert!(rest.is_empty(), "there is room"),
            }
        }
        if keeps || is_at_end { Ok(out) } else { Err(INVALID) }
    }
}

/// What is not sent of each compressed message (7.2.1).
const END: [u8; 4] = [0, 0, 0xff, 0xff];
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];

fn unmask(mut payload: Vec<u8>, key: &[u8]) -> Vec<u8> {
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[i % 4];
    }
    payload
}

/// Whether text can go on behind these bytes.
fn can_begin_text(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}
