//! The sender's side of an event stream.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use httpserver::{Body, BodyStream, BodyWriter, Frame};

use super::{EncodedEvent, Event, EventStreamOptions, Kept};
use crate::{
    error::{Error, Result},
    exchange::Exchange,
    input::Source,
};

impl Exchange {
    /// Begins a stream of server-sent events, with the default [`EventStreamOptions`]: what a page opens by
    /// `new EventSource(url)`.
    ///
    /// The head leaves as soon as the handler waits for anything, together with what was sent until then. It carries
    /// `Content-Type: text/event-stream`, `Cache-Control: no-store`, because no cache may answer instead of the server, and
    /// `X-Accel-Buffering: no`, which keeps nginx from holding events back; what the handler has set before is sent too.
    ///
    /// The rest of the handler is the stream. It ends when the handler returns, and the browser then reconnects, so a handler
    /// that has nothing more to say answers the next request with 204. The handler is *dropped*, wherever it waits,
    ///
    /// * when the client has gone;
    /// * when the server drains: the client is told to come back after a random time, and gets the end of the stream;
    /// * for HEAD, at its first wait.
    ///
    /// In all three cases what it holds is freed at once, and [`on_finish`](crate::RequestHandler::on_finish) runs.
    ///
    /// # Errors
    ///
    /// [`Error::HeadSent`] and [`Error::Finished`] when the response has begun or is finished.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use web::{Exchange, event_stream::Event};
    ///
    /// async fn count(exchange: &mut Exchange) -> web::Result<()> {
    ///     // Where the page was when its connection broke.
    ///     let last: u64 = exchange.last_event_id()?.and_then(|id| id.parse().ok()).unwrap_or(0);
    ///     let mut events = exchange.event_stream()?;
    ///     for number in last + 1.. {
    ///         events.send(Event::new(number.to_string()).id(number.to_string())).await?;
    ///         web::sleep(Duration::from_secs(1)).await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn event_stream(&mut self) -> Result<EventStream<'_>> {
        self.event_stream_with(&EventStreamOptions::new())
    }

    /// [`event_stream`](Exchange::event_stream) with other options.
    ///
    /// # Errors
    ///
    /// As [`event_stream`](Exchange::event_stream).
    #[inline]
    pub fn event_stream_with(&mut self, options: &EventStreamOptions) -> Result<EventStream<'_>> {
        self.set_event_stream_head()?;
        let silence = self.request().patience();
        let timing = options.timing;
        if let Some(wait) = options.retry {
            self.write(Event::without_data().retry(wait).encode()?.into_bytes());
        }
        self.hand_out_head_with(move |body| Body::stream(Kept::new(Handler(body), silence, timing)))?;
        self.cancel_on_disconnect();
        let mut events = EventStream { exchange: self };
        events.send_written();
        Ok(events)
    }

    /// The head of an event stream.
    ///
    /// # Errors
    ///
    /// As [`event_stream`](Exchange::event_stream).
    #[inline]
    pub(crate) fn set_event_stream_head(&mut self) -> Result<()> {
        self.set_header("Content-Type", "text/event-stream")?;
        self.set_header("Cache-Control", "no-store")?;
        self.set_header("X-Accel-Buffering", "no")
    }

    /// The id of the last event that the client has seen, from `Last-Event-ID`: a browser sends it when it reconnects. `None`
    /// when it has seen none.
    ///
    /// It is what the server has sent as an [`id`](Event::id), as far as the client is honest; treat it as any other input.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8. It cannot hold a NUL or a line break, because no header can.
    #[inline]
    pub fn last_event_id(&self) -> Result<Option<&str>> {
        let Some(value) = self.headers().get_bytes("last-event-id") else { return Ok(None) };
        let id = std::str::from_utf8(value)
            .map_err(|_| Error::invalid(Source::Header, "Last-Event-ID", "it is not UTF-8"))?;
        Ok((!id.is_empty()).then_some(id))
    }
}

/// Sends server-sent events; made by [`Exchange::event_stream`].
///
/// # Cancel safety
///
/// Of all its futures: an event counts as sent when the future is first polled; dropping the future takes nothing back.
pub struct EventStream<'e> {
    exchange: &'e mut Exchange,
}

impl EventStream<'_> {
    /// Sends an event, and waits while the client is more than 64 KiB behind: a slow client slows down its handler, and
    /// nothing else. A client that takes nothing for 30 s is given up.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidEvent`] when the event cannot be encoded; nothing is sent then. When the connection broke, one for
    /// which [`Error::is_client_gone`] is true.
    #[inline]
    pub async fn send(&mut self, event: Event) -> Result<()> {
        let event = event.encode()?;
        self.send_encoded(&event).await
    }

    /// Sends an event that has been encoded before, for this stream or for others.
    ///
    /// # Errors
    ///
    /// When the connection broke, one for which [`Error::is_client_gone`] is true.
    #[inline]
    pub async fn send_encoded(&mut self, event: &EncodedEvent) -> Result<()> {
        Ok(self.writer()?.write_bytes(event.as_bytes().clone()).await?)
    }

    /// Waits until everything sent has been taken by the kernel. Nothing needs it to leave; it is for pacing, where the next
    /// event is worth making only when this one has gone.
    ///
    /// # Errors
    ///
    /// As [`send_encoded`](EventStream::send_encoded).
    #[inline]
    pub async fn flush(&mut self) -> Result<()> {
        Ok(self.writer()?.flush().await?)
    }

    /// The exchange, to read the request.
    #[inline]
    pub fn exchange(&self) -> &Exchange {
        self.exchange
    }

    /// Has what was written to the exchange leave in front of all events.
    #[inline]
    fn send_written(&mut self) {
        let written = self.exchange.take_written();
        if let Some(writer) = self.exchange.body_writer()
            && !written.is_empty()
        {
            // The first poll queues it; the wait for room is that of the first event.
            let _ = pin!(writer.write_bytes(written)).poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    #[inline]
    fn writer(&mut self) -> Result<&mut BodyWriter> {
        self.exchange.body_writer().ok_or(Error::Finished)
    }
}

impl fmt::Debug for EventStream<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

/// What a handler writes, with the handler itself inside.
struct Handler(Body);

impl BodyStream for Handler {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<httpserver::Result<Frame>>> {
        self.0.poll_frame(cx)
    }

    #[inline]
    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.0.poll_progress(cx);
    }
}
