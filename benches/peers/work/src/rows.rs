//! The rows of the table.

mod descriptors;
mod sharing;
mod tasks;
mod timers;

use crate::{Peer, Sample};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// As the programs take it.
    pub name: &'static str,
    /// As the table shows it.
    pub title: &'static str,
    /// What the figures are for.
    pub per: &'static str,
    /// How often it is done for a sample.
    pub repetitions: usize,
    /// Whether its instructions can be told from two runs of different length: not when each repetition prepares anew.
    pub countable: bool,
}

const fn row(name: &'static str, title: &'static str, per: &'static str, repetitions: usize) -> Row {
    Row { name, title, per, repetitions, countable: true }
}

/// All rows in the order of the table.
pub const ROWS: [Row; 11] = [
    row("spawn", "spawn and join 10,000 tasks", "task", 50),
    row("yield", "yield ping-pong of two tasks", "yield", 50),
    row("wake-one", "wake 1 of 10,000 sleeping tasks, which wakes back", "wake-up", 30),
    row("wake-all", "wake 10,000 sleeping tasks at once", "wake-up", 100),
    row("timers", "insert and cancel 100,000 timers", "timer", 5),
    Row { countable: false, ..row("fire", "fire 10,000 timers, a task behind each", "timer", 5) },
    row("renew", "renew one of 100,000 deadlines", "renewal", 10),
    row("thread", "cross-thread callback round trip", "round trip", 20_000),
    row("pipes-task", "a turn with 64 ready pipes out of 1,000, read by tasks", "pipe", 500),
    row("pipes-handler", "the same, ours by handlers", "pipe", 500),
    row("broadcast", "broadcast one message to 10,000 waiters", "waiter", 50),
];

impl Row {
    /// Finds a row.
    pub fn named(name: &str) -> Option<Row> {
        ROWS.into_iter().find(|row| row.name == name)
    }
}

/// Does the work; `None` when the peer cannot.
pub(crate) async fn run(peer: &impl Peer, row: Row, repetitions: usize) -> Option<Sample> {
    match row.name {
        "spawn" => Some(tasks::spawn_and_join(peer, repetitions).await),
        "yield" => Some(tasks::yield_ping_pong(peer, repetitions).await),
        "wake-one" => Some(tasks::wake_one(peer, repetitions).await),
        "wake-all" => Some(tasks::wake_all(peer, repetitions).await),
        "timers" => Some(timers::insert_and_cancel(peer, repetitions).await),
        "fire" => Some(timers::fire(peer, repetitions).await),
        "renew" => Some(timers::renew(peer, repetitions).await),
        "thread" => Some(sharing::thread_round_trip(peer, repetitions).await),
        "pipes-task" => descriptors::ready_pipes(peer, repetitions, Peer::read_by_task).await,
        "pipes-handler" => descriptors::ready_pipes(peer, repetitions, Peer::read_by_handler).await,
        "broadcast" => Some(sharing::broadcast(peer, repetitions).await),
        _ => None,
    }
}
