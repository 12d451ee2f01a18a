use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

use http::StatusCode;
use iostream::ioloop::Printable;

use crate::{
    Error, LatencyHistogram,
    latency::{Stamp, Waited},
};

/// What a server has done so far, and what it holds; a snapshot by
/// [`ServerHandle::metrics`](crate::ServerHandle::metrics).
///
/// Counts only grow, so two snapshots tell a rate. Several servers, on several threads, are added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerMetrics {
    /// Connections that are open, upgraded ones included.
    pub connections: usize,
    /// Of those, the connections with a request in hand, or upgraded. The others wait for a request.
    pub busy_connections: usize,
    /// Connections that there have been.
    pub connections_total: usize,
    /// Answers by the class of their status: 1xx (upgrades), 2xx, 3xx, 4xx, 5xx. An answer counts when its head is made.
    pub answers: [u64; 5],
    /// Answers with another status, 600 and above.
    pub other_answers: u64,
    /// Requests that got no answer: the service gave up, or its client went away.
    pub unanswered: u64,
    /// Requests that could not be understood, or whose head came too late. Most of them are answered, too.
    pub refused: u64,
    /// Bodies that were malformed, longer than [`Limits::max_body`](crate::Limits::max_body), too slow or cut short. A limit
    /// that a service sets, and that of what is collected, are its own affair: what is beyond them is not counted.
    pub failed_bodies: u64,
    /// How long services took for the heads of answers, from the end of the request's head, by the loop's turn time: what is
    /// answered without waiting counts as 0, though it may have computed. A time of more than 19 hours may count as a
    /// shorter one.
    pub latency: LatencyHistogram,
}

impl ServerMetrics {
    /// How many answers there have been.
    #[inline]
    pub fn requests(&self) -> u64 {
        self.answers.iter().sum::<u64>() + self.other_answers
    }
}

/// Where a server counts. Plain cells: a request costs one addition.
pub(crate) struct Counters {
    /// Answers by the first digit of their status; 0 has those that do not fit.
    answers: [Cell<u64>; 6],
    unanswered: Cell<u64>,
    refused: Cell<u64>,
    failed_bodies: Cell<u64>,
    waited: Waited,
    lines: Lines,
}

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters {
            answers: Default::default(),
            unanswered: Cell::new(0),
            refused: Cell::new(0),
            failed_bodies: Cell::new(0),
            waited: Waited::default(),
            lines: Lines::default(),
        }
    }

    /// The usual answer, a 200.
    #[inline(always)]
    pub(crate) fn answered_usually(&self) {
        add_one(&self.answers[2]);
    }

    /// An answer, its head encoded.
    #[inline]
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        add_one(self.answers.get(class).unwrap_or(&self.answers[0]));
    }

    #[inline]
    pub(crate) fn unanswered(&self) {
        add_one(&self.unanswered);
    }

    /// An answer that was waited for since `stamp`, and is there at `now`.
    #[inline]
    pub(crate) fn waited_since(&self, stamp: Stamp, now: u64) {
        self.waited.add(stamp.units_until(now));
    }

    /// A request that no service has seen: refused, or broken off with its connection.
    #[cold]
    pub(crate) fn refused(&self, peer: impl fmt::Display, error: &Error, now: Instant) {
        if error.status().is_some() {
            add_one(&self.refused);
        }
        self.lines.log("refusing a request", peer, error, now);
    }

    /// The first failure of a body.
    #[cold]
    pub(crate) fn failed_body(&self, peer: impl fmt::Display, error: &Error, now: Instant) {
        add_one(&self.failed_bodies);
        self.lines.log("refusing the body of a request", peer, error, now);
    }

    /// All but what is known of connections.
    #[inline]
    pub(crate) fn snapshot(&self) -> ServerMetrics {
        let answers = |class: usize| self.answers[class].get();
        let mut metrics = ServerMetrics {
            answers: [answers(1), answers(2), answers(3), answers(4), answers(5)],
            other_answers: answers(0),
            unanswered: self.unanswered.get(),
            refused: self.refused.get(),
            failed_bodies: self.failed_bodies.get(),
            ..ServerMetrics::default()
        };
        metrics.latency = self.waited.snapshot(metrics.requests());
        metrics
    }
}

/// Log lines about clients, of which any client can cause as many as it likes.
#[derive(Default)]
struct Lines {
    /// When the second in hand began.
    second: Cell<Option<Instant>>,
    /// How many there were in it.
    count: Cell<u32>,
}

/// Lines in a second. What is above is counted and told with the first line of a later one.
const MOST_LINES: u32 = 10;

impl Lines {
    /// One line at level debug, unless there have been too many in this second.
    fn log(&self, what: &str, peer: impl fmt::Display, error: &Error, now: Instant) {
        if !log::log_enabled!(log::Level::Debug) {
            return;
        }
        if self.second.get().is_none_or(|second| now.saturating_duration_since(second) >= Duration::from_secs(1)) {
            let left_out = self.count.get().saturating_sub(MOST_LINES);
            if left_out > 0 {
                log::debug!("{left_out} more refusals were not logged");
            }
            self.second.set(Some(now));
            self.count.set(0);
        }
        let count = self.count.get().saturating_add(1);
        self.count.set(count);
        if count <= MOST_LINES {
            log::debug!("{what} from {peer}: {}", Printable::display(error));
        }
    }
}

#[inline(always)]
fn add_one(count: &Cell<u64>) {
    count.set(count.get().wrapping_add(1));
}
