//! Memory that the C library holds for a program that needs it no more.
//!
//! glibc gives memory back from the end of its heap alone, so one small block there holds all that is free before it. Two
//! kinds of free blocks do so. Each thread keeps up to seven of each size for itself, wherever they lie. Others are put
//! aside by their size and join nothing, until a free leaves 64 KiB or more in one piece (`FASTBIN_CONSOLIDATION_THRESHOLD`).
//! After 10,000 connections that had waited, and were gone, all of their memory stayed with the process.
//!
//! `malloc_trim` would mend it, and is not to be had without `unsafe`. So this asks for what the thread keeps, and has it
//! freed by another thread, which keeps nothing when it ends.

use std::{hint::black_box, thread, time::Duration};

use crate::threads::start;

/// Gives back what a burst of tasks has taken.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When the burst has begun, in nanoseconds of the loop.
    begun: u64,
    /// Blocks of the beginning of the heap, taken when a burst begins: a set for each time that memory is given back.
    reserve: Vec<Vec<Block>>,
}

/// Made for where it lies.
type Block = Vec<u8>;

/// What joins everything when it is freed. Not so large that it would be mapped apart from the heap.
const JOINS: usize = 72 * 1024;

/// How many blocks of a size glibc keeps for a thread.
const KEPT: usize = 7;

/// No more are taken to find out that it keeps none.
const MOST_TAKEN: usize = 64;

/// The largest of those.
const LARGEST_KEPT: usize = 1032;

/// What a block takes beside what was asked for, and by how much sizes differ.
const OVERHEAD: usize = 8;
const STEP: usize = 16;

/// Twice as often as a burst ebbs.
const SETS: usize = 10;

/// What it takes to start a thread, and what a loop takes at rest for a moment, is found in a set.
const LARGEST_IN_SET: usize = 136;
const OF_A_SIZE: usize = 3;

/// Of a thread that does next to nothing.
const STACK: usize = 64 * 1024;

/// A burst that is over sooner gives nothing back, since the next may begin as soon: to give back takes 0.3 ms.
const SHORTEST: u64 = Duration::from_millis(100).as_nanos() as u64;

/// How long those who are left behind an ebb may take to go, until memory is given back once more.
pub(crate) const LOOK_AFTER: Duration = Duration::from_secs(1);

impl Memory {
    /// A burst has begun.
    #[cold]
    pub(crate) fn begin(&mut self, now: u64) {
        self.begun = now;
        if self.reserve.is_empty() {
            // What the C library allocates for its first thread stays, for those that come later.
            free_elsewhere([Vec::new(), Vec::new()]);
            for _ in 0..SETS {
                self.reserve.push(reserve_set());
            }
        }
    }

    /// The burst `is_over`, or ebbs: has the C library give back what is free at the end of its heap. Does no harm with
    /// another allocator.
    ///
    /// `move_ahead` puts what stays of a burst to other places, and returns what is left behind.
    #[cold]
    pub(crate) fn give_back<T>(&mut self, now: u64, is_over: bool, move_ahead: impl FnOnce() -> T) {
        if now.saturating_sub(self.begun) < SHORTEST {
            return;
        }
        // Joined before as well: what is taken beside the kept blocks comes from free memory then, and not from lists of
        // blocks that are better joined.
        join();
        let kept = kept_blocks();
        // The thread keeps none now. From here on it takes from these.
        drop(self.reserve.pop());
        // Freed when everything has been allocated, which would be put there.
        drop(move_ahead());
        let left_behind = kept_blocks();
        // And from these, which it keeps in the end.
        if is_over {
            self.reserve = Vec::new();
        } else {
            drop(self.reserve.pop());
        }
        free_elsewhere([kept, left_behind]);
        join();
    }
}

/// What this thread keeps, and some more.
///
/// To take as many as it keeps is not enough: when it has fewer, glibc hands it all others of that size that it finds on
/// its lists of free blocks, and they are kept from then on. There are none left when blocks are cut, one behind the other,
/// from a larger one.
fn kept_blocks() -> Vec<Block> {
    let mut taken = Vec::with_capacity(LARGEST_KEPT / STEP * 2 * KEPT);
    for size in sizes(LARGEST_KEPT) {
        for _ in 0..KEPT {
            taken.push(block(size));
        }
        let (mut last, mut count) = (0, KEPT);
        while count < MOST_TAKEN {
            let next = block(size);
            let (previous, at) = (last, next.as_ptr().addr());
            (last, count) = (at, count + 1);
            taken.push(next);
            if at == previous + size + OVERHEAD {
                break;
            }
        }
    }
    taken
}

/// All that are kept: as large as a block can be that takes so much of the heap.
fn sizes(largest: usize) -> impl Iterator<Item = usize> {
    (STEP + OVERHEAD..=largest).step_by(STEP)
}

/// Some blocks of each size that is needed first.
fn reserve_set() -> Vec<Block> {
    let mut blocks = Vec::new();
    for size in sizes(LARGEST_IN_SET) {
        for _ in 0..OF_A_SIZE {
            blocks.push(block(size));
        }
    }
    blocks
}

fn block(size: usize) -> Block {
    black_box(Vec::with_capacity(size))
}

/// Frees blocks so that this thread does not keep them.
fn free_elsewhere(blocks: [Vec<Block>; 2]) {
    // Where no thread can be had, it does keep them.
    if let Ok(thread) = start(thread::Builder::new().stack_size(STACK), Box::new(|| drop(blocks))) {
        let _ = thread.join();
    }
}

fn join() {
    drop(block(JOINS));
}
