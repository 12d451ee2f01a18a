//! Delivery by long poll.

use std::{
    fmt::{self, Write},
    future::Future,
    hint::black_box,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use httpserver::{Bytes, Method, Patience, PatienceOver};

use super::{
    channel::{Answer, Span},
    delivery::Delivery,
    subscription::Subscription,
    update::Update,
};
use crate::{
    error::{Error, Result},
    exchange::Exchange,
    jitter,
};

/// The future of [`Delivery::long_poll`].
///
/// # Cancel safety
///
/// Dropped before it is ready, it has answered nothing, and the client asks again.
#[must_use = "futures do nothing unless awaited"]
pub struct LongPoll<'e> {
    exchange: &'e mut Exchange,
    /// An error is told in the first poll.
    waiting: Result<Waiting, Option<Error>>,
}

struct Waiting {
    subscription: Subscription,
    /// Until when it waits for news.
    patience: Patience,
    /// It is answered as soon as it has a cursor.
    at_once: bool,
}

impl<'e> LongPoll<'e> {
    #[inline]
    pub(super) fn new(delivery: Delivery, exchange: &'e mut Exchange) -> LongPoll<'e> {
        let waiting = Waiting::begin(&delivery, exchange).map_err(Some);
        LongPoll { exchange, waiting }
    }
}

impl Waiting {
    #[inline]
    fn begin(delivery: &Delivery, exchange: &Exchange) -> Result<Waiting> {
        // Looked at where it was received.
        let cursor = exchange.query_arguments()?.get("cursor")?;
        let subscription = delivery.subscribe(cursor.as_deref())?;
        exchange.cancel_on_disconnect();
        let (patience, wait) = (exchange.request().patience(), delivery.poll_wait);
        patience.set_after(jitter::between(wait - wait / 5..=wait));
        let at_once = cursor.is_none() || *exchange.method() == Method::HEAD;
        Ok(Waiting { subscription, patience, at_once })
    }

    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Rc<Bytes>> {
        let span = self.subscription.span();
        // Of ten thousand that wait for a message, all but the first find their answer made.
        if let Some(body) = span.and_then(|span| self.made(span)) {
            return Poll::Ready(body);
        }
        // What is ready goes first, and with it everything that is there.
        if let Poll::Ready(update) = self.subscription.poll_next(cx) {
            return Poll::Ready(self.answer(span, update));
        }
        let over = self.patience.poll_over(cx);
        if over == Poll::Ready(PatienceOver::Draining) {
            let retry = jitter::between(Duration::from_secs(1)..=Duration::from_secs(5));
            return Poll::Ready(News { retry: Some(retry), ..News::default() }.into_json(&self.subscription));
        }
        let is_over = over.is_ready() || (self.at_once && self.subscription.cursor().is_some());
        if is_over { Poll::Ready(News::default().into_json(&self.subscription)) } else { Poll::Pending }
    }

    /// What another one was answered who waited at the same place.
    #[inline]
    fn made(&mut self, span: Span) -> Option<Rc<Bytes>> {
        let made = self.subscription.state().answer.borrow();
        let body = made.as_ref().filter(|made| made.span == span).map(|made| Rc::clone(&made.body))?;
        drop(made);
        self.subscription.skip_to(span.to);
        Some(body)
    }

    /// The answer with `first`, and what else there is. Those who wait at the same place get the same bytes.
    #[inline]
    fn answer(&mut self, span: Option<Span>, first: Option<Update>) -> Rc<Bytes> {
        let mut news = News::default();
        news.add(first);
        while let Poll::Ready(Some(update)) = self.subscription.try_next() {
            news.add(Some(update));
        }
        let body = news.into_json(&self.subscription);
        if let Some(span) = span {
            let answer = Answer { span, body: Rc::clone(&body) };
            let previous = self.subscription.state().answer.replace(Some(answer));
            drop(previous);
        }
        body
    }
}

/// What an answer says.
#[derive(Default)]
struct News {
    /// The messages, with a comma behind each.
    messages: Vec<u8>,
    lagged: bool,
    missed: Option<u64>,
    reset: bool,
    retry: Option<Duration>,
}

impl News {
    #[inline]
    fn add(&mut self, update: Option<Update>) {
        match update {
            Some(Update::Message(message)) => {
                self.messages.extend_from_slice(message.data());
                self.messages.push(b',');
            }
            Some(Update::Lagged { missed }) => (self.lagged, self.missed) = (true, missed),
            Some(Update::Reset) => self.reset = true,
            // There is no connection to end: the client comes back anyway.
            None => self.lagged = true,
        }
    }

    #[inline]
    fn into_json(mut self, subscription: &Subscription) -> Rc<Bytes> {
        self.messages.pop();
        let mut json = String::with_capacity(128);
        // Writing to a string cannot fail.
        let _ = match subscription.cursor() {
            Some(cursor) => write!(json, "{{\"cursor\":\"{cursor}\""),
            None => write!(json, "{{\"cursor\":null"),
        };
        if self.reset {
            json.push_str(",\"reset\":true");
        }
        if self.lagged {
            json.push_str(",\"lagged\":true");
        }
        if let Some(missed) = self.missed {
            let _ = write!(json, ",\"missed\":{missed}");
        }
        if let Some(retry) = self.retry {
            let _ = write!(json, ",\"retry\":{}", retry.as_millis());
        }
        json.push_str(",\"messages\":[");
        let mut json = json.into_bytes();
        json.extend_from_slice(&self.messages);
        json.extend_from_slice(b"]}");
        Rc::new(json.into())
    }
}

/// # Errors
///
/// As [`Hub::subscribe`](super::Hub::subscribe).
impl Future for LongPoll<'_> {
    type Output = Result<()>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        let body = match &mut this.waiting {
            Ok(waiting) => {
                // Has the processor fetch the connection, its stream and what the loop knows of its socket, while the answer is
                // made: of ten thousand that are answered at once each lies in memory that has left the cache. What comes of
                // it is not used, so nothing waits for it.
                black_box(this.exchange.is_client_gone());
                waiting.poll(cx)
            }
            Err(error) => return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
        };
        body.map(|body| this.exchange.write_uncached_json(&body))
    }
}

impl fmt::Debug for LongPoll<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LongPoll")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_that_waits_is_small() {
        let size = size_of::<LongPoll<'_>>();
        assert!(size <= 88, "{size} bytes");
    }
}
