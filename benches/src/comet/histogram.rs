//! Latencies of millions of messages in a few KiB.

use serde::{Deserialize, Serialize};

/// Counts of values by size. Each bucket is at most a sixteenth wider than its smallest value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    counts: Vec<u64>,
    max: u64,
}

/// Buckets per power of two.
const STEPS: u32 = 16;

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        let bucket = bucket(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.max = self.max.max(value);
    }

    /// Adds all that another one has counted.
    pub fn merge(&mut self, other: &Histogram) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.max = self.max.max(other.max);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The largest value, exactly.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that so many of a hundred do not exceed, rounded up to the end of its bucket. 0 without any.
    pub fn percentile(&self, percent: f64) -> u64 {
        let wanted = (self.count() as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut count = 0;
        for (bucket, &more) in self.counts.iter().enumerate() {
            count += more;
            if count >= wanted {
                return end(bucket).min(self.max);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    let exponent = value.max(1).ilog2();
    let step = match exponent {
        0..4 => return value as usize,
        _ => (value >> (exponent - 4)) as u32 - STEPS,
    };
    ((exponent - 3) * STEPS + step) as usize
}

/// The largest value of a bucket.
fn end(bucket: usize) -> u64 {
    let (row, step) = (bucket as u32 / STEPS, bucket as u64 % u64::from(STEPS));
    match row {
        0 => bucket as u64,
        _ => ((u64::from(STEPS) + step + 1) << (row - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_ends_soon_behind_it() {
        let values =
            (0..5_000).chain((12..50).flat_map(|exponent| [(1 << exponent) - 1, 1 << exponent, 3 << exponent]));
        for value in values {
            let end = end(bucket(value));
            assert!(end >= value && end - value <= value / 16, "{value} {end}");
            assert!(bucket(end) == bucket(value) && bucket(end + 1) == bucket(value) + 1, "{value}");
        }
    }

    #[test]
    fn percentiles_of_two_histograms_together() {
        let (mut low, mut high) = (Histogram::default(), Histogram::default());
        assert_eq!(low.percentile(50.0), 0);
        for value in 1..=90 {
            low.record(value);
        }
        for _ in 0..10 {
            high.record(100_000);
        }
        low.merge(&high);
        assert_eq!(low.count(), 100);
        assert_eq!((low.percentile(10.0), low.percentile(91.0), low.max()), (10, 100_000, 100_000));
        assert!((50..=53).contains(&low.percentile(50.0)));
    }
}
