//! How long a handler may take.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use httpserver::{StatusCode, sleep};

use crate::{
    early,
    error::{Error, HttpError, Result},
    exchange::Exchange,
    wrap::AnyHandler,
};

/// Ends `handler` after `limit` with a 503, unless it has begun to stream its answer by then.
#[inline]
pub(crate) async fn within(limit: Duration, handler: &dyn AnyHandler, exchange: &mut Exchange) -> Result<()> {
    let (mut new, mut rest) = (Some(exchange), None);
    // Registered when it is polled: a handler that answers at once has no timer.
    let mut expiry = pin!(Some(sleep(limit)));
    poll_fn(|cx| {
        let polled = match new.take() {
            Some(exchange) => handler.begin(exchange, cx, &mut rest),
            None => rest.as_mut().map_or(Poll::Pending, |rest| rest.as_mut().poll(cx)),
        };
        // A stream takes as long as its client; back-pressure and the server's limits bound it. The head leaves in the poll
        // that hands it out, so this is the only place that can tell.
        if early::is_handed_out() {
            expiry.set(None);
        }
        if polled.is_pending()
            && let Some(expiry) = expiry.as_mut().as_pin_mut()
            && expiry.poll(cx).is_ready()
        {
            return Poll::Ready(Err(too_slow(limit)));
        }
        polled
    })
    .await
}

#[cold]
#[inline(never)]
fn too_slow(limit: Duration) -> Error {
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE).log(format!("the handler took longer than {limit:?}")).into()
}
