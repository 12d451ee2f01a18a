//! What has come of a message, in the form that its receiver gets.

use httpserver::Bytes;

use super::{
    Message, ProtocolError,
    mask::{append_unmasked, unmask},
    text::Text,
};

#[derive(Debug)]
pub(super) enum Content {
    Text(Text),
    Binary(Vec<u8>),
}

/// How much text is unmasked and checked at a time: little enough for the stack and the first cache.
const SCRATCH: usize = 4 * 1024;

impl Content {
    #[inline]
    pub(super) fn new(is_text: bool) -> Content {
        if is_text { Content::Text(Text::default()) } else { Content::Binary(Vec::new()) }
    }

    #[cfg(feature = "deflate")]
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Content::Text(text) => text.len(),
            Content::Binary(bytes) => bytes.len(),
        }
    }

    /// Appends a piece of a frame, of which `left` bytes are still to come, this piece included. `key` is that of the
    /// piece's first byte.
    #[inline]
    pub(super) fn push(&mut self, piece: &[u8], key: Option<[u8; 4]>, left: usize) -> Result<(), ProtocolError> {
        match self {
            Content::Text(text) => {
                if let Some(more) = room(text.len(), text.capacity(), piece.len(), left) {
                    text.reserve_exact(more);
                }
                push_text(text, piece, key)
            }
            Content::Binary(bytes) => {
                if let Some(more) = room(bytes.len(), bytes.capacity(), piece.len(), left) {
                    bytes.reserve_exact(more);
                }
                append_unmasked(bytes, piece, key);
                Ok(())
            }
        }
    }

    /// The last bytes, up to so many.
    #[cfg(feature = "deflate")]
    #[inline]
    pub(super) fn last(&self, count: usize) -> Vec<u8> {
        match self {
            Content::Text(text) => text.last(count),
            Content::Binary(bytes) => bytes[bytes.len().saturating_sub(count)..].to_vec(),
        }
    }

    #[inline]
    pub(super) fn finish(self) -> Result<Message, ProtocolError> {
        Ok(match self {
            Content::Text(text) => Message::Text(text.finish()?),
            Content::Binary(bytes) => Message::Binary(Bytes::from(bytes)),
        })
    }
}

/// How much room to make, if any. What a frame announces is believed only as far as bytes have come: the buffer doubles,
/// but does not grow beyond what the frame needs.
#[inline]
fn room(length: usize, capacity: usize, piece: usize, left: usize) -> Option<usize> {
    (capacity.saturating_sub(length) < piece).then(|| left.min(length).max(piece))
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
