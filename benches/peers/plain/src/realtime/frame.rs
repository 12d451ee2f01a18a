//! As much of RFC 6455 as a client needs that sends small messages in one frame each.

/// Where a frame of the client is in the input, which begins with it.
pub(crate) struct Frame {
    /// Where the payload begins, behind the mask.
    start: usize,
    end: usize,
}

impl Frame {
    /// `None` while it is not complete.
    pub(crate) fn parse(input: &[u8]) -> Option<Frame> {
        let (start, length) = match usize::from(input.get(1)? & 0x7f) {
            // No message of the rows has the long form.
            126 => (8, usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?))),
            length => (6, length),
        };
        let end = start + length;
        (input.len() >= end).then_some(Frame { start, end })
    }

    /// Whether it is text or binary.
    pub(crate) fn is_data(&self, input: &[u8]) -> bool {
        matches!(input[0] & 0x0f, 1 | 2)
    }

    pub(crate) fn end(&self) -> usize {
        self.end
    }

    pub(crate) fn payload<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        &input[self.start..self.end]
    }

    pub(crate) fn unmask(&self, input: &mut [u8]) {
        let mask: [u8; 4] = input[self.start - 4..self.start].try_into().expect("four bytes");
        let mask16: [u8; 16] = std::array::from_fn(|index| mask[index % 4]);
        let mut chunks = input[self.start..self.end].chunks_exact_mut(16);
        for chunk in &mut chunks {
            // The compiler makes one instruction of it.
            chunk.iter_mut().zip(mask16).for_each(|(byte, mask)| *byte ^= mask);
        }
        chunks.into_remainder().iter_mut().zip(mask16).for_each(|(byte, mask)| *byte ^= mask);
    }

    /// Makes an unmasked frame of the same message in its place: the header of a server is four bytes shorter.
    pub(crate) fn reply<'a>(&self, input: &'a mut [u8]) -> &'a [u8] {
        input.copy_within(0..self.start - 4, 4);
        input[5] &= 0x7f;
        &input[4..self.end]
    }
}

/// A text message of up to 125 bytes.
pub(crate) fn text(message: &[u8]) -> Vec<u8> {
    [&[0x81, message.len() as u8], message].concat()
}

/// The answer to the key that the runner takes from RFC 6455, 1.3.
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The same, with permessage-deflate and no window kept between messages.
pub(crate) const SWITCHING_TO_DEFLATE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\r\n";
