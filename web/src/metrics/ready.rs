//! Probes of a balancer.

use std::future::{Future, ready};

use httpserver::StatusCode;

use crate::{error::Result, exchange::Exchange};

/// A handler that says whether the server wants more clients: `200` and `ready`, or `503` and `leaving` once a drain has begun
/// or is about to ([`ServerHandle::drain_on_signal_after`](crate::ServerHandle::drain_on_signal_after)), and while
/// [`ServerHandle::set_ready`](crate::ServerHandle::set_ready) says so.
///
/// # Examples
///
/// ```
/// use web::{Application, metrics::readiness};
///
/// let application = Application::new().get("/ready", readiness);
/// ```
#[inline]
pub fn readiness(exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
    let is_ready = exchange.request().is_server_ready();
    if !is_ready {
        exchange.set_status(StatusCode::SERVICE_UNAVAILABLE);
    }
    exchange.write_text(if is_ready { "ready\n" } else { "leaving\n" });
    // A proxy must not answer for the server.
    ready(exchange.set_header("Cache-Control", "no-store"))
}
