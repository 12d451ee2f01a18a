//! The compressor, and those that wait to be used again.

use std::{cell::RefCell, rc::Rc};

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::kept::Kept;

thread_local! {
    /// Compressors without work, each with its level.
    static POOL: RefCell<Vec<(u8, Compress)>> = const { RefCell::new(Vec::new()) };
    static KEPT: Rc<Kept> = Kept::new(|| Box::new(POOL.take()));
}

/// How many compressors a thread keeps. Whole responses take one after the other; streams hold theirs until they end.
const POOL_SIZE: usize = 2;

/// gzip's window. A smaller one would save memory, and compress less.
const WINDOW_BITS: u8 = 15;

/// To be called by the thread before it compresses: compressors that wait go when a burst of requests ebbs.
#[inline]
pub(super) fn keep_until_ebb() {
    // While the thread ends nothing ebbs.
    let _ = KEPT.try_with(|_| ());
}

/// A gzip member in the making.
pub(super) struct Gzip {
    level: u8,
    /// `None` only once it has gone back to the pool.
    compress: Option<Compress>,
}

impl Gzip {
    #[inline]
    pub(super) fn new(level: u8) -> Gzip {
        Gzip { level, compress: Some(take(level)) }
    }

    /// Takes `input`. What comes of it may stay inside for now.
    #[inline]
    pub(super) fn add(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.run(input, FlushCompress::None, out);
    }

    /// Brings out everything that was taken, so that the client can decompress it now.
    #[inline]
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        self.run(&[], FlushCompress::Sync, out);
    }

    /// The end of the member: nothing may follow.
    #[inline]
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.run(&[], FlushCompress::Finish, out);
    }

    #[inline]
    fn run(&mut self, mut input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        let Some(compress) = &mut self.compress else { return };
        loop {
            // Room for the end of a block in any case. With less, the same flush would be asked for twice.
            out.reserve(input.len() / 4 + 256);
            let before = compress.total_in();
            let done = compress.compress_vec(input, out, flush);
            debug_assert!(done.is_ok(), "a compressor takes anything");
            // No more than it was given.
            input = &input[(compress.total_in() - before) as usize..];
            let is_over = match (flush, done) {
                (_, Err(_)) => true,
                (FlushCompress::Finish, Ok(status)) => status == Status::StreamEnd,
                // With room left, it has brought out all that it has.
                (_, Ok(_)) => input.is_empty() && out.len() < out.capacity(),
            };
            if is_over {
                return;
            }
        }
    }
}

impl Drop for Gzip {
    #[inline]
    fn drop(&mut self) {
        if let Some(compress) = self.compress.take() {
            give_back(self.level, compress);
        }
    }
}

/// `bytes` as one gzip member.
#[inline]
pub(super) fn compress_whole(level: u8, bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Gzip::new(level);
    let mut out = Vec::with_capacity(bytes.len() / 4 + 256);
    gzip.run(bytes, FlushCompress::Finish, &mut out);
    out
}

#[inline]
fn take(level: u8) -> Compress {
    let pooled = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        let at = pool.iter().position(|&(its_level, _)| its_level == level)?;
        Some(pool.swap_remove(at).1)
    });
    match pooled.ok().flatten() {
        Some(mut compress) => {
            compress.reset();
            compress
        }
        None => Compress::new_gzip(Compression::new(level.into()), WINDOW_BITS),
    }
}

/// Not at all while the thread ends: streams may be dropped after the pool.
#[inline]
fn give_back(level: u8, compress: Compress) {
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        // The oldest makes room: levels that are no longer used do not stay.
        if pool.len() == POOL_SIZE {
            pool.remove(0);
        }
        pool.push((level, compress));
    });
}
