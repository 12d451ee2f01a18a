use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Without an event for this long, a burst is over.
const QUIET: Duration = Duration::from_secs(10);

/// A burst that does not end is logged again this often.
const REMINDER: Duration = Duration::from_secs(60);

/// Lets one of many equal events through to the log. At a limit, one of them may come with every connection.
#[derive(Debug, Default)]
pub struct Burst {
    latest: Cell<Option<Instant>>,
    logged: Cell<Option<Instant>>,
    /// Events since the last one that was logged.
    silent: Cell<u64>,
}

impl Burst {
    /// Notes an event. Returns how many were not logged before it when it is to be logged, and `None` when not.
    pub fn note(&self, now: Instant) -> Option<u64> {
        let passed = |since: &Cell<Option<Instant>>, limit| {
            since.get().is_none_or(|since| now.saturating_duration_since(since) >= limit)
        };
        let is_due = passed(&self.latest, QUIET) || passed(&self.logged, REMINDER);
        self.latest.set(Some(now));
        if is_due {
            self.logged.set(Some(now));
            return Some(self.silent.take());
        }
        self.silent.set(self.silent.get() + 1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_logged_at_its_beginning_and_once_a_minute() {
        let burst = Burst::default();
        let start = Instant::now();
        let at = |seconds| burst.note(start + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!((1..60).filter_map(at).count(), 0);
        assert_eq!(at(60), Some(59));
        assert_eq!(at(69), None);
        // The next one after a rest is another burst.
        assert_eq!(at(79), Some(1));
    }
}
