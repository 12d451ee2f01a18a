//! Bytes on the heap for each sleeping task and each timer of `ioloop`.

use std::{alloc::System, future::pending, time::Duration};

use ioloop::{Deadline, IOLoop};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNT: usize = 10_000;
const FUTURE: usize = 64;

fn main() {
    let ioloop = IOLoop::current();
    ioloop.run_sync(ioloop::yield_now());
    let task = each(|| {
        for _ in 0..COUNT {
            let kept = [1_u8; FUTURE];
            ioloop.spawn_detached(async move {
                pending::<()>().await;
                std::hint::black_box(&kept);
            });
        }
        ioloop.run_sync(ioloop::yield_now());
    });
    println!("bytes per sleeping task, less its future of {FUTURE} bytes: {:.0}", task - FUTURE as f64);
    let callback = each(|| {
        for _ in 0..COUNT {
            ioloop.call_later(Duration::from_secs(3_600), || {});
        }
    });
    println!("bytes per timer with a callback that captures nothing: {callback:.0}");
    let mut deadlines = Vec::with_capacity(COUNT);
    let deadline = each(|| {
        for _ in 0..COUNT {
            let deadline = Deadline::new();
            deadline.set_after(Duration::from_secs(3_600));
            deadlines.push(deadline);
        }
    });
    let holder = size_of::<Deadline>() as f64;
    println!("bytes per `Deadline`, in the loop: {deadline:.0}, with its holder: {:.0}", deadline + holder);
}

/// Live bytes after less live bytes before, for each of `COUNT`.
fn each(work: impl FnOnce()) -> f64 {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    // Bytes by which a block grew in place of a new one are counted as allocated.
    (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / COUNT as f64
}
