//! One line for each request, in Tornado's format: `200 GET /path (127.0.0.1) 2.55ms`.

use std::fmt;

use httpserver::{Request, StatusCode, iostream::ioloop::Printable};
use log::Level;

use crate::{error::client_closed_request, security::InLog};

/// The target of the lines, for the logger's filter.
pub(crate) const TARGET: &str = "web::access";

/// Logs a request that has been answered: at level info below 400, warn below 500, error from there.
///
/// The clock is read and the line is made only if the logger wants it. Switched off, this costs a comparison.
#[inline]
pub(crate) fn record(request: &Request, status: StatusCode) {
    let level = level_of(status);
    if log::log_enabled!(target: TARGET, level) {
        write(level, request, status);
    }
}

#[cold]
fn write(level: Level, request: &Request, status: StatusCode) {
    let milliseconds = request.received_at().elapsed().as_secs_f64() * 1000.0;
    log::log!(
        target: TARGET,
        level,
        "{} {} {milliseconds:.2}ms",
        status.as_u16(),
        Summary(request),
    );
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
