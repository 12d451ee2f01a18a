//! Counts what a thread allocates. For test binaries that hold it alone, with `#[global_allocator]`.
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait; this one only forwards to the system allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicIsize, Ordering},
};

/// The system's allocator. Counts by thread, because the test runner's own thread allocates whenever it likes.
pub(crate) struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Of all threads.
static HELD_BY_ALL: AtomicIsize = AtomicIsize::new(0);

/// The bytes that the process holds.
#[allow(dead_code, reason = "not every test binary asks")]
pub(crate) fn held_by_all() -> isize {
    HELD_BY_ALL.load(Ordering::Relaxed)
}

/// The bytes that the thread holds. Below zero if it has freed what others had allocated.
#[allow(dead_code, reason = "not every test binary asks")]
pub(crate) fn held() -> isize {
    HELD.get()
}

/// How often the thread has allocated.
#[allow(dead_code, reason = "not every test binary asks")]
pub(crate) fn allocations() -> usize {
    COUNT.get()
}

// SAFETY: both calls are passed on as they are, and `realloc` is made of them.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // While the thread ends nobody asks any more.
        let _ = HELD.try_with(|held| held.set(held.get() + layout.size() as isize));
        HELD_BY_ALL.fetch_add(layout.size() as isize, Ordering::Relaxed);
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let _ = HELD.try_with(|held| held.set(held.get() - layout.size() as isize));
        HELD_BY_ALL.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}
