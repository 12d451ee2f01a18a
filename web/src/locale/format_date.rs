//! Dates as people read them.

use std::{
    fmt::Display,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Locale, date::Civil, fill};

/// How [`Locale::format_date`] writes a date. Tornado's options.
#[derive(Clone, Copy, Debug)]
#[must_use = "a format does nothing by itself"]
pub struct DateFormat {
    utc_offset: i64,
    relative: bool,
    short: bool,
    full: bool,
    now: Option<SystemTime>,
}

impl Default for DateFormat {
    #[inline]
    fn default() -> DateFormat {
        DateFormat { utc_offset: 0, relative: true, short: false, full: false, now: None }
    }
}

impl DateFormat {
    /// `2 minutes ago`, `yesterday at 14:05`, `Monday at 14:05`, `July 10 at 14:05`; in UTC.
    #[inline]
    pub fn new() -> DateFormat {
        DateFormat::default()
    }

    /// The zone of the reader, in minutes *east* of UTC: 120 is `+02:00`. 0 by default. Tornado's `gmt_offset` is this with the
    /// other sign, as JavaScript's `getTimezoneOffset` is.
    #[inline]
    pub fn utc_offset(mut self, minutes: i32) -> DateFormat {
        self.utc_offset = i64::from(minutes);
        self
    }

    /// Whether a time of the last day is `2 minutes ago`. True by default.
    #[inline]
    pub fn relative(mut self, on: bool) -> DateFormat {
        self.relative = on;
        self
    }

    /// Whether the time of the day is left out: `yesterday`, `July 10`. False by default. Tornado's `shorter`.
    #[inline]
    pub fn short(mut self, on: bool) -> DateFormat {
        self.short = on;
        self
    }

    /// Whether the date is always written with its year: `July 10, 1980 at 14:05`. False by default, and true of dates that
    /// are still to come. Tornado's `full_format`.
    #[inline]
    pub fn full(mut self, on: bool) -> DateFormat {
        self.full = on;
        self
    }

    /// What the date is compared with. The time of the call by default.
    #[inline]
    pub fn now(mut self, now: SystemTime) -> DateFormat {
        self.now = Some(now);
        self
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Locale {
    /// A date for reading. Its words and patterns are translated by the catalogue, under Tornado's texts: `%(minutes)d minutes
    /// ago`, `yesterday at %(time)s`, `%(month_name)s %(day)s, %(year)s`, `January`. English has `2:05 pm`, Chinese of `zh_CN`
    /// its words for it, and everybody else `14:05`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, SystemTime, UNIX_EPOCH};
    /// use web::locale::{DateFormat, Locales};
    ///
    /// let locale = Locales::new("en").closest(["en"]);
    /// let moment = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    /// let format = DateFormat::new().now(moment + Duration::from_secs(150));
    /// assert_eq!(locale.format_date(moment, format), "2 minutes ago");
    /// assert_eq!(locale.format_date(moment, format.full(true)), "November 14, 2023 at 10:13 pm");
    /// ```
    #[inline]
    pub fn format_date(&self, date: SystemTime, format: DateFormat) -> String {
        let now = seconds(format.now.unwrap_or_else(SystemTime::now));
        let mut date = seconds(date);
        let mut full = format.full;
        if date > now {
            // The clocks of two machines differ a little.
            if format.relative && date - now < 60 { date = now } else { full = true }
        }
        let age = now - date;
        let days = age / 86_400;
        if !full && format.relative && days == 0 {
            return self.format_age(age);
        }
        let local = Civil::of(date + format.utc_offset * 60);
        let yesterday = Civil::of(now + format.utc_offset * 60 - 86_400);
        // Of each pattern the short form first.
        let [short, long] = match () {
            () if full || days >= 334 => {
                ["%(month_name)s %(day)s, %(year)s", "%(month_name)s %(day)s, %(year)s at %(time)s"]
            }
            () if days == 0 => ["%(time)s", "%(time)s"],
            () if days == 1 && local.day == yesterday.day && format.relative => ["yesterday", "yesterday at %(time)s"],
            () if days < 5 => ["%(weekday)s", "%(weekday)s at %(time)s"],
            () => ["%(month_name)s %(day)s", "%(month_name)s %(day)s at %(time)s"],
        };
        self.fill_date(if format.short { short } else { long }, &local)
    }

    /// The day of a date: `Monday, January 22`, or without `weekday` `January 22`. The format's zone counts.
    #[inline]
    pub fn format_day(&self, date: SystemTime, format: DateFormat, weekday: bool) -> String {
        let pattern = if weekday { "%(weekday)s, %(month_name)s %(day)s" } else { "%(month_name)s %(day)s" };
        self.fill_date(pattern, &Civil::of(seconds(date) + format.utc_offset * 60))
    }

    #[inline]
    fn format_age(&self, seconds: i64) -> String {
        let units = [
            (50, 1, "1 second ago", "%(seconds)d seconds ago", "seconds"),
            (50 * 60, 60, "1 minute ago", "%(minutes)d minutes ago", "minutes"),
            (i64::MAX, 3_600, "1 hour ago", "%(hours)d hours ago", "hours"),
        ];
        for (end, unit, singular, plural, name) in units {
            if seconds < end {
                // As Python rounds: half of one goes to the even number.
                let count = (seconds as f64 / unit as f64).round_ties_even() as u64;
                return fill(self.translate_plural(singular, plural, count), &[(name, &count)]);
            }
        }
        String::new()
    }

    #[inline]
    fn fill_date(&self, pattern: &str, date: &Civil) -> String {
        let values: &[(&str, &dyn Display)] = &[
            ("month_name", &self.translate(MONTHS[date.month - 1])),
            ("weekday", &self.translate(WEEKDAYS[date.weekday])),
            ("day", &date.day),
            ("year", &date.year),
            ("time", &self.format_time(date)),
        ];
        fill(self.translate(pattern), values)
    }

    #[inline]
    fn format_time(&self, date: &Civil) -> String {
        let Civil { hour, minute, .. } = date;
        let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        match self.code() {
            "en" | "en_US" => format!("{twelve}:{minute:02} {}", if *hour < 12 { "am" } else { "pm" }),
            "zh_CN" => {
                format!("{}{twelve}:{minute:02}", if *hour < 12 { "\u{4e0a}\u{5348}" } else { "\u{4e0b}\u{5348}" })
            }
            _ => format!("{hour}:{minute:02}"),
        }
    }
}

/// Since 1970, rounded down.
#[inline]
fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(LATEST).min(LATEST),
        Err(error) => {
            let before = error.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(LATEST).min(LATEST);
            -whole - i64::from(before.subsec_nanos() > 0)
        }
    }
}

/// Far beyond all dates of people, and far from the end of what the sums here can hold.
const LATEST: i64 = 1 << 40;
