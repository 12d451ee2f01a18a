//! Days, hours and minutes of a time.

/// A time as a calendar and a clock show it, without regard to any zone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: usize,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    /// From 0, which is Monday.
    pub(super) weekday: usize,
}

impl Civil {
    /// Of so many seconds since 1970, in the calendar of today for all times (Howard Hinnant, "chrono-compatible low-level
    /// date algorithms").
    #[inline]
    pub(super) fn of(seconds: i64) -> Civil {
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // From the first of March of the year 0, so that a leap day is the last one of its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let (day, month) = (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: usize::try_from(month).unwrap_or(1),
            day,
            hour: second / 3_600,
            minute: second % 3_600 / 60,
            // The first of January 1970 was a Thursday.
            weekday: usize::try_from((days + 3).rem_euclid(7)).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_right_at_its_edges() {
        for (seconds, (year, month, day, hour, minute, weekday)) in [
            (0, (1970, 1, 1, 0, 0, 3)),
            (-1, (1969, 12, 31, 23, 59, 2)),
            (951_782_399, (2000, 2, 28, 23, 59, 0)),
            (951_782_400, (2000, 2, 29, 0, 0, 1)),
            (951_868_800, (2000, 3, 1, 0, 0, 2)),
            (4_107_542_400, (2100, 3, 1, 0, 0, 0)),
            (1_700_000_000, (2023, 11, 14, 22, 13, 1)),
            (-62_135_596_800, (1, 1, 1, 0, 0, 0)),
        ] {
            assert_eq!(Civil::of(seconds), Civil { year, month, day, hour, minute, weekday }, "{seconds}");
        }
    }
}
