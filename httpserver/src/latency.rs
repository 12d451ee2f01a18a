use std::{cell::Cell, fmt, num::NonZeroU32, time::Duration};

/// How many answers took how long, in steps of powers of two. See [`ServerMetrics::latency`](crate::ServerMetrics::latency).
///
/// The first step is 16 µs; each of the following ends at twice the time of the one before. That is exact enough to tell 5 ms
/// from 20 ms, takes 256 bytes, and two of them are added by adding their counts.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct LatencyHistogram {
    counts: [u64; STEPS],
}

/// The last step has everything above 2.4 hours.
const STEPS: usize = 32;
/// The time of the first step: 2^14 ns, so that a division is a shift.
const UNIT_BITS: u32 = 14;

impl LatencyHistogram {
    /// The steps from the shortest on: the time below which its answers were, and how many those are. The last step has no
    /// bound, and [`Duration::MAX`] here.
    #[inline]
    pub fn steps(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.counts.iter().enumerate().map(|(step, &count)| (bound(step), count))
    }

    /// How many answers there are.
    #[inline]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time within which the given part of the answers was made, rounded up to the end of a step: `quantile(0.99)` is the
    /// time that 1 of 100 exceeds. Zero without answers.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use httpserver::LatencyHistogram;
    ///
    /// assert_eq!(LatencyHistogram::default().quantile(0.5), Duration::ZERO);
    /// ```
    #[inline]
    pub fn quantile(&self, part: f64) -> Duration {
        let count = self.count();
        // At least one answer, if there are any: the shortest one is a quantile, too.
        let wanted = ((count as f64 * part.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        for (bound, count) in self.steps() {
            seen += count;
            if seen >= wanted {
                return bound;
            }
        }
        Duration::ZERO
    }

    /// What was counted since `earlier`, a snapshot of the same server.
    #[inline]
    pub fn since(&self, earlier: &LatencyHistogram) -> LatencyHistogram {
        let mut counts = self.counts;
        counts.iter_mut().zip(earlier.counts).for_each(|(count, before)| *count = count.wrapping_sub(before));
        LatencyHistogram { counts }
    }
}

impl fmt::Debug for LatencyHistogram {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.steps().filter(|(_, count)| *count > 0)).finish()
    }
}

/// Where a server counts. Answers that were made at once are not in it: they are all that the others are not.
#[derive(Default)]
pub(crate) struct Waited([Cell<u64>; STEPS]);

impl Waited {
    /// Counts an answer that took so many units.
    #[inline]
    pub(crate) fn add(&self, units: u32) {
        let step = (u32::BITS - units.leading_zeros()) as usize;
        // 32 bits have 33 lengths.
        let count = &self.0[step.min(STEPS - 1)];
        count.set(count.get().wrapping_add(1));
    }

    /// With the rest of `all` answers in the first step.
    #[inline]
    pub(crate) fn snapshot(&self, all: u64) -> LatencyHistogram {
        let mut counts: [u64; STEPS] = std::array::from_fn(|step| self.0[step].get());
        let waited: u64 = counts.iter().sum();
        counts[0] += all.saturating_sub(waited);
        LatencyHistogram { counts }
    }
}

/// When somebody has begun to wait, in 32 bits, because every connection has room for one.
///
/// Of the nanoseconds that the loop counts, and not of an `Instant`: the difference of two of those takes as long as encoding
/// the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(
    /// One unit later, so that the first is not 0.
    NonZeroU32,
);

impl Stamp {
    /// This moment, by the loop's count.
    #[inline]
    pub(crate) fn at(nanos: u64) -> Stamp {
        // Every 19.5 hours a unit early: a moment that lay behind the one it is compared with would be a wait of hours.
        Stamp(NonZeroU32::new(units(nanos).wrapping_add(1)).unwrap_or(NonZeroU32::MAX))
    }

    /// How long ago it was at a later moment of the same loop.
    #[inline]
    pub(crate) fn units_until(self, nanos: u64) -> u32 {
        units(nanos).wrapping_sub(self.0.get() - 1)
    }
}

/// A time in units, around after 19.5 hours.
#[inline]
fn units(nanos: u64) -> u32 {
    (nanos >> UNIT_BITS) as u32
}

#[inline]
fn bound(step: usize) -> Duration {
    match step {
        _ if step + 1 < STEPS => Duration::from_nanos(1 << (UNIT_BITS as usize + step)),
        _ => Duration::MAX,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn histogram(times: &[Duration]) -> LatencyHistogram {
        let waited = Waited::default();
        times.iter().for_each(|&time| waited.add(Stamp::at(0).units_until(time.as_nanos() as u64)));
        waited.snapshot(times.len() as u64)
    }

    #[test]
    fn answers_that_did_not_wait_are_in_the_first_step() {
        let waited = Waited::default();
        waited.add(Stamp::at(0).units_until(5_000_000));
        let histogram = waited.snapshot(100);
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.steps().next().unwrap().1, 99);
        assert_eq!(histogram.quantile(0.99), Duration::from_nanos(1 << 14));
        assert_eq!(histogram.quantile(1.0), Duration::from_nanos(1 << 23));
    }

    #[test]
    fn a_difference_is_what_came_in_between() {
        let waited = Waited::default();
        waited.add(10);
        let before = waited.snapshot(5);
        waited.add(1000);
        let between = waited.snapshot(7).since(&before);
        assert_eq!((between.count(), between.steps().next().unwrap().1), (2, 1));
    }

    #[test]
    fn no_wait_is_shorter_than_none() {
        let unit = 1 << UNIT_BITS;
        for began in [0, 1, unit - 1, unit, u64::from(u32::MAX) * unit - 1, u64::from(u32::MAX) * unit, unit << 32] {
            let stamp = Stamp::at(began);
            assert!(stamp.units_until(began) <= 1, "{began}");
            assert!((9..=11).contains(&stamp.units_until(began + 10 * unit)), "{began}");
        }
    }

    proptest! {
        #[test]
        fn a_quantile_is_the_end_of_the_step_of_the_answer_at_that_place(
            millis in vec(0u64..10_000_000, 1..50),
            part in 0.0f64..1.0,
        ) {
            let mut times: Vec<Duration> = millis.into_iter().map(Duration::from_millis).collect();
            let quantile = histogram(&times).quantile(part);
            times.sort();
            let place = ((times.len() as f64 * part).ceil() as usize).max(1) - 1;
            prop_assert!(times[place] < quantile);
            // No step ends later than at twice the times in it, but for the first and the last.
            prop_assert!(quantile <= Duration::from_nanos(1 << 14) || quantile == Duration::MAX || quantile <= times[place] * 2 + Duration::from_nanos(1 << 15));
        }
    }
}
