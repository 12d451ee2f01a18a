use std::str;

use super::ProtocolError;

/// Text that arrives in pieces and is checked as it does. A piece may end within a character.
#[derive(Debug, Default)]
pub(super) struct Text {
    checked: String,
    /// The beginning of a character whose rest has not come, `tail_len` bytes of it.
    tail: [u8; 4],
    tail_len: u8,
}

impl Text {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.checked.len() + usize::from(self.tail_len)
    }

    /// Makes room for `count` bytes more.
    #[inline]
    pub(super) fn reserve_exact(&mut self, count: usize) {
        // The tail is not part of the string yet.
        self.checked.reserve_exact(count + usize::from(self.tail_len));
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.checked.capacity()
    }

    /// The last bytes, up to so many.
    #[cfg(feature = "deflate")]
    #[inline]
    pub(super) fn last(&self, count: usize) -> Vec<u8> {
        let mut bytes = self.checked.as_bytes()[self.checked.len().saturating_sub(count)..].to_vec();
        bytes.extend_from_slice(&self.tail[..usize::from(self.tail_len)]);
        bytes
    }

    /// Appends a piece. Fails at the first byte with which no text can go on.
    #[inline]
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        let piece = self.complete(piece)?;
        let (whole, tail) = piece.split_at(piece.len() - unfinished(piece));
        self.checked.push_str(str::from_utf8(whole).map_err(|_| ProtocolError::InvalidUtf8)?);
        if !tail.is_empty() {
            check_beginning(tail)?;
            self.tail[..tail.len()].copy_from_slice(tail);
            self.tail_len = tail.len() as u8;
        }
        Ok(())
    }

    /// The text, when all has come.
    #[inline]
    pub(super) fn finish(self) -> Result<String, ProtocolError> {
        if self.tail_len == 0 { Ok(self.checked) } else { Err(ProtocolError::InvalidUtf8) }
    }

    /// Completes the character that has begun, as far as the piece goes, and returns the rest of that.
    #[inline]
    fn complete<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
        while self.tail_len > 0
            && let Some((&byte, rest)) = piece.split_first()
        {
            self.tail[usize::from(self.tail_len)] = byte;
            let character = &self.tail[..=usize::from(self.tail_len)];
            piece = rest;
            match str::from_utf8(character) {
                Ok(character) => {
                    self.checked.push_str(character);
                    self.tail_len = 0;
                }
                // Four bytes are a character or an error, so the tail has room.
                Err(error) if error.error_len().is_none() => self.tail_len += 1,
                Err(_) => return Err(ProtocolError::InvalidUtf8),
            }
        }
        Ok(piece)
    }
}

/// How many bytes at the end belong to a character that goes on behind it.
#[inline]
fn unfinished(piece: &[u8]) -> usize {
    for (behind, &byte) in piece.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..0xc0 => continue,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
            _ => 1,
        };
        return if behind + 1 < length { behind + 1 } else { 0 };
    }
    0
}

/// Whether a character can begin like this.
#[inline]
fn check_beginning(bytes: &[u8]) -> Result<(), ProtocolError> {
    match str::from_utf8(bytes) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => Ok(()),
        _ => Err(ProtocolError::InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the first byte is found with which no text can go on, byte by byte.
    fn first_bad(bytes: &[u8]) -> Option<usize> {
        let mut text = Text::default();
        bytes.iter().position(|&byte| text.push(&[byte]).is_err())
    }

    #[test]
    fn characters_may_be_cut_anywhere() {
        let whole = "aé€😀𝄞x\u{7ff}\u{800}\u{ffff}\u{10ffff}";
        let bytes = whole.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut text = Text::default();
                for piece in [&bytes[..first], b"", &bytes[first..second], &bytes[second..]] {
                    text.push(piece).unwrap();
                }
                assert_eq!(text.len(), whole.len());
                assert_eq!(text.finish().unwrap(), whole);
            }
        }
    }

    #[test]
    fn a_bad_byte_is_found_when_it_comes() {
        for (bytes, bad) in [
            (&b"a\x80"[..], 1),
            (b"\xc0", 0),
            (b"\xc1", 0),
            (b"\xc3x", 1),
            (b"\xe0\x9f", 1),
            (b"\xed\xa0", 1), // a surrogate
            (b"\xe2\x82x", 2),
            (b"\xf0\x8f", 1),
            (b"\xf4\x90", 1), // beyond U+10FFFF
            (b"\xf5", 0),
            (b"\xff", 0),
            (b"\xf0\x9f\x98x", 3),
        ] {
            assert_eq!(first_bad(bytes), Some(bad), "{bytes:x?}");
            assert!(Text::default().push(bytes).is_err(), "{bytes:x?}");
            for split in 0..=bytes.len() {
                let mut text = Text::default();
                let pieces = [&bytes[..split], &bytes[split..]];
                assert!(pieces.iter().any(|piece| text.push(piece).is_err()), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn text_does_not_end_within_a_character() {
        for bytes in [&b"\xc3"[..], b"a\xe2\x82", b"\xf0\x9f\x98"] {
            let mut text = Text::default();
            text.push(bytes).unwrap();
            assert_eq!(text.finish(), Err(ProtocolError::InvalidUtf8));
        }
    }
}
