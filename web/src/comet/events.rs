//! Delivery by server-sent events.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use httpserver::{Body, BodyStream, Bytes, Frame};

use super::{delivery::Delivery, message::event, subscription::Subscription, update::Update};
use crate::{
    error::Result,
    event_stream::{Event, Kept},
    exchange::Exchange,
};

/// Makes the answer a stream of what a channel has to say.
#[inline]
pub(super) fn answer(delivery: Delivery, exchange: &mut Exchange) -> Result<()> {
    let in_query: Option<String>;
    let cursor = match exchange.last_event_id()? {
        Some(id) => Some(id),
        None => {
            in_query = exchange.query_opt("cursor")?;
            in_query.as_deref()
        }
    };
    let is_new = cursor.is_none();
    let subscription = delivery.subscribe(cursor)?;
    exchange.set_event_stream_head()?;
    exchange.cancel_on_disconnect();
    let (retry, timing) = delivery.events.parts();
    let events = Events { subscription, retry: retry.map(whole_millis), is_new };
    let silence = exchange.request().patience();
    exchange.finish_with(Body::stream(Kept::new(events, silence, timing)))
}

/// The body of such an answer: no handler, and nothing that waits but a subscription.
struct Events {
    subscription: Subscription,
    /// Still to be told: how long to wait before coming back, in milliseconds.
    retry: Option<u32>,
    /// It has no cursor, and gets one as soon as that is known.
    is_new: bool,
}

impl Events {
    /// What is sent before the first message.
    #[inline]
    fn open(&mut self) -> Option<Bytes> {
        let cursor = if self.is_new { self.subscription.cursor() } else { None };
        if cursor.is_none() && (self.is_new || self.retry.is_none()) {
            return None;
        }
        self.is_new = false;
        let mut event = Event::without_data();
        if let Some(cursor) = cursor {
            event = event.id(cursor.to_string());
        }
        if let Some(retry) = self.retry.take() {
            event = event.retry(Duration::from_millis(retry.into()));
        }
        event.encode().ok().map(|event| event.into_bytes())
    }

    #[inline]
    fn bytes_of(&self, update: &Update) -> Bytes {
        let (name, data) = match update {
            Update::Message(message) => return message.event().clone(),
            Update::Lagged { missed: Some(missed) } => ("lagged", format!("{{\"missed\":{missed}}}")),
            Update::Lagged { missed: None } => ("lagged", "{\"missed\":null}".to_owned()),
            Update::Reset => ("reset", "null".to_owned()),
        };
        // It has a place by now.
        let cursor = self.subscription.cursor();
        cursor.map(|cursor| event(cursor, Some(name), data.as_bytes())).unwrap_or_default()
    }
}

/// Up to 49 days.
fn whole_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

impl BodyStream for Events {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<httpserver::Result<Frame>>> {
        let this = &mut *self;
        if let Some(opening) = this.open() {
            return Poll::Ready(Some(Ok(Frame::Data(opening))));
        }
        this.subscription.poll_next(cx).map(|update| update.map(|update| Ok(Frame::Data(this.bytes_of(&update)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_waits_is_small() {
        let size = size_of::<Kept<Events>>();
        assert!(size <= 104, "{size} bytes");
    }
}
