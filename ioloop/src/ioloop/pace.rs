use std::cell::Cell;

/// How long a loop with work in its queue goes on with that before it looks at descriptors, threads and timers again.
///
/// A look costs a system call and a reading of the clock, 130 ns together and as much as five wake-ups of a task. Where
/// one task wakes the next, a look after each would be most of the work. So a turn may leave it out, while
///
/// * no more than [`PIECES`] have run since the last one, beside what was in the queue when a turn began,
/// * no longer than [`PATIENCE`] has gone by, as far as the clock is asked: every [`GLANCE`] pieces, and more often as long
///   as pieces are found to take long,
/// * and nobody has given way to the others, by waking itself or adding a callback, as long computations do. Then the
///   clock is asked at once, and it is left out no more than once.
pub(super) struct Pace {
    limit: u32,
    /// How many pieces of work may still run before the next look.
    pieces: Cell<u32>,
    /// After how many pieces the clock is to be asked.
    glance: Cell<u32>,
    /// How many pieces lie between two questions: [`GLANCE`] or less.
    stride: Cell<u32>,
}

/// The usual limit. Other loops choose about as much: tokio looks after 61 tasks.
pub(super) const PIECES: u32 = 64;

/// In nanoseconds. A look each time is then half a percent of the work.
const PATIENCE: u64 = 50_000;

const GLANCE: u32 = 8;

impl Pace {
    /// At the beginning the loop has to look.
    pub(super) fn new(limit: u32) -> Pace {
        Pace { limit, pieces: Cell::new(0), glance: Cell::new(0), stride: Cell::new(GLANCE) }
    }

    /// The loop has looked.
    pub(super) fn begin(&self) {
        self.pieces.set(self.limit);
        self.glance.set(self.stride.get());
    }

    /// The loop has to look before it goes on.
    pub(super) fn end(&self) {
        self.pieces.set(0);
    }

    /// So many pieces of work have run.
    pub(super) fn count(&self, pieces: u32) {
        self.pieces.set(self.pieces.get().saturating_sub(pieces));
        self.glance.set(self.glance.get().saturating_sub(pieces));
    }

    /// Somebody has put off the rest of its work.
    pub(super) fn give_way(&self) {
        self.pieces.set(self.pieces.get().min(1));
        self.glance.set(0);
    }

    /// Whether the loop has to look before it goes on; `since` is how long it has not, in nanoseconds, asked when needed.
    pub(super) fn is_over(&self, since: impl FnOnce() -> u64) -> bool {
        if self.pieces.get() == 0 {
            return true;
        }
        if self.glance.get() > 0 {
            return false;
        }
        let (is_over, stride) = (since() > PATIENCE, self.stride.get());
        // What took long will do so again: halved each time, the stride is down to one piece after three looks.
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
        assert!(Pace::new(PIECES).is_over(in_no_time));
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
        let (pace, asked) = (Pace::new(PIECES), Cell::new(0));
        pace.begin();
        for _ in 0..PIECES {
            pace.is_over(|| {
                asked.set(asked.get() + 1);
                PATIENCE
            });
            pace.count(1);
        }
        assert_eq!(asked.get(), PIECES / GLANCE - 1, "not at the beginning");
    }

    #[test]
    fn clock_is_asked_more_often_as_long_as_pieces_take_long() {
        let pace = Pace::new(PIECES);
        let pieces_before_a_look = |each: u64| {
            pace.begin();
            (1..).find(|pieces| {
                pace.count(1);
                pace.is_over(|| each * pieces)
            })
        };
        assert_eq!([(); 5].map(|()| pieces_before_a_look(1_000_000)), [8, 4, 2, 1, 1].map(Some));
        // 64 pieces of this length are in time again.
        assert_eq!([(); 2].map(|()| pieces_before_a_look(100)), [64, 64].map(Some));
    }

    #[test]
    fn clock_is_asked_at_once_when_somebody_gives_way() {
        let pace = Pace::new(PIECES);
        pace.begin();
        assert!(!pace.is_over(|| unreachable!("nobody has given way")));
        pace.give_way();
        assert!(!pace.is_over(|| PATIENCE), "in time");
        pace.give_way();
        assert!(pace.is_over(|| PATIENCE + 1));
    }

    #[test]
    fn look_is_left_out_once_when_somebody_always_gives_way() {
        let pace = Pace::new(PIECES);
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
