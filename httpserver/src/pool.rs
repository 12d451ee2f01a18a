//! Byte buffers kept per thread, so that a request in the steady state allocates none.

use std::cell::{Cell, RefCell};

/// Buffers kept: as many as requests may be in the making at once without allocating.
const MOST: usize = 64;

/// A buffer that grew past this many bytes is freed: what one odd response needed is not kept.
const LARGEST: usize = 32 * 1024;

/// What a fresh buffer has room for: a usual head.
const INITIAL: usize = 512;

thread_local! {
    /// The buffer given back last. One request at a time needs one, so this is nearly always the one that serves.
    static LAST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with some room.
pub(crate) fn take() -> Vec<u8> {
    // While the thread ends the pool may be gone already.
    let last = LAST.try_with(Cell::take).unwrap_or_default();
    if last.capacity() != 0 { last } else { take_pooled() }
}

#[cold]
fn take_pooled() -> Vec<u8> {
    let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| Vec::with_capacity(INITIAL))
}

/// Keeps the buffer for the next one who needs one.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > LARGEST {
        return;
    }
    buffer.clear();
    let previous = LAST.try_with(|last| last.replace(buffer)).unwrap_or_default();
    if previous.capacity() != 0 {
        give_back_pooled(previous);
    }
}

#[cold]
fn give_back_pooled(buffer: Vec<u8>) {
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < MOST {
            pool.push(buffer);
        }
    });
}
