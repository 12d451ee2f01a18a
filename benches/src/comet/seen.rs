//! What one client has seen.

/// The number that has to come next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    next: u64,
}

/// What an arrival means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A message that was not there before. So many in front of it have been left out.
    New { skipped: u64 },
    /// One that was there, or was left out and comes late.
    Again,
}

impl Seen {
    pub(super) fn see(&mut self, number: u64) -> Arrival {
        if number < self.next {
            return Arrival::Again;
        }
        let skipped = number - self.next;
        self.next = number + 1;
        Arrival::New { skipped }
    }

    /// How many of the first `count` messages have not come, beyond those that were skipped.
    pub(super) fn missing(self, count: u64) -> u64 {
        count.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_repetitions_and_the_end_are_told_apart() {
        let mut seen = Seen::default();
        assert_eq!(seen.missing(5), 5);
        assert_eq!(seen.see(0), Arrival::New { skipped: 0 });
        assert_eq!(seen.see(3), Arrival::New { skipped: 2 });
        assert_eq!(seen.see(3), Arrival::Again);
        assert_eq!(seen.see(1), Arrival::Again);
        assert_eq!(seen.missing(5), 1);
        assert_eq!(seen.missing(4), 0);
    }
}
