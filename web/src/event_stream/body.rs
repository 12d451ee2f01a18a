//! The body of an answer that is an event stream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use httpserver::{BodyStream, Bytes, Error, Frame, Patience, PatienceOver, Result};

use super::{Event, options::Timing};

/// What is sent when nothing else was for a while: a comment and the end of an empty event, which clients skip.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Events from a source, with comments between those that are far apart, until the server drains.
///
/// This is all that a stream has of its own: the source is dropped, wherever it waits, when the client has gone or is asked
/// to come back.
pub(crate) struct Kept<S> {
    /// `None` behind the farewell.
    source: Option<S>,
    /// Until silence will have lasted too long, or the server drains. Moving it with each event is a store.
    silence: Patience,
    timing: Timing,
}

impl<S> Kept<S> {
    #[inline]
    pub(crate) fn new(source: S, silence: Patience, timing: Timing) -> Kept<S> {
        let kept = Kept { source: Some(source), silence, timing };
        kept.heard();
        kept
    }

    /// Begins the silence anew.
    #[inline]
    fn heard(&self) {
        if let Some(keep_alive) = self.timing.keep_alive() {
            self.silence.set_after(keep_alive);
        }
    }

    /// The last that a client is told, when the server drains.
    #[cold]
    fn farewell(&self) -> Bytes {
        // Nothing in it can be at fault.
        Event::without_data()
            .retry(self.timing.drain_retry())
            .encode()
            .map(|event| event.into_bytes())
            .unwrap_or_default()
    }
}

impl<S: BodyStream + Unpin> BodyStream for Kept<S> {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let this = &mut *self;
        let Some(source) = &mut this.source else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(source).poll_frame(cx) {
            this.heard();
            return Poll::Ready(frame);
        }
        // Behind what the source has ready: the last events are not lost.
        Poll::Ready(Some(Ok(Frame::Data(match ready!(this.silence.poll_over(cx)) {
            PatienceOver::Draining => {
                this.source = None;
                this.farewell()
            }
            _ => {
                this.heard();
                KEEP_ALIVE
            }
        }))))
    }

    #[inline]
    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        if let Some(source) = &mut self.source {
            Pin::new(source).poll_progress(cx);
        }
    }

    /// Nobody is left to write for.
    #[inline]
    fn receiver_gone(self: Pin<&mut Self>, _: &Error) -> bool {
        false
    }
}
