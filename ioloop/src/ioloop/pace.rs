use std::cell::Cell;

/// How long a loop with work in its queue goes on with that before it polls descriptors, threads and timers again.
///
/// A poll costs a system call and a reading of the clock, 130 ns together and as much as five wake-ups of a task. Where
/// one task wakes the next, a poll after each would be most of the work. So a turn may skip it, while
///
/// * no more than [`ITEMS`] have run since the last one, beside what was in the queue when a turn began,
/// * no longer than [`PATIENCE`] has passed. The clock is read every [`GLANCE`] items, and more often while items take
///   long,
/// * and nothing has yielded, by waking itself or adding a callback, as long computations do. Then the clock is read at
///   once, and at most one poll is skipped.
pub(super) struct Pace {
    limit: u32,
    /// How many items may still run before the next poll.
    items: Cell<u32>,
    /// After how many items the clock is to be read.
    glance: Cell<u32>,
    /// How many items lie between two readings: [`GLANCE`] or less.
    stride: Cell<u32>,
}

/// The usual limit. Other loops choose about as much: tokio polls after 61 tasks.
pub(super) const ITEMS: u32 = 64;

/// In nanoseconds. A poll each time is then half a percent of the work.
const PATIENCE: u64 = 50_000;

const GLANCE: u32 = 8;

impl Pace {
    /// A new loop polls first.
    pub(super) fn new(limit: u32) -> Pace {
        Pace { limit, items: Cell::new(0), glance: Cell::new(0), stride: Cell::new(GLANCE) }
    }

    /// The loop has polled.
    pub(super) fn begin(&self) {
        self.items.set(self.limit);
        self.glance.set(self.stride.get());
    }

    /// The loop has to poll before it goes on.
    pub(super) fn end(&self) {
        self.items.set(0);
    }

    /// So many items have run.
    pub(super) fn count(&self, items: u32) {
        self.items.set(self.items.get().saturating_sub(items));
        self.glance.set(self.glance.get().saturating_sub(items));
    }

    /// Something has yielded: it has put off the rest of its work.
    pub(super) fn give_way(&self) {
        // One more turn at most: what yields expects descriptors and timers to have their turn.
        self.items.set(self.items.get().min(1));
        // And none at all if the last poll is long ago, as the next `is_over` finds out.
        self.glance.set(0);
    }

    /// Whether the loop has to poll before it goes on. `since` returns how long ago the last poll was, in nanoseconds;
    /// it is called only when needed.
    pub(super) fn is_over(&self, since: impl FnOnce() -> u64) -> bool {
        // The count comes first: it bounds the queue without the clock, on which a test's time may stand still.
        if self.items.get() == 0 {
            return true;
        }
        // A reading costs as much as a wake-up, so most turns of a chain go without.
        if self.glance.get() > 0 {
            return false;
        }
        let (is_over, stride) = (since() > PATIENCE, self.stride.get());
        // What took long will do so again: halved each time, the stride is down to one item after three polls.
        let stride = if is_over { (stride / 2).max(1) } else { (stride * 2).min(GLANCE) };
        self.stride.set(stride);
        self.glance.set(stride);
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_no_time() -> u64 {
        0
    }

    #[test]
    fn loop_that_has_never_looked_has_to() {
        assert!(Pace::new(ITEMS).is_over(in_no_time));
    }

    #[test]
    fn work_that_takes_no_time_runs_up_to_the_limit() {
        let pace = Pace::new(20);
        pace.begin();
        for _ in 0..20 {
            assert!(!pace.is_over(in_no_time));
            pace.count(1);
        }
        assert!(pace.is_over(in_no_time));
        pace.begin();
        assert!(!pace.is_over(in_no_time));
        pace.count(u32::MAX);
        assert!(pace.is_over(in_no_time));
    }

    #[test]
    fn clock_is_asked_every_few_pieces() {
        let (pace, asked) = (Pace::new(ITEMS), Cell::new(0));
        pace.begin();
        for _ in 0..ITEMS {
            pace.is_over(|| {
                asked.set(asked.get() + 1);
                PATIENCE
            });
            pace.count(1);
        }
        assert_eq!(asked.get(), ITEMS / GLANCE - 1, "not at the beginning");
    }

    #[test]
    fn clock_is_asked_more_often_as_long_as_pieces_take_long() {
        let pace = Pace::new(ITEMS);
        let pieces_before_a_look = |each: u64| {
            pace.begin();
            (1..).find(|items| {
                pace.count(1);
                pace.is_over(|| each * items)
            })
        };
        assert_eq!([(); 5].map(|()| pieces_before_a_look(1_000_000)), [8, 4, 2, 1, 1].map(Some));
        // 64 items of this length are in time again.
        assert_eq!([(); 2].map(|()| pieces_before_a_look(100)), [64, 64].map(Some));
    }

    #[test]
    fn clock_is_asked_at_once_when_somebody_gives_way() {
        let pace = Pace::new(ITEMS);
        pace.begin();
        assert!(!pace.is_over(|| unreachable!("nobody has given way")));
        pace.give_way();
        assert!(!pace.is_over(|| PATIENCE), "in time");
        pace.give_way();
        assert!(pace.is_over(|| PATIENCE + 1));
    }

    #[test]
    fn look_is_left_out_once_when_somebody_always_gives_way() {
        let pace = Pace::new(ITEMS);
        for _ in 0..3 {
            pace.begin();
            pace.count(2);
            pace.give_way();
            assert!(!pace.is_over(in_no_time));
            pace.count(2);
            pace.give_way();
            assert!(pace.is_over(in_no_time));
        }
    }

    #[test]
    fn limit_of_one_is_a_look_before_every_turn() {
        let pace = Pace::new(1);
        pace.begin();
        pace.count(1);
        assert!(pace.is_over(in_no_time));
    }
}
