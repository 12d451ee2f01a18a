//! The body of an answer that is an event stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use httpserver::{BodyStream, Bytes, Draining, Error, Frame, Result, iostream::ioloop::Deadline};

use super::{Event, options::Patience};

/// What is sent when nothing else was for a while: a comment and the end of an empty event, which clients skip.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Events from a source, with comments between those that are far apart, until the server drains.
///
/// This is all that a stream has of its own: the source is dropped, wherever it waits, when the client has gone or is asked
/// to come back.
pub(crate) struct Kept<S> {
    /// `None` behind the farewell.
    source: Option<S>,
    draining: Draining,
    /// When silence will have lasted too long. Moving it with each event is a store.
    silence: Deadline,
    patience: Patience,
}

impl<S> Kept<S> {
    #[inline]
    pub(crate) fn new(source: S, draining: Draining, patience: Patience) -> Kept<S> {
        let kept = Kept { source: Some(source), draining, silence: Deadline::new(), patience };
        kept.heard();
        kept
    }

    /// Begins the silence anew.
    #[inline]
    fn heard(&self) {
        if let Some(keep_alive) = self.patience.keep_alive() {
            self.silence.set_after(keep_alive);
        }
    }

    /// The last that a client is told, when the server drains.
    #[cold]
    fn farewell(&self) -> Bytes {
        // Nothing in it can be at fault.
        Event::without_data()
            .retry(self.patience.drain_retry())
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
        if Pin::new(&mut this.draining).poll(cx).is_ready() {
            this.source = None;
            return Poll::Ready(Some(Ok(Frame::Data(this.farewell()))));
        }
        if this.silence.poll_expired(cx).is_ready() {
            this.heard();
            return Poll::Ready(Some(Ok(Frame::Data(KEEP_ALIVE))));
        }
        Poll::Pending
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
