//! A global allocator that counts, when told to.
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait; this file only forwards to the system allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
};

use crate::message::Allocations;

/// The system allocator with two counters beside it.
///
/// Off, the default, it costs one load and one branch per call, so that instruction counts and times are those of the program.
#[derive(Debug, Default)]
pub struct CountingAllocator {
    enabled: AtomicBool,
    allocations: AtomicU64,
    live_bytes: AtomicI64,
}

impl CountingAllocator {
    /// An allocator that does not count yet.
    pub const fn new() -> CountingAllocator {
        CountingAllocator {
            enabled: AtomicBool::new(false),
            allocations: AtomicU64::new(0),
            live_bytes: AtomicI64::new(0),
        }
    }

    /// Counts from now on. What was allocated before is not in [`Allocations::live_bytes`], so only differences mean something.
    pub fn enable(&self) {
        self.enabled.store(true, Relaxed);
    }

    /// The counters as they stand; zero unless [`enable`](Self::enable)d.
    pub fn counters(&self) -> Allocations {
        Allocations { allocations: self.allocations.load(Relaxed), live_bytes: self.live_bytes.load(Relaxed) }
    }

    fn count(&self, allocations: u64, bytes: i64) {
        if self.enabled.load(Relaxed) {
            self.allocations.fetch_add(allocations, Relaxed);
            self.live_bytes.fetch_add(bytes, Relaxed);
        }
    }
}

// SAFETY: every call goes unchanged to `System`, which upholds the contract; counting touches atomics only and never allocates.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count(1, size(layout));
        // SAFETY: the caller promises what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.count(0, -size(layout));
        // SAFETY: the pointer came from `System` with this layout, since all our allocations do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count(1, size(layout));
        // SAFETY: the caller promises what `System` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.count(1, new_size as i64 - size(layout));
        // SAFETY: the pointer came from `System` with this layout, since all our allocations do.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

// No layout is larger than isize::MAX, so the conversion loses nothing.
fn size(layout: Layout) -> i64 {
    layout.size() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_only_while_enabled() {
        let allocator = CountingAllocator::new();
        let layout = Layout::from_size_align(100, 8).unwrap();
        // SAFETY: the layout is not empty, and each pointer goes back once with the layout it came with.
        let live = unsafe {
            let before = allocator.alloc(layout);
            allocator.enable();
            let kept = allocator.alloc(layout);
            let live = allocator.counters().live_bytes;
            allocator.dealloc(before, layout);
            allocator.dealloc(kept, layout);
            live
        };
        assert_eq!(live, 100);
        assert_eq!(allocator.counters().allocations, 1);
        assert_eq!(allocator.counters().live_bytes, -100);
    }
}
