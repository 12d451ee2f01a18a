//! When a run ends, and what it came to.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// When to send no further request. What is under way is always waited for.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    requests: u64,
    at: Option<Instant>,
}

impl Stop {
    /// After exactly so many requests, over all connections.
    pub fn after_requests(requests: u64) -> Stop {
        Stop { requests, at: None }
    }

    /// After some time, counted from now.
    pub fn after(duration: Duration) -> Stop {
        Stop { requests: u64::MAX, at: Some(Instant::now() + duration) }
    }

    /// Takes up to `wanted` of the requests that are left.
    pub(crate) fn take(&mut self, wanted: u64) -> u64 {
        if self.at.is_some_and(|at| Instant::now() >= at) {
            self.requests = 0;
        }
        let taken = wanted.min(self.requests);
        self.requests -= taken;
        taken
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Answers received, all of them good.
    pub requests: u64,
    /// Connections used.
    pub connections: u64,
    /// Bytes received, heads included.
    pub bytes: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(
            f,
            "{} requests over {} connections in {seconds:.2} s: {:.0} requests/s, {:.1} MB/s received",
            self.requests,
            self.connections,
            self.requests as f64 / seconds,
            self.bytes as f64 / seconds / 1e6,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_number_of_requests_is_handed_out_once() {
        let mut stop = Stop::after_requests(20);
        assert_eq!([stop.take(16), stop.take(16), stop.take(16)], [16, 4, 0]);
    }

    #[test]
    fn nothing_is_handed_out_after_the_time() {
        assert_eq!(Stop::after(Duration::ZERO).take(1), 0);
    }
}
