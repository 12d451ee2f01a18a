//! Byte buffers kept per thread, so that a request in the steady state allocates none.
//!
//! Heads, small bodies and header lines are written into them. A connection holds one only from the first byte of an
//! answer until it is sent, so thousands of connections share a handful. There are three places: two buffers at hand, and
//! a stack for what is given back while those are there.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    rc::Rc,
};

use iostream::ioloop::{Ebb, on_ebb};

use crate::head_block;

/// A buffer of the pool. Boxed, because its holders, connections and responses, exist in thousands and mostly hold none.
#[allow(clippy::box_collection, reason = "8 bytes in every holder instead of 24")]
pub(crate) type Buffer = Box<Vec<u8>>;

/// Buffers kept: as many as requests may be in the making at once without allocating.
const MOST: usize = 64;

/// A buffer that grew past this many bytes is freed: what one odd response needed is not kept.
const LARGEST: usize = 32 * 1024;

/// What a fresh buffer has room for: a usual head.
const INITIAL: usize = 512;

thread_local! {
    /// The buffer given back last. One request at a time needs one, so this is nearly always the one that serves.
    static LAST: Cell<Option<Buffer>> = const { Cell::new(None) };
    /// The one before. An answer whose body is in a buffer of its own needs two.
    static SECOND: Cell<Option<Buffer>> = const { Cell::new(None) };
    /// The others. Touched only when several are in use at once.
    static POOL: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
    /// Made with the first buffer.
    static KEPT: Rc<Kept> = {
        let kept = Rc::new(Kept);
        // Each thread-local that has a destructor takes a block for good when it is first touched. Now it lies at the
        // beginning of the heap; at the end of a burst it would keep all that is before it.
        drop(kept.ebb());
        let holder = Rc::downgrade(&kept);
        on_ebb(holder);
        kept
    };
}

/// What the thread keeps goes when a burst of connections ebbs: made for the last of them, it lies behind all the memory
/// that is free then.
struct Kept;

impl Ebb for Kept {
    #[inline]
    fn ebb(&self) -> Box<dyn Any> {
        Box::new((LAST.take(), SECOND.take(), POOL.take(), head_block::take()))
    }
}

/// An empty buffer with some room.
pub(crate) fn take() -> Buffer {
    // While the thread ends the pool may be gone already.
    LAST.try_with(Cell::take).ok().flatten().unwrap_or_else(take_pooled)
}

#[inline(never)]
fn take_pooled() -> Buffer {
    SECOND.try_with(Cell::take).ok().flatten().unwrap_or_else(take_others)
}

#[cold]
fn take_others() -> Buffer {
    let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| {
        let _ = KEPT.try_with(|_| ());
        Box::new(Vec::with_capacity(INITIAL))
    })
}

/// Keeps the buffer for the next one who needs one, unless it has grown large, or came from elsewhere and is small: it
/// would have to grow at once.
pub(crate) fn give_back(mut buffer: Buffer) {
    // Two bounds by one comparison: what is below the lower one wraps to a large number.
    if buffer.capacity().wrapping_sub(INITIAL) > LARGEST - INITIAL {
        return;
    }
    buffer.clear();
    // The one used last is the one handed out next: its memory is still in the processor's cache.
    let previous = LAST.try_with(|last| last.replace(Some(buffer))).ok().flatten();
    if let Some(previous) = previous {
        give_back_pooled(previous);
    }
}

#[inline(never)]
fn give_back_pooled(buffer: Buffer) {
    let previous = SECOND.try_with(|second| second.replace(Some(buffer))).ok().flatten();
    if let Some(previous) = previous {
        give_back_others(previous);
    }
}

#[cold]
fn give_back_others(buffer: Buffer) {
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < MOST {
            pool.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_handed_out_is_empty_and_has_room() {
        for given_back in [Vec::new(), Vec::with_capacity(1), vec![7; INITIAL], vec![7; LARGEST], vec![7; LARGEST + 1]]
        {
            give_back(Box::new(given_back));
            let buffer = take();
            assert!(buffer.is_empty());
            assert!((INITIAL..=LARGEST).contains(&buffer.capacity()), "{}", buffer.capacity());
        }
    }
}
