//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};

use httpserver::IOLoop;

use super::counts::{Counts, STEPS};
use crate::exchange::Exchange;

/// A text in progress. A `String` takes whatever is written to it.
pub(super) struct Text(String);

impl Text {
    /// Everything that is known where `exchange` is answered.
    #[inline]
    pub(super) fn of(counts: &Counts, exchange: &Exchange) -> String {
        let mut text = Text(String::with_capacity(4096));
        text.add_requests(counts);
        text.add_server(exchange);
        text.add_loop();
        text.0
    }

    #[inline]
    fn add_requests(&mut self, counts: &Counts) {
        let routes = counts.sorted();
        self.head("http_requests_total", "counter", "Requests that have been answered.");
        for (route, counts) in &routes {
            for ((method, status), count) in &counts.answers {
                let route = Label(route);
                self.line(format_args!(
                    "http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
                ));
            }
        }
        let name = "http_request_duration_seconds";
        self.head(name, "histogram", "From the request's head to the end of the answer.");
        for (route, counts) in &routes {
            let (route, mut below) = (Label(route), 0);
            for (end, count) in STEPS.iter().zip(counts.steps) {
                below += count;
                self.line(format_args!("{name}_bucket{{route=\"{route}\",le=\"{end}\"}} {below}"));
            }
            let count = counts.count();
            self.line(format_args!("{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}"));
            self.line(format_args!("{name}_sum{{route=\"{route}\"}} {}", counts.sum.as_secs_f64()));
            self.line(format_args!("{name}_count{{route=\"{route}\"}} {count}"));
        }
    }

    #[inline]
    fn add_server(&mut self, exchange: &Exchange) {
        let Some(server) = exchange.request().server_metrics() else { return };
        self.gauge("http_connections", "Connections that are open.", server.connections);
        self.gauge(
            "http_busy_connections",
            "Connections with a request in hand, or upgraded.",
            server.busy_connections,
        );
        self.counter("http_connections_total", "Connections that there have been.", server.connections_total);
        self.counter(
            "http_refused_requests_total",
            "Requests that could not be understood, or came too late.",
            server.refused,
        );
        self.counter(
            "http_failed_bodies_total",
            "Bodies that were malformed, too long for the server, too slow or cut short.",
            server.failed_bodies,
        );
    }

    #[inline]
    fn add_loop(&mut self) {
        let ioloop = IOLoop::current().metrics();
        self.gauge("ioloop_lag_seconds", "How late the last timer was.", ioloop.lag.as_secs_f64());
        self.gauge("ioloop_longest_lag_seconds", "How late a timer was at most.", ioloop.longest_lag.as_secs_f64());
        self.gauge(
            "ioloop_longest_turn_seconds",
            "The longest time from one poll to the next.",
            ioloop.longest_turn.as_secs_f64(),
        );
        self.gauge("ioloop_tasks", "Tasks that are alive.", ioloop.live_tasks);
        self.gauge("ioloop_timers", "Timers that are kept.", ioloop.live_timers);
        self.gauge("ioloop_descriptors", "Descriptors that are watched.", ioloop.descriptors);
    }

    #[inline]
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.line(format_args!("{name} {value}"));
    }

    #[inline]
    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.line(format_args!("{name} {value}"));
    }

    #[inline]
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    #[inline]
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}");
    }
}

/// The pattern of a route between quotes.
struct Label<'p>(&'p str);

impl Display for Label<'_> {
    #[inline]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("unrouted");
        }
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
