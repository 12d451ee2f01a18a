//! Lines of the formats that other programs read.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use httpserver::{Version, httputil::format_timestamp, iostream::ioloop::Printable};

use super::{AccessLogFormat, Ended, Summary};
use crate::security::request_id;

/// What writes a line. Chosen where a format is set, so that a program that sets none is built without the others.
pub(crate) type Writer = fn(&Ended<'_>, &mut fmt::Formatter<'_>) -> fmt::Result;

impl AccessLogFormat {
    #[inline]
    pub(super) fn writer(self) -> Writer {
        match self {
            AccessLogFormat::Tornado => |ended, f| ended.write_tornado(f),
            AccessLogFormat::Combined => |ended, f| ended.write_combined(f),
            AccessLogFormat::Json => |ended, f| ended.write_json(f),
        }
    }
}

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.writer)(self, f)
    }
}

impl Ended<'_> {
    pub(super) fn write_tornado(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.duration.as_secs_f64() * 1000.0;
        write!(f, "{} {} {milliseconds:.2}ms", self.status.as_u16(), Summary(self.exchange.request()))
    }

    #[inline]
    fn write_combined(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.exchange.request();
        match request.remote_ip() {
            Some(ip) => write!(f, "{ip}")?,
            None => f.write_str("-")?,
        }
        let Date { day, month, year, time } = &Date::now();
        let (method, target, version) = (request.method().as_str(), request.target(), version(request.version()));
        write!(f, " - - [{day}/{month}/{year}:{time} +0000] \"{} ", Quoted(method.as_bytes()))?;
        write!(f, "{} {version}\" {} ", Quoted(target.as_bytes()), self.status.as_u16())?;
        match self.length {
            Some(length) => write!(f, "{length}")?,
            None => f.write_str("-")?,
        }
        for name in ["referer", "user-agent"] {
            let value = request.headers().get_bytes(name).filter(|value| !value.is_empty());
            write!(f, " \"{}\"", Quoted(value.unwrap_or(b"-")))?;
        }
        Ok(())
    }

    #[inline]
    fn write_json(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.exchange.request();
        let date = &Date::now();
        let (Date { day, year, time, .. }, month) = (date, date.month_number());
        write!(f, "{{\"time\":\"{year}-{month:02}-{day}T{time}Z\",\"status\":{}", self.status.as_u16())?;
        let mut member = |name: &str, value: &[u8]| write!(f, ",\"{name}\":\"{}\"", Json(value));
        member("method", request.method().as_str().as_bytes())?;
        member("target", request.target().as_bytes())?;
        member("version", version(request.version()).as_bytes())?;
        if let Some(ip) = request.remote_ip() {
            member("remote_ip", ip.to_string().as_bytes())?;
        }
        if let Some(host) = request.host() {
            member("host", host.as_bytes())?;
        }
        if let Some(pattern) = self.exchange.pattern() {
            member("route", pattern.as_bytes())?;
        }
        for (name, header) in [("referer", "referer"), ("user_agent", "user-agent")] {
            if let Some(value) = request.headers().get_bytes(header) {
                member(name, value)?;
            }
        }
        if let Some(id) = request_id(request) {
            member("request_id", id.as_bytes())?;
        }
        if let Some(trace) = self.exchange.known_trace() {
            member("trace_id", trace.trace_id().as_bytes())?;
            member("span_id", trace.span_id().as_bytes())?;
        }
        if let Some(length) = self.length {
            write!(f, ",\"bytes\":{length}")?;
        }
        write!(f, ",\"duration_ms\":{:.3}}}", self.duration.as_secs_f64() * 1000.0)
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The parts of a time in UTC.
struct Date {
    day: String,
    month: String,
    year: String,
    time: String,
}

impl Date {
    #[inline]
    fn now() -> Date {
        Date::of(SystemTime::now().max(UNIX_EPOCH))
    }

    #[inline]
    fn of(time: SystemTime) -> Date {
        // `Sun, 06 Nov 1994 08:49:37 GMT`, whose length never changes.
        let text = format_timestamp(time);
        let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
        Date { day: part(5..7), month: part(8..11), year: part(12..16), time: part(17..25) }
    }

    /// From 1 to 12.
    fn month_number(&self) -> usize {
        MONTHS.iter().position(|known| *known == self.month).map_or(0, |at| at + 1)
    }
}

#[inline]
fn version(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

/// Text between quotes.
struct Quoted<'t>(&'t [u8]);

impl fmt::Display for Quoted<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(|byte| matches!(byte, b'"' | b'\\')) {
            match piece {
                [text @ .., last @ (b'"' | b'\\')] => {
                    write!(f, "{}\\{}", Printable::bytes(text), char::from(*last))?;
                }
                text => write!(f, "{}", Printable::bytes(text))?,
            }
        }
        Ok(())
    }
}

/// The inside of a string in JSON, in ASCII: nothing that a terminal or a page could take for more than text.
struct Json<'t>(&'t [u8]);

impl fmt::Display for Json<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.utf8_chunks().flat_map(|chunk| {
            let replaced = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
            chunk.valid().chars().chain(replaced)
        }) {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                ' '..='~' => write!(f, "{c}")?,
                // In two halves beyond the first plane (RFC 8259, section 7).
                _ => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_cut_from_that_of_http() {
        let Date { day, month, year, time } = Date::of(UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!([day, month, year, time], ["06", "Nov", "1994", "08:49:37"]);
    }

    #[test]
    fn months_are_counted_from_one() {
        // The middle of each month of 1970.
        let numbers = (0..12)
            .map(|month| Date::of(UNIX_EPOCH + Duration::from_secs(month * 2_629_746 + 1_296_000)).month_number());
        assert_eq!(numbers.collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    }

    #[test]
    fn quotes_do_not_end_a_field() {
        assert_eq!(Quoted(b"a\" 200 \"b\\\n\xff").to_string(), r#"a\" 200 \"b\\\n\xff"#);
        assert_eq!(Json("a\"\\\n\u{202e}\u{1f600}".as_bytes()).to_string(), r#"a\"\\\u000a\u202e\ud83d\ude00"#);
        assert_eq!(Json(b"caf\xe9").to_string(), r"caf\ufffd");
    }

    proptest! {
        #[test]
        fn json_of_any_bytes_is_read_as_the_same_text(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let json = format!("\"{}\"", Json(&bytes));
            prop_assert!(json.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let read: String = serde_json::from_str(&json).expect("JSON");
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_quoted_field_has_no_bare_quote_and_no_control(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let quoted = Quoted(&bytes).to_string();
            prop_assert!(!quoted.chars().any(char::is_control));
            let mut rest = quoted.chars();
            while let Some(c) = rest.next() {
                prop_assert_ne!(c, '"');
                if c == '\\' {
                    rest.next();
                }
            }
        }
    }
}
