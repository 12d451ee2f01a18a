use std::mem;

/// Tells when a burst of tasks begins, ebbs and is over, so that its memory is given back.
///
/// It ebbs each time that an eighth is left of those who came on top, and is over when as few are left as there have
/// been before. So however many tasks end, it tells a handful of times.
#[derive(Debug, Default)]
pub(crate) struct Tide {
    /// The fewest that others have left behind: what stays of a program when nobody asks anything of it.
    low: Option<usize>,
    /// The most, since it last ebbed.
    high: usize,
    /// It has told of a burst that is not over.
    in_burst: bool,
}

/// What there is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Begins,
    Ebbs,
    IsOver,
}

/// A burst of so few is none.
const FEW: usize = 64;

impl Tide {
    /// There are `count` tasks, one more than before.
    #[inline]
    pub(super) fn rise(&mut self, count: usize) -> Option<Turn> {
        self.high = self.high.max(count);
        if self.in_burst || count.saturating_sub(self.low.unwrap_or(0)) <= FEW {
            return None;
        }
        // Of a program in which none has ended before it is not known what stays.
        self.low = Some(self.low.unwrap_or(0));
        self.in_burst = true;
        Some(Turn::Begins)
    }

    /// There are `count` tasks, one less than before.
    #[inline]
    pub(super) fn fall(&mut self, count: usize) -> Option<Turn> {
        let low = self.low.unwrap_or(count);
        if count <= low {
            (self.low, self.high) = (Some(count), count);
            return mem::take(&mut self.in_burst).then_some(Turn::IsOver);
        }
        if self.in_burst && count - low <= (self.high - low) / 8 {
            self.high = count;
            return Some(Turn::Ebbs);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tide: &mut Tide, from: usize, to: usize) -> Vec<(usize, Turn)> {
        let rises: Vec<_> = (from + 1..=to).filter_map(|count| tide.rise(count).map(|turn| (count, turn))).collect();
        let falls = (from..to).rev().filter_map(|count| tide.fall(count).map(|turn| (count, turn)));
        rises.into_iter().chain(falls).collect()
    }

    #[test]
    fn a_burst_is_told_of_as_it_begins_as_it_falls_and_at_its_end() {
        let mut tide = Tide::default();
        let expected = [
            (65, Turn::Begins),
            (1250, Turn::Ebbs),
            (156, Turn::Ebbs),
            (19, Turn::Ebbs),
            (2, Turn::Ebbs),
            (0, Turn::IsOver),
        ];
        for _ in 0..2 {
            assert_eq!(told(&mut tide, 0, 10_000), expected);
        }
    }

    #[test]
    fn tasks_that_stay_are_no_part_of_it() {
        let mut tide = Tide::default();
        (1..=5).for_each(|count| assert_eq!(tide.rise(count), None));
        // One has ended, and four stay.
        assert_eq!(tide.fall(4), None);
        let expected = [(69, Turn::Begins), (129, Turn::Ebbs), (19, Turn::Ebbs), (5, Turn::Ebbs), (4, Turn::IsOver)];
        assert_eq!(told(&mut tide, 4, 1004), expected);
    }

    #[test]
    fn a_few_that_come_and_go_are_no_burst() {
        let mut tide = Tide::default();
        for _ in 0..10 {
            assert_eq!(told(&mut tide, 0, FEW), []);
        }
    }
}
