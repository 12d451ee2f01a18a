use super::{Inflating, Message, ProtocolError, Receiver, content::Content, mask::unmask};

/// A message that does not arrive in one piece, or is compressed.
#[derive(Debug)]
pub(super) struct Assembly {
    content: Content,
    inflating: Option<Inflating>,
}

/// How much is unmasked at a time in front of the decompressor. A multiple of four, as long as keys are.
const SCRATCH: usize = 4 * 1024;

impl Assembly {
    #[inline]
    pub(super) fn new(is_text: bool, is_compressed: bool) -> Assembly {
        Assembly { content: Content::new(is_text), inflating: is_compressed.then(Inflating::default) }
    }

    /// Appends a piece of a frame, of which `left` bytes are still to come, this piece included. `key` is that of the
    /// piece's first byte. At most `limit` bytes may come out of a compressed message.
    #[inline]
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        key: Option<[u8; 4]>,
        left: usize,
        receiver: &mut Option<Receiver>,
        limit: usize,
    ) -> Result<(), ProtocolError> {
        let (Some(inflating), Some(receiver)) = (&mut self.inflating, receiver) else {
            return self.content.push(piece, key, left);
        };
        let Some(key) = key else { return receiver.push(inflating, piece, &mut self.content, limit) };
        let mut scratch = [0; SCRATCH];
        for part in piece.chunks(SCRATCH) {
            let scratch = &mut scratch[..part.len()];
            scratch.copy_from_slice(part);
            unmask(scratch, key);
            receiver.push(inflating, scratch, &mut self.content, limit)?;
        }
        Ok(())
    }

    /// The message, when all of it has come.
    #[inline]
    pub(super) fn finish(mut self, receiver: &mut Option<Receiver>, limit: usize) -> Result<Message, ProtocolError> {
        if let (Some(inflating), Some(receiver)) = (&mut self.inflating, receiver) {
            receiver.finish(inflating, &mut self.content, limit)?;
        }
        self.content.finish()
    }
}
