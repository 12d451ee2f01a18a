//! The block of memory that the header lines of a message lie in, and the one that each thread keeps.
//!
//! A request's head is copied into one block, which is all that it allocates. Requests that are served one after the other
//! mostly come with heads of about one length, so the block of the last one serves the next: a twentieth of the instructions
//! of a request were spent on allocating and freeing it.

use std::cell::Cell;

/// A longer block is not kept, so that one odd request does not make a thread hold its memory.
const LARGEST: usize = 4096;

/// What a kept block may have too much. A request that waits for long has at most so much more than it needs.
const MOST_UNUSED: usize = 64;

thread_local! {
    /// The block given back last.
    static LAST: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// A block that begins with `text` and, behind it, `table`. It may be longer than both: whoever reads it knows their
/// lengths, because what follows them is of a message before.
#[inline(always)]
pub(crate) fn filled(text: &[u8], table: &[u8]) -> Box<[u8]> {
    match kept(text.len() + table.len()) {
        Some(mut block) => {
            let (front, behind) = block.split_at_mut(text.len());
            front.copy_from_slice(text);
            behind[..table.len()].copy_from_slice(table);
            block
        }
        None => fresh(text, table),
    }
}

/// The kept block, if it has about `len` bytes; it is freed if not.
#[inline(always)]
fn kept(len: usize) -> Option<Box<[u8]>> {
    // While the thread ends there is none.
    let block = LAST.try_with(Cell::take).ok()??;
    (len..=len + MOST_UNUSED).contains(&block.len()).then_some(block)
}

/// One allocation of the exact size, and none when it becomes a boxed slice.
#[cold]
fn fresh(text: &[u8], table: &[u8]) -> Box<[u8]> {
    [text, table].concat().into_boxed_slice()
}

/// Keeps a block for the next message.
#[inline]
pub(crate) fn give_back(block: Box<[u8]>) {
    if (1..=LARGEST).contains(&block.len()) {
        // While the thread ends there is nothing to keep it for.
        let _ = LAST.try_with(|last| replace(last, block));
    }
}

/// Keeps `block`, and frees the one that was kept.
#[inline(always)]
fn replace(last: &Cell<Option<Box<[u8]>>>, block: Box<[u8]>) {
    let previous = last.take();
    if previous.is_some() {
        // Many requests that have waited end one behind the other. Each frees the block of the one before, which nobody has
        // looked at since it was filled: the allocator would wait for memory, a tenth of what such an end takes.
        fetch(&block);
    }
    last.set(Some(block));
    drop(previous);
}

/// Has the processor fetch what the allocator looks at to free `block`: its beginning, and what lies in front of that.
#[inline(always)]
fn fetch(block: &[u8]) {
    #[cfg(target_feature = "sse2")]
    if let Some(first) = block.first() {
        safe_arch::prefetch_t0(first);
    }
    #[cfg(not(target_feature = "sse2"))]
    let _ = block;
}

/// The kept block, which the thread keeps no more.
#[inline]
pub(crate) fn take() -> Option<Box<[u8]>> {
    LAST.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a block for `len` that is asked for after one of `before` was given back.
    fn after(before: usize, len: usize) -> usize {
        give_back(vec![b'x'; before].into_boxed_slice());
        let block = filled(&vec![b'a'; len - 8], b"ta-b-l-e");
        assert_eq!(block[len - 9..len], *b"ata-b-l-e");
        assert!(LAST.take().is_none(), "it is handed out or freed");
        block.len()
    }

    #[test]
    fn a_block_serves_again_if_it_is_about_as_long() {
        assert_eq!(after(200, 200), 200);
        assert_eq!(after(200, 200 - MOST_UNUSED), 200);
        assert_eq!(after(200, 199 - MOST_UNUSED), 199 - MOST_UNUSED);
        assert_eq!(after(200, 201), 201);
        assert_eq!(after(LARGEST, LARGEST - 1), LARGEST);
        assert_eq!(after(LARGEST + 1, LARGEST), LARGEST);
    }

    #[test]
    fn long_blocks_and_empty_ones_are_not_kept() {
        for len in [0, LARGEST + 1] {
            give_back(vec![b'x'; len].into_boxed_slice());
            assert!(LAST.take().is_none(), "{len}");
        }
    }
}
