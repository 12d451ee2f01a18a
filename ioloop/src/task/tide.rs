use std::mem;

/// Tells when a burst of tasks begins, ebbs and is over, so that its memory is given back.
///
/// It ebbs each time that an eighth is left of those who came on top, and is over when as few are left as there have
/// been before. So however many tasks end, it tells a handful of times. Some may stay, so that it is never over: behind an
/// ebb it tells too that there have never been so few, for somebody to [look](Tide::look) a while later.
#[derive(Debug, Default)]
pub(crate) struct Tide {
    /// The fewest that others have left behind: what stays of a program when nobody asks anything of it.
    low: Option<usize>,
    /// The most, since it last ebbed.
    high: usize,
    /// It has told of a burst that is not over.
    in_burst: bool,
    /// The fewest since it first ebbed. Nothing when it is over.
    trough: usize,
    look: Look,
}

/// Whether somebody is to look how many are left.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Look {
    #[default]
    No,
    Wanted,
    /// It has been asked for.
    Coming,
}

/// What there is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Begins,
    Ebbs,
    IsOver,
    /// There have never been so few since it ebbed.
    Trickles,
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
            if mem::take(&mut self.in_burst) {
                (self.trough, self.look) = (0, Look::No);
                return Some(Turn::IsOver);
            }
        } else if self.in_burst && count - low <= (self.high - low) / 8 {
            (self.high, self.trough) = (count, count);
            return Some(Turn::Ebbs);
        }
        if count < self.trough { self.trickle(count) } else { None }
    }

    #[cold]
    fn trickle(&mut self, count: usize) -> Option<Turn> {
        self.trough = count;
        if self.look != Look::No {
            return None;
        }
        self.look = Look::Wanted;
        Some(Turn::Trickles)
    }

    /// Whether somebody is to look a while later, which this takes as a promise to do.
    pub(super) fn wants_look(&mut self) -> bool {
        let is_wanted = self.look == Look::Wanted;
        if is_wanted {
            self.look = Look::Coming;
        }
        is_wanted
    }

    /// It is a while later, and there are `count` tasks.
    pub(super) fn look(&mut self, count: usize) -> Option<Turn> {
        if mem::take(&mut self.look) == Look::No {
            return None;
        }
        self.high = count;
        // What has come to stay is no part of a burst.
        if count.saturating_sub(self.low.unwrap_or(0)) <= FEW {
            self.in_burst = false;
            return Some(Turn::IsOver);
        }
        Some(Turn::Ebbs)
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
            (1249, Turn::Trickles),
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
        let expected = [
            (69, Turn::Begins),
            (129, Turn::Ebbs),
            (128, Turn::Trickles),
            (19, Turn::Ebbs),
            (5, Turn::Ebbs),
            (4, Turn::IsOver),
        ];
        assert_eq!(told(&mut tide, 4, 1004), expected);
        assert_eq!((tide.wants_look(), tide.look(4)), (false, None), "it is over");
    }

    #[test]
    fn those_who_come_with_it_and_stay_are_looked_after() {
        let mut tide = Tide::default();
        for _ in 0..2 {
            assert_eq!(told(&mut tide, 0, 1000)[..2], [(65, Turn::Begins), (125, Turn::Ebbs)]);
            assert_eq!(tide.fall(0), None);
            assert_eq!((1..1000).filter_map(|count| tide.rise(count)).collect::<Vec<_>>(), [Turn::Begins]);
            let told: Vec<_> = (3..1000).rev().filter_map(|count| tide.fall(count)).collect();
            assert_eq!(told, [Turn::Ebbs, Turn::Trickles, Turn::Ebbs]);
            assert_eq!([tide.wants_look(), tide.wants_look()], [true, false]);
            assert_eq!([tide.look(3), tide.look(3)], [Some(Turn::IsOver), None]);
            // Whoever goes later has come with the burst too.
            assert_eq!(
                [tide.rise(4), tide.fall(3), tide.fall(2), tide.fall(1)],
                [None, None, Some(Turn::Trickles), None]
            );
            assert_eq!((tide.wants_look(), tide.look(1)), (true, Some(Turn::IsOver)));
            tide = Tide { low: tide.low, ..Tide::default() };
        }
    }

    #[test]
    fn many_who_stay_do_not_end_it() {
        let mut tide = Tide::default();
        assert_eq!((1..1000).filter_map(|count| tide.rise(count)).collect::<Vec<_>>(), [Turn::Begins]);
        let told: Vec<_> = (100..1000).rev().filter_map(|count| tide.fall(count)).collect();
        assert_eq!(told, [Turn::Ebbs, Turn::Trickles]);
        assert_eq!((tide.wants_look(), tide.look(100)), (true, Some(Turn::Ebbs)));
        assert_eq!([tide.rise(101), tide.fall(100)], [None, None], "as few as before");
    }

    #[test]
    fn a_few_that_come_and_go_are_no_burst() {
        let mut tide = Tide::default();
        for _ in 0..10 {
            assert_eq!(told(&mut tide, 0, FEW), []);
        }
    }
}
