//! What became of the messages.

use serde::{Deserialize, Serialize};

use super::{
    Histogram,
    seen::{Arrival, Seen},
};

/// Counts over all clients of a worker, or of all workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Clients.
    pub clients: u64,
    /// Messages that arrived as they should: once and in order.
    pub delivered: u64,
    /// Messages that did not arrive, or behind a later one.
    pub lost: u64,
    /// Messages that arrived again.
    pub doubled: u64,
    /// Messages that took longer than the limit. They count as delivered too.
    pub late: u64,
    /// Connections that ended and were made anew.
    pub reconnects: u64,
    /// Bytes received.
    pub bytes: u64,
    /// From just before a message was published until a client had it, in microseconds.
    pub latency: Histogram,
}

impl Tally {
    /// A message came to a client that has seen others.
    pub(super) fn arrive(&mut self, seen: &mut Seen, number: u64, latency: u64, late: u64) {
        match seen.see(number) {
            Arrival::Again => self.doubled += 1,
            Arrival::New { skipped } => {
                self.delivered += 1;
                self.lost += skipped;
                self.late += u64::from(latency > late);
                self.latency.record(latency);
            }
        }
    }

    /// Adds all that another one has counted.
    pub fn merge(&mut self, other: &Tally) {
        self.clients += other.clients;
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.late += other.late;
        self.reconnects += other.reconnects;
        self.bytes += other.bytes;
        self.latency.merge(&other.latency);
    }

    /// Whether everybody got everything once, in order and in time.
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.late == 0
    }
}
