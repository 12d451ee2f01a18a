//! The wake-up protocol under every interleaving: `RUSTFLAGS="--cfg loom" cargo test --release --test loom`.
#![cfg(loom)]

/// The code itself, over loom's mutex and atomics.
#[path = "../src/task/flag.rs"]
mod flag;
#[path = "../src/mailbox.rs"]
mod mailbox;

use loom::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use flag::WakeFlag;
use mailbox::{Delivery, Mailbox};

/// A mailbox and what stands for its eventfd. When a wake-up is lost, nobody rings any more and loom reports a deadlock.
struct World {
    mailbox: Mailbox<u32>,
    bell: Mutex<Bell>,
    rung: Condvar,
}

/// A counter like the eventfd's: ringing twice is as good as once, and a ring before the wait is not lost.
#[derive(Default)]
struct Bell {
    ringing: bool,
    rings: usize,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World { mailbox: Mailbox::new(), bell: Mutex::default(), rung: Condvar::new() })
    }

    /// As `Remote::send`.
    fn send(&self, letter: u32) -> bool {
        match self.mailbox.push(letter) {
            Ok(Delivery::Noticed) => true,
            Ok(Delivery::MustSignal) => {
                self.ring();
                true
            }
            Err(_) => false,
        }
    }

    fn ring(&self) {
        let mut bell = self.bell.lock().unwrap();
        bell.ringing = true;
        bell.rings += 1;
        self.rung.notify_one();
    }

    /// As the loop's turn: sleeps when nothing has come in. Counts how often it slept.
    fn turn(&self, letters: &mut Vec<u32>, sleeps: &mut usize) {
        if self.mailbox.fall_asleep() {
            *sleeps += 1;
            let mut bell = self.bell.lock().unwrap();
            while !bell.ringing {
                bell = self.rung.wait(bell).unwrap();
            }
            bell.ringing = false;
            drop(bell);
            self.mailbox.wake_up();
        }
        self.receive(letters);
    }

    /// As the loop's turn when it has other work: it does not sleep.
    fn busy_turn(&self, letters: &mut Vec<u32>) {
        self.receive(letters);
    }

    /// As the loop's turn when a descriptor or a timer ends the sleep, not a signal.
    fn turn_ended_by_an_event(&self, letters: &mut Vec<u32>) {
        if self.mailbox.fall_asleep() {
            self.mailbox.wake_up();
        }
        self.receive(letters);
    }

    fn receive(&self, letters: &mut Vec<u32>) {
        let mut batch = Vec::new();
        self.mailbox.take(&mut batch);
        letters.append(&mut batch);
    }
}

/// For models with more interleavings than can be tried: those with up to three preemptions, which show all but
/// far-fetched mistakes.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn sender(world: &Arc<World>, letters: &'static [u32]) -> thread::JoinHandle<usize> {
    let world = Arc::clone(world);
    thread::spawn(move || letters.iter().filter(|letter| world.send(**letter)).count())
}

#[test]
fn no_wake_up_of_one_sender_is_lost() {
    loom::model(|| {
        let world = World::new();
        let sender = sender(&world, &[1, 2, 3]);
        let (mut letters, mut sleeps) = (Vec::new(), 0);
        while letters.len() < 3 {
            world.turn(&mut letters, &mut sleeps);
        }
        assert_eq!(letters, [1, 2, 3], "in the order in which they were sent");
        sender.join().unwrap();
        assert!(world.bell.lock().unwrap().rings <= sleeps, "at most one signal for each sleep");
    });
}

#[test]
fn no_wake_up_of_two_senders_is_lost() {
    bounded(|| {
        let world = World::new();
        let senders = [sender(&world, &[1, 2]), sender(&world, &[3])];
        let (mut letters, mut sleeps) = (Vec::new(), 0);
        while letters.len() < 3 {
            world.turn(&mut letters, &mut sleeps);
        }
        senders.into_iter().for_each(|sender| assert!(sender.join().unwrap() > 0));
        assert!(world.bell.lock().unwrap().rings <= sleeps, "at most one signal for each sleep");
        letters.sort_unstable();
        assert_eq!(letters, [1, 2, 3]);
    });
}

