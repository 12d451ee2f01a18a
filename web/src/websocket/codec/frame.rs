//! What stands in front of the payload of each frame (RFC 6455 5.2).

use std::ops::Deref;

use super::{ProtocolError, ProtocolError::Violation, Role};

/// The longest head: two bytes, a length of eight and a masking key of four.
pub(super) const MAX_HEAD: usize = 14;
/// The longest payload of a control frame.
pub(super) const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;
/// In place of a length, these announce one of two or eight bytes.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    #[inline]
    fn parse(byte: u8) -> Result<Opcode, ProtocolError> {
        Ok(match byte & 0xf {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(Violation("a reserved opcode")),
        })
    }

    #[inline]
    pub(super) fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) is_final: bool,
    /// RSV1: the message is compressed (RFC 7692 6).
    pub(super) is_compressed: bool,
    pub(super) opcode: Opcode,
    pub(super) length: u64,
    pub(super) key: Option<[u8; 4]>,
}

impl FrameHead {
    /// The head in front of `bytes` and its length, for a receiver in the given role. `None` if more has to come. What a
    /// byte breaks is found when that byte is there.
    #[inline]
    pub(super) fn parse(bytes: &[u8], role: Role) -> Result<Option<(FrameHead, usize)>, ProtocolError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = Opcode::parse(first)?;
        let is_final = first & FIN != 0;
        if first & RSV2_AND_3 != 0 {
            return Err(Violation("a reserved bit is set"));
        }
        if opcode.is_control() && !is_final {
            return Err(Violation("a control frame in fragments"));
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        let is_masked = second & MASKED != 0;
        match role {
            Role::Server if !is_masked => return Err(Violation("a frame of a client without a mask")),
            Role::Client if is_masked => return Err(Violation("a frame of a server with a mask")),
            _ => {}
        }
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(Violation("a control frame of more than 125 bytes"));
        }
        let Some((length, end)) = parse_length(short, bytes)? else { return Ok(None) };
        let (key, end) = match bytes[end..].first_chunk() {
            _ if !is_masked => (None, end),
            Some(&key) => (Some(key), end + 4),
            None => return Ok(None),
        };
        let head = FrameHead { is_final, is_compressed: first & RSV1 != 0, opcode, length, key };
        Ok(Some((head, end)))
    }

    /// The head as it is sent.
    #[inline]
    pub(super) fn encode(&self) -> EncodedHead {
        let mut head = EncodedHead { bytes: [0; MAX_HEAD], length: 0 };
        let mut first = self.opcode as u8;
        if self.is_final {
            first |= FIN;
        }
        if self.is_compressed {
            first |= RSV1;
        }
        let masked = if self.key.is_some() { MASKED } else { 0 };
        match self.length {
            0..126 => head.put(&[first, masked | self.length as u8]),
            126..=0xffff => {
                head.put(&[first, masked | LENGTH_16]);
                head.put(&(self.length as u16).to_be_bytes());
            }
            _ => {
                head.put(&[first, masked | LENGTH_64]);
                head.put(&self.length.to_be_bytes());
            }
        }
        if let Some(key) = self.key {
            head.put(&key);
        }
        head
    }
}

/// A head of up to 14 bytes.
pub(super) struct EncodedHead {
    bytes: [u8; MAX_HEAD],
    length: usize,
}

impl EncodedHead {
    #[inline]
    fn put(&mut self, part: &[u8]) {
        self.bytes[self.length..][..part.len()].copy_from_slice(part);
        self.length += part.len();
    }
}

impl Deref for EncodedHead {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The length of the payload, and where it ends in the head. It has to be written as short as possible.
#[inline]
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, ProtocolError> {
    let (length, end, least) = match short {
        LENGTH_16 => match bytes[2..].first_chunk() {
            Some(&length) => (u64::from(u16::from_be_bytes(length)), 4, 126),
            None => return Ok(None),
        },
        LENGTH_64 => match bytes[2..].first_chunk() {
            Some(&length) => (u64::from_be_bytes(length), 10, 0x1_0000),
            None => return Ok(None),
        },
        short => (u64::from(short), 2, 0),
    };
    if length < least {
        return Err(Violation("a length that is not as short as possible"));
    }
    if length > i64::MAX as u64 {
        return Err(Violation("a length with its highest bit set"));
    }
    Ok(Some((length, end)))
}
