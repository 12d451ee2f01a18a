//! Frames as a client sends and receives them. Written here, so that no library measures itself.

use std::{io, ops::Range};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Text = 1,
    Binary = 2,
    Ping = 9,
    Pong = 10,
}

/// A frame of the server in the input that begins with it.
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) compressed: bool,
    pub(super) payload: Range<usize>,
}

impl Frame {
    /// `None` while it is not complete.
    pub(super) fn parse(input: &[u8]) -> io::Result<Option<Frame>> {
        let &[first, length, ..] = input else {
            return Ok(None);
        };
        let (start, length) = match (length, input.get(2..4), input.get(2..10)) {
            (126, Some(bytes), _) => (4, u64::from(u16::from_be_bytes(bytes.try_into().expect("two bytes")))),
            (127, _, Some(bytes)) => (10, u64::from_be_bytes(bytes.try_into().expect("eight bytes"))),
            (126 | 127, ..) => return Ok(None),
            (128.., ..) => return Err(bad("a masked frame", input)),
            (length, ..) => (2, u64::from(length)),
        };
        let opcode = match first & !COMPRESSED {
            0x81 => Opcode::Text,
            0x82 => Opcode::Binary,
            0x89 => Opcode::Ping,
            0x8a => Opcode::Pong,
            _ => return Err(bad("a frame that is not expected", input)),
        };
        // The sum fits: no message of the rows is longer than what one read brings.
        let end = start + length.min(MOST) as usize;
        Ok((input.len() >= end).then_some(Frame { opcode, compressed: first & COMPRESSED != 0, payload: start..end }))
    }
}

fn bad(what: &str, input: &[u8]) -> io::Error {
    io::Error::other(format!("{what}: {}", input[..input.len().min(40)].escape_ascii()))
}

/// A whole message in one masked frame.
pub(super) fn masked(opcode: Opcode, compressed: bool, payload: &[u8]) -> Vec<u8> {
    let first = 0x80 | opcode as u8 | if compressed { COMPRESSED } else { 0 };
    let mut frame = match payload.len() {
        length @ ..126 => vec![first, 0x80 | length as u8],
        length => {
            let length = u16::try_from(length).expect("no message of the rows is longer").to_be_bytes();
            [&[first, 0x80 | 126], &length[..]].concat()
        }
    };
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Always the same, since no server can know.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// RSV1: RFC 7692, 6.
const COMPRESSED: u8 = 0x40;

const MOST: u64 = 1 << 32;