/// A late signal of a sleep that something else has ended must not stand for a letter that comes after it.
#[test]
fn sleep_ended_by_something_else_confuses_nobody() {
    loom::model(|| {
        let world = World::new();
        let sender = sender(&world, &[1, 2]);
        let (mut letters, mut sleeps) = (Vec::new(), 0);
        world.turn_ended_by_an_event(&mut letters);
        world.busy_turn(&mut letters);
        while letters.len() < 2 {
            world.turn(&mut letters, &mut sleeps);
        }
        sender.join().unwrap();
        assert_eq!(letters, [1, 2]);
    });
}

#[test]
fn busy_owner_is_never_signalled() {
    loom::model(|| {
        let world = World::new();
        let sender = sender(&world, &[1, 2]);
        let mut letters = Vec::new();
        world.busy_turn(&mut letters);
        sender.join().unwrap();
        world.busy_turn(&mut letters);
        assert_eq!(letters, [1, 2]);
        assert_eq!(world.bell.lock().unwrap().rings, 0);
    });
}

#[test]
fn close_refuses_or_hands_over_every_letter() {
    loom::model(|| {
        let world = World::new();
        let senders = [sender(&world, &[1, 2]), sender(&world, &[3])];
        let mut letters = Vec::new();
        world.turn_ended_by_an_event(&mut letters);
        let left = world.mailbox.close();
        let accepted: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        assert_eq!(letters.len() + left.len(), accepted, "what was accepted was taken or is left to be dropped");
        assert!(!world.send(4), "closed for good");
        world.receive(&mut letters);
        assert_eq!(letters.len() + left.len(), accepted, "nothing slips in behind the close");
    });
}

/// A task that other threads wake, and what each of them has done before it did: one number for each, without an order of
/// its own.
struct Task {
    flag: WakeFlag,
    done: [AtomicU32; 2],
}

impl Task {
    fn new() -> Arc<Task> {
        Arc::new(Task { flag: WakeFlag::new(), done: [AtomicU32::new(0), AtomicU32::new(0)] })
    }

    /// What its poll sees.
    fn poll(&self) -> [u32; 2] {
        [0, 1].map(|thread| self.done[thread].load(Ordering::Relaxed))
    }
}

/// As a thread that does something for a task and wakes it, so many times.
fn waker(world: &Arc<World>, task: &Arc<Task>, me: usize, times: u32) -> thread::JoinHandle<()> {
    let (world, task) = (Arc::clone(world), Arc::clone(task));
    thread::spawn(move || {
        for time in 1..=times {
            task.done[me].store(time, Ordering::Relaxed);
            if task.flag.raise() {
                world.send(0);
            }
        }
    })
}

/// As the loop: polls the task for each message, until it has seen everything. When a wake is lost it sleeps for ever, and
/// loom reports a deadlock.
fn poll_until(world: &World, task: &Task, everything: [u32; 2]) {
    let (mut letters, mut sleeps) = (Vec::new(), 0);
    loop {
        world.turn(&mut letters, &mut sleeps);
        let mut seen = [0; 2];
        for _ in letters.drain(..) {
            task.flag.lower();
            seen = task.poll();
        }
        if seen == everything {
            break;
        }
    }
}

#[test]
fn poll_after_a_wake_sees_what_was_done_before_it() {
    loom::model(|| {
        let (world, task) = (World::new(), Task::new());
        let thread = waker(&world, &task, 0, 2);
        poll_until(&world, &task, [2, 0]);
        thread.join().unwrap();
    });
}

#[test]
fn poll_sees_also_what_those_did_who_found_the_wake_under_way() {
    bounded(|| {
        let (world, task) = (World::new(), Task::new());
        let threads = [waker(&world, &task, 0, 1), waker(&world, &task, 1, 1)];
        poll_until(&world, &task, [1, 1]);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
