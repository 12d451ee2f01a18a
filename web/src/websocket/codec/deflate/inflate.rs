use std::{cell::RefCell, mem};

use flate2::{Decompress, FlushDecompress, Status};

use super::{Deflate, MAX_WINDOW_BITS, MIN_COMPRESSOR_BITS, TAIL};
use crate::websocket::codec::{ProtocolError, ProtocolError::InvalidCompression, content::Content};

thread_local! {
    /// Decompressors that wait for the next message of some connection.
    // Boxed, as they are in use: a message is not to allocate one again.
    #[expect(clippy::vec_box)]
    static POOL: RefCell<Vec<Box<Decompress>>> = const { RefCell::new(Vec::new()) };
}

/// How many decompressors a thread keeps. Most messages come in one piece, so few are in use at the same time.
const POOL_SIZE: usize = 4;
/// Up to how much of a message is held as it came. A decompressor is fifty times as much as the head of a frame, and a peer
/// that sends only that is not worth it.
const HELD: usize = 4 * 1024;
/// How much comes out at a time.
const SCRATCH: usize = 8 * 1024;
/// What a final block within a message counts for, in bytes of the limit. Going on behind it costs as much time as that many
/// bytes, and an empty one has two.
const RESTART_COST: usize = 2 * 1024;
/// As much of that is free, whatever the limit.
const FREE_RESTARTS: usize = 16;
/// An empty block that ends the stream. Behind anything but a whole block it is an error or part of the data.
const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// Decompresses what a connection receives.
#[derive(Debug)]
pub(in crate::websocket::codec) struct Receiver {
    /// With context takeover for good, else for the duration of a message.
    stream: Option<Box<Decompress>>,
    has_context: bool,
    window_bits: u8,
    /// The last byte so far ended a final block. Lasts over messages, as the context does.
    is_at_end: bool,
}

/// How far a compressed message has come.
#[derive(Debug, Default)]
pub(in crate::websocket::codec) struct Inflating {
    /// What has come and is not decompressed, as long as that is little.
    held: Vec<u8>,
    has_begun: bool,
    /// How often it went on behind a final block.
    restarts: usize,
}

impl Receiver {
    #[inline]
    pub(in crate::websocket::codec) fn new(deflate: &Deflate) -> Receiver {
        let window_bits = deflate.receiving.window_bits.max(MIN_COMPRESSOR_BITS);
        Receiver { stream: None, has_context: deflate.receiving.has_context, window_bits, is_at_end: false }
    }

    /// Takes a piece of a message, unmasked.
    #[inline]
    pub(in crate::websocket::codec) fn push(
        &mut self,
        message: &mut Inflating,
        piece: &[u8],
        content: &mut Content,
        limit: usize,
    ) -> Result<(), ProtocolError> {
        if !message.has_begun && message.held.len() + piece.len() <= HELD {
            message.held.extend_from_slice(piece);
            return Ok(());
        }
        let scratch = &mut [0; SCRATCH];
        let held = mem::take(&mut message.held);
        self.inflate(message, &held, content, limit, scratch)?;
        self.inflate(message, piece, content, limit, scratch)
    }

    /// The message is whole.
    #[inline]
    pub(in crate::websocket::codec) fn finish(
        &mut self,
        message: &mut Inflating,
        content: &mut Content,
        limit: usize,
    ) -> Result<(), ProtocolError> {
        let scratch = &mut [0; SCRATCH];
        let held = mem::take(&mut message.held);
        self.inflate(message, &held, content, limit, scratch)?;
        // Some compressors leave out the empty block of an empty message, or behind a final block. There is nothing amiss.
        if message.has_begun && !self.is_at_end {
            self.inflate(message, &TAIL, content, limit, scratch)?;
            if !self.has_context {
                self.inflate(message, &LAST_BLOCK, content, limit, scratch)?;
                if !self.is_at_end {
                    return Err(InvalidCompression);
                }
            }
        }
        // The next message may refer to this one.
        if self.has_context && self.is_at_end {
            self.restart(content)?;
        }
        self.give_back();
        Ok(())
    }

    #[inline]
    fn inflate(
        &mut self,
        message: &mut Inflating,
        mut input: &[u8],
        content: &mut Content,
        limit: usize,
        scratch: &mut [u8; SCRATCH],
    ) -> Result<(), ProtocolError> {
        while !input.is_empty() {
            message.has_begun = true;
            if self.is_at_end {
                message.restarts += 1;
                if message.restarts > FREE_RESTARTS + limit / RESTART_COST {
                    return Err(ProtocolError::MessageTooBig { limit });
                }
                self.restart(content)?;
            }
            let (has_context, window_bits) = (self.has_context, self.window_bits);
            let stream = self.stream.get_or_insert_with(|| take(has_context, window_bits));
            loop {
                let (was_in, was_out) = (stream.total_in(), stream.total_out());
                let status = stream.decompress(input, scratch, FlushDecompress::None);
                let status = status.map_err(|_| InvalidCompression)?;
                let (taken, made) = ((stream.total_in() - was_in) as usize, (stream.total_out() - was_out) as usize);
                input = &input[taken..];
                if made > limit - content.len() {
                    return Err(ProtocolError::MessageTooBig { limit });
                }
                content.push(&scratch[..made], None, made)?;
                self.is_at_end = status == Status::StreamEnd;
                // With room left, all that can come out of this input has come out.
                if self.is_at_end || made < SCRATCH && input.is_empty() {
                    break;
                }
                if taken == 0 && made == 0 {
                    return Err(InvalidCompression);
                }
            }
        }
        Ok(())
    }

    /// Goes on behind a final block, within a message or in the next one (RFC 7692 7.2.3.5). zlib forgets its window then.
    /// What it held of this message is given to it again; what it held of earlier ones is lost, as it is in compressors that
    /// end their stream.
    #[inline]
    fn restart(&mut self, content: &Content) -> Result<(), ProtocolError> {
        self.is_at_end = false;
        if let Some(stream) = &mut self.stream {
            stream.reset(false);
            let window = content.last(1 << MAX_WINDOW_BITS);
            if !window.is_empty() {
                stream.set_dictionary(&window).map_err(|_| InvalidCompression)?;
            }
        }
        Ok(())
    }

    /// Between messages only a context is kept.
    #[inline]
    fn give_back(&mut self) {
        if self.has_context {
            return;
        }
        self.is_at_end = false;
        if let Some(stream) = self.stream.take() {
            // Fails while the thread ends: then there is no next message.
            let _ = POOL.try_with(|pool| {
                let mut pool = pool.borrow_mut();
                if pool.len() < POOL_SIZE {
                    pool.push(stream);
                }
            });
        }
    }
}

impl Drop for Receiver {
    #[inline]
    fn drop(&mut self) {
        self.give_back();
    }
}

/// The decompressors that wait, which do so no more.
#[inline]
pub(super) fn take_kept() -> impl Sized + use<> {
    POOL.take()
}

#[inline]
fn take(has_context: bool, window_bits: u8) -> Box<Decompress> {
    if has_context {
        return Box::new(Decompress::new_with_window_bits(false, window_bits));
    }
    // The largest window understands all smaller ones, so one kind serves everybody.
    match POOL.with_borrow_mut(Vec::pop) {
        Some(mut stream) => {
            stream.reset(false);
            stream
        }
        None => Box::new(Decompress::new_with_window_bits(false, MAX_WINDOW_BITS)),
    }
}
