//! What a burst of tasks has taken goes back to the system. A program of its own with one thread: it looks at the memory of
//! the whole process, and the C library keeps that of other threads apart.

use std::{
    any::Any,
    cell::RefCell,
    error::Error,
    fs,
    future::{Future, pending, poll_fn},
    mem,
    pin::pin,
    rc::{Rc, Weak},
    task::{Poll, Waker},
    time::Duration,
};

use ioloop::{Ebb, IOLoop, JoinHandle, VirtualClock, on_ebb, sleep, spawn, yield_now};

/// As many as a server has connections.
const TASKS: usize = 10_000;

/// Of a task, its waker and what it holds at least; in all 20 times what may stay.
const HELD_EACH: usize = 1_000;

/// What the tasks share.
#[derive(Default)]
struct Shared {
    waiting: RefCell<Vec<Waker>>,
    /// A block of the task that has ended last, for the next.
    spare: RefCell<Vec<u8>>,
}

impl Ebb for Shared {
    fn ebb(&self) -> Box<dyn Any> {
        Box::new(self.spare.take())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Other allocators have rules of their own.
    if cfg!(not(target_env = "gnu")) {
        return Ok(());
    }
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build()?;
    let shared = Rc::<Shared>::default();
    let holder: Weak<Shared> = Rc::downgrade(&shared);
    on_ebb(holder);
    for staying in [0, 5] {
        for order in ["first in, first out", "last in, first out", "at random"] {
            ioloop.run_sync(burst(&clock, &shared, order, staying))?;
        }
    }
    Ok(())
}

/// A burst of tasks beside others that stay.
async fn burst(clock: &VirtualClock, shared: &Rc<Shared>, order: &str, staying: usize) -> Result<(), Box<dyn Error>> {
    // What is allocated once.
    run(clock, shared, 100, order).await?;
    let staying: Vec<JoinHandle<()>> = (0..staying).map(|_| spawn(pending())).collect();
    let before = resident()?;
    let held = run(clock, shared, TASKS, order).await?.saturating_sub(before);
    let kept = resident()?.saturating_sub(before);
    println!("{order} beside {} that stay: {held} bytes were held, {kept} are kept", staying.len());
    assert!(held > TASKS * HELD_EACH, "{order}: {held}");
    assert!(kept < held / 4, "{order} beside {}: {kept} of {held}", staying.len());
    staying.iter().for_each(JoinHandle::abort);
    Ok(())
}

/// Has so many tasks wait, and lets them go in this order. Returns what the process held while they waited.
async fn run(clock: &VirtualClock, shared: &Rc<Shared>, tasks: usize, order: &str) -> Result<usize, Box<dyn Error>> {
    for _ in 0..tasks {
        IOLoop::current().spawn_detached(wait(Rc::clone(shared)));
    }
    // Of a short burst nothing is given back.
    clock.advance(Duration::from_secs(1)).await;
    let held = resident()?;
    let mut wakers = shared.waiting.take();
    assert_eq!(wakers.len(), tasks);
    match order {
        "first in, first out" => {}
        "last in, first out" => wakers.reverse(),
        // 7919 and both numbers of tasks have no common divisor.
        _ => wakers = (0..tasks).map(|at| wakers[at * 7919 % tasks].clone()).collect(),
    }
    for (at, waker) in wakers.into_iter().enumerate() {
        waker.wake();
        // The last go one by one, so that the loop moves what it keeps for itself while few are left.
        if at % 50 == 0 || at + 50 > tasks {
            yield_now().await;
        }
    }
    for _ in 0..8 {
        yield_now().await;
    }
    // It looks once more a second later, when some have stayed.
    clock.advance(Duration::from_secs(2)).await;
    Ok(held)
}

/// Waits once, with blocks of the sizes that a connection has and a time-out.
async fn wait(shared: Rc<Shared>) {
    let mut blocks: [Vec<u8>; 5] = [40, 130, 140, 220, 480].map(|size| vec![1; size]);
    let mut timeout = pin!(sleep(Duration::from_secs(60)));
    let mut is_woken = false;
    poll_fn(|cx| {
        assert!(timeout.as_mut().poll(cx).is_pending());
        if !mem::replace(&mut is_woken, true) {
            shared.waiting.borrow_mut().push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
    shared.spare.replace(mem::take(&mut blocks[4]));
}

/// Anonymous memory of the process in bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<usize>()? * 1024)
}
