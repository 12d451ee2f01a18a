//! One line for each request, in one of several [formats](AccessLogFormat).

mod format;
mod line;

use std::{fmt, time::Duration};

use httpserver::{Method, Request, Response, StatusCode, iostream::ioloop::Printable};
use log::Level;

pub use self::format::AccessLogFormat;
pub(crate) use self::line::Writer;
use crate::{error::client_closed_request, exchange::Exchange, security::InLog};

/// The target of the lines, for the logger's filter.
pub(crate) const TARGET: &str = "web::access";

/// Logs a request that has been answered: at level info below 400, warn below 500, error from there.
///
/// The clock is read and the line is made only if the logger wants it. Switched off, this costs a comparison.
#[inline]
pub(crate) fn record(exchange: &Exchange, status: StatusCode, response: Option<&Response>, writer: Option<Writer>) {
    let level = level_of(status);
    if log::log_enabled!(target: TARGET, level) {
        write(level, exchange, status, response, writer);
    }
}

#[cold]
fn write(level: Level, exchange: &Exchange, status: StatusCode, response: Option<&Response>, writer: Option<Writer>) {
    let writer = writer.unwrap_or(|ended, f| ended.write_tornado(f));
    let duration = exchange.request().received_at().elapsed();
    let has_no_body = *exchange.method() == Method::HEAD || matches!(status.as_u16(), 204 | 304);
    let length = match response {
        _ if has_no_body => Some(0),
        // What is sent instead of a mistake has another body.
        Some(response) if response.status() == status => response.content_length().or(response.body().content_length()),
        _ => None,
    };
    log::log!(target: TARGET, level, "{}", Ended { exchange, status, duration, length, writer });
}

fn level_of(status: StatusCode) -> Level {
    match status.as_u16() {
        // Nobody's fault: long polls end like this all the time.
        _ if status == client_closed_request() => Level::Info,
        ..400 => Level::Info,
        400..500 => Level::Warn,
        _ => Level::Error,
    }
}

/// A request that has been answered, as a line.
pub(crate) struct Ended<'e> {
    exchange: &'e Exchange,
    status: StatusCode,
    duration: Duration,
    /// Of the body, as far as it is known.
    length: Option<u64>,
    writer: Writer,
}

/// A request in a log line: `GET /path?query (127.0.0.1)`, with its id behind if it has one.
pub(crate) struct Summary<'r>(pub(crate) &'r Request);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary(request) = self;
        write!(f, "{} {} (", request.method(), Printable::text(request.target()))?;
        match request.remote_ip() {
            Some(ip) => fmt::Display::fmt(&ip, f)?,
            // A stream without an IP address, such as a Unix socket.
            None => f.write_str("-")?,
        }
        f.write_str(")")?;
        InLog(request).fmt(f)
    }
}
