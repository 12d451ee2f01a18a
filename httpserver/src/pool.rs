//! Byte buffers kept per thread, so that a request in the steady state allocates none.

use std::cell::RefCell;

/// Buffers kept: as many as requests may be in the making at once without allocating.
const MOST: usize = 64;

/// A buffer that grew past this many bytes is freed: what one odd response needed is not kept.
const LARGEST: usize = 32 * 1024;

/// What a fresh buffer has room for: a usual head.
const INITIAL: usize = 512;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with some room.
pub(crate) fn take() -> Vec<u8> {
    // While the thread ends the pool may be gone already.
    let pooled = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| Vec::with_capacity(INITIAL))
}

/// Keeps the buffer for the next one who needs one.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > LARGEST {
        return;
    }
    buffer.clear();
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < MOST {
            pool.push(buffer);
        }
    });
}
