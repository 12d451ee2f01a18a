//! A message that does not arrive in one piece.

use httpserver::Bytes;

use super::{
    Message, ProtocolError,
    mask::{append_unmasked, unmask},
    text::Text,
};

/// What has come of a message so far.
#[derive(Debug)]
pub(super) enum Assembly {
    Text(Text),
    Binary(Vec<u8>),
}

/// How much text is unmasked and checked at a time: little enough for the stack and the first cache.
const SCRATCH: usize = 4 * 1024;

impl Assembly {
    #[inline]
    pub(super) fn new(is_text: bool) -> Assembly {
        if is_text { Assembly::Text(Text::default()) } else { Assembly::Binary(Vec::new()) }
    }

    /// Appends a piece of a frame, of which `left` bytes are still to come, this piece included. `key` is that of the
    /// piece's first byte.
    #[inline]
    pub(super) fn push(&mut self, piece: &[u8], key: Option<[u8; 4]>, left: usize) -> Result<(), ProtocolError> {
        match self {
            Assembly::Text(text) => {
                if let Some(more) = room(text.len(), text.capacity(), piece.len(), left) {
                    text.reserve_exact(more);
                }
                push_text(text, piece, key)
            }
            Assembly::Binary(bytes) => {
                if let Some(more) = room(bytes.len(), bytes.capacity(), piece.len(), left) {
                    bytes.reserve_exact(more);
                }
                append_unmasked(bytes, piece, key);
                Ok(())
            }
        }
    }

    #[inline]
    pub(super) fn finish(self) -> Result<Message, ProtocolError> {
        Ok(match self {
            Assembly::Text(text) => Message::Text(text.finish()?),
            Assembly::Binary(bytes) => Message::Binary(Bytes::from(bytes)),
        })
    }
}

/// How much room to make, if any. What a frame announces is believed only as far as bytes have come: the buffer doubles,
/// but does not grow beyond what the frame needs.
#[inline]
fn room(length: usize, capacity: usize, piece: usize, left: usize) -> Option<usize> {
    (capacity - length < piece).then(|| left.min(length.max(piece)).max(piece))
}

#[inline]
fn push_text(text: &mut Text, piece: &[u8], key: Option<[u8; 4]>) -> Result<(), ProtocolError> {
    let Some(key) = key else { return text.push(piece) };
    let mut scratch = [0; SCRATCH];
    // A multiple of four, so that each part meets the key at its first byte.
    for part in piece.chunks(SCRATCH) {
        let scratch = &mut scratch[..part.len()];
        scratch.copy_from_slice(part);
        unmask(scratch, key);
        text.push(scratch)?;
    }
    Ok(())
}
