use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

use super::{Deflate, MIN_COMPRESSOR_BITS, TAIL, agreement::Direction};
use crate::websocket::codec::encoder::FrameKind;

thread_local! {
    /// Compressors that wait for the next message of some connection, each with its level and the size of its window.
    static POOL: RefCell<Vec<(u8, u8, Compress)>> = const { RefCell::new(Vec::new()) };
}

/// How many compressors a thread keeps: one is in use at a time, but connections may differ in level and window.
const POOL_SIZE: usize = 2;

/// Compresses what a connection sends.
#[derive(Debug)]
pub(in crate::websocket::codec) struct Sender {
    level: u8,
    has_context: bool,
    window_bits: u8,
    threshold: u32,
    /// With context takeover, from the first message on.
    context: Option<Box<Compress>>,
}

impl Sender {
    /// `None` if nothing can be compressed: a server may tell a client to look no further than 256 bytes. zlib cannot.
    #[inline]
    pub(in crate::websocket::codec) fn new(deflate: &Deflate) -> Option<Sender> {
        let Deflate { level, threshold, sending, .. } = *deflate;
        let Direction { has_context, window_bits } = sending;
        let can = window_bits >= MIN_COMPRESSOR_BITS;
        can.then_some(Sender { level, has_context, window_bits, threshold, context: None })
    }

    /// What the frames depend on besides the message.
    #[inline]
    pub(in crate::websocket::codec) fn frame_kind(&self) -> FrameKind {
        match self.has_context {
            true => FrameKind::Own,
            false => {
                FrameKind::Compressed { level: self.level, window_bits: self.window_bits, threshold: self.threshold }
            }
        }
    }

    /// Whether a message is long enough to be compressed.
    #[inline]
    pub(in crate::websocket::codec) fn wants(&self, message: &[u8]) -> bool {
        message.len() >= self.threshold as usize
    }

    /// Appends the compressed message, unless it would not become shorter. Then nothing is appended.
    #[inline]
    pub(in crate::websocket::codec) fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) -> bool {
        if self.has_context {
            // Once it is in the window, it has to be sent compressed: the peer's window has to be the same.
            let new = || Box::new(new_compressor(self.level, self.window_bits));
            append_compressed(self.context.get_or_insert_with(new), message, out);
            return true;
        }
        let start = out.len();
        let mut compressor = take(self.level, self.window_bits);
        append_compressed(&mut compressor, message, out);
        give_back(self.level, self.window_bits, compressor);
        if out.len() - start >= message.len() {
            out.truncate(start);
            return false;
        }
        true
    }
}

#[inline]
fn append_compressed(compressor: &mut Compress, mut message: &[u8], out: &mut Vec<u8>) {
    loop {
        // Enough for most, and for the end of the last block in any case.
        out.reserve(message.len() / 2 + 64);
        let before = compressor.total_in();
        let done = compressor.compress_vec(message, out, FlushCompress::Sync);
        debug_assert!(done.is_ok(), "a compressor takes anything");
        message = &message[(compressor.total_in() - before) as usize..];
        // With room left, it has flushed all that it had.
        if message.is_empty() && out.len() < out.capacity() {
            break;
        }
    }
    // The flush ends in an empty block, whose last four bytes the receiver supplies.
    debug_assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
}

#[inline]
fn new_compressor(level: u8, window_bits: u8) -> Compress {
    Compress::new_with_window_bits(Compression::new(level.into()), false, window_bits)
}

/// The compressors that wait, which do so no more.
#[inline]
pub(super) fn take_kept() -> impl Sized + use<> {
    POOL.take()
}

#[inline]
fn take(level: u8, window_bits: u8) -> Compress {
    let pooled = POOL.with_borrow_mut(|pool| {
        let at = pool.iter().position(|&(its_level, its_bits, _)| (its_level, its_bits) == (level, window_bits))?;
        Some(pool.swap_remove(at).2)
    });
    match pooled {
        Some(mut compressor) => {
            compressor.reset();
            compressor
        }
        None => new_compressor(level, window_bits),
    }
}

#[inline]
fn give_back(level: u8, window_bits: u8, compressor: Compress) {
    POOL.with_borrow_mut(|pool| {
        // The oldest makes room: levels and windows that are no longer used do not stay.
        if pool.len() == POOL_SIZE {
            pool.remove(0);
        }
        pool.push((level, window_bits, compressor));
    });
}
