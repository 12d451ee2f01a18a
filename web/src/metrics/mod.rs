//! What an application does, in numbers for [Prometheus](https://prometheus.io) and whoever reads its text format.
//!
//! [`Metrics`] counts the requests of an application and is the handler that shows the counts. [`readiness`] answers the
//! probes of a balancer.
//!
//! # Examples
//!
//! ```
//! use web::{Application, Exchange, metrics::{Metrics, readiness}};
//!
//! async fn hello(exchange: &mut Exchange) -> web::Result<()> {
//!     exchange.write_text("hello\n");
//!     Ok(())
//! }
//!
//! let metrics = Metrics::new();
//! let application = Application::new()
//!     .get("/", hello)
//!     .get("/metrics", metrics.clone())
//!     .get("/ready", readiness)
//!     .metrics(&metrics);
//! ```

mod counts;
mod ready;
mod text;

use std::{fmt, rc::Rc};

use httpserver::StatusCode;

pub use self::ready::readiness;
use self::{counts::Counts, text::Text};
use crate::{application::Application, error::Result, exchange::Exchange, handler::Handler};

/// Counts the requests of an [application](Application::metrics), and is the handler that shows them in the text format of
/// Prometheus. A clone is a handle to the same counts.
///
/// | metric | labels | |
/// |---|---|---|
/// | `http_requests_total` | `method`, `route`, `status` | requests that have been answered; 499 is a client that left |
/// | `http_request_duration_seconds` | `route` | a histogram: from the request's head to the end of the answer |
/// | `http_connections`, `http_busy_connections` | | connections that are open, and those with a request in hand |
/// | `http_connections_total` | | connections that there have been |
/// | `http_refused_requests_total`, `http_failed_bodies_total` | | what was malformed, too long for the server, or too slow |
/// | `ioloop_lag_seconds`, `ioloop_longest_lag_seconds` | | how late the loop was for a timer: for the last, and at most |
/// | `ioloop_longest_turn_seconds` | | the longest time in which nothing else could run |
/// | `ioloop_tasks`, `ioloop_timers`, `ioloop_descriptors` | | what the loop holds |
///
/// `route` is the pattern of the route, `/user/{id}`, and `unrouted` for paths that none has. A method without a shorthand in
/// [`Application`] counts as `other`. So a client cannot make the list longer by asking for new paths or methods.
///
/// The counts are those of one loop. Of a program with several threads a request sees the counts of the thread that answers
/// it. Give each thread a port of its own for them, or let a proxy count.
///
/// Anybody who can ask for the route sees it: [wrap](crate::Route::wrap) it if that is too many.
///
/// # Cost
///
/// Two readings of a table for each request, and no allocation once the route and the status have been seen.
#[derive(Clone, Default)]
pub struct Metrics {
    counts: Rc<Counts>,
}

impl Metrics {
    /// Counts that are all zero.
    #[inline]
    pub fn new() -> Metrics {
        Metrics::default()
    }

    /// How many requests have been counted.
    #[inline]
    pub fn requests(&self) -> u64 {
        self.counts.total()
    }
}

impl Handler for Metrics {
    #[inline]
    async fn handle(&self, exchange: &mut Exchange) -> Result<()> {
        let text = Text::of(&self.counts, exchange);
        exchange.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")?;
        exchange.set_header("Cache-Control", "no-store")?;
        exchange.write(text);
        Ok(())
    }
}

impl fmt::Debug for Metrics {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

/// Whoever is told of each request that has ended. A trait object, so that programs that count nothing are built without it.
pub(crate) trait Observer {
    fn ended(&self, exchange: &Exchange, status: StatusCode);
}

impl Application {
    /// Has `metrics` count every request that this application answers, those of nested applications, errors and unknown paths
    /// included. What a nested application says is not used.
    #[inline]
    pub fn metrics(mut self, metrics: &Metrics) -> Application {
        let observer: Rc<dyn Observer> = Rc::<Counts>::clone(&metrics.counts);
        self.scope_mut().observer = Some(observer);
        self
    }
}
