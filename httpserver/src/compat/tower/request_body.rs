//! A request's body for services that ask for `Send`, and the pump that fills it.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_channel::{Receiver, Sender, bounded};
use bytes::Bytes;
use futures_core::Stream;
use http_body::SizeHint;

use super::super::http_body::frame_of_theirs;
use crate::{Body, Error, Result};

/// Pieces that have been received and not been asked for. One more may wait in the pump: a piece has at most 64 KiB.
const PIECES: usize = 1;

type Piece = Result<http_body::Frame<Bytes>>;

/// What crosses over; `None` is the end. A channel that is closed without it has lost its connection.
type Crossed = Option<Piece>;

/// The body of a request as a [`TowerService`](super::TowerService) is given it: `Send`, by the `http-body` trait.
///
/// Dropping it tells the connection that the rest is not wanted. Kept beyond the answer, it ends with
/// [`Error::AlreadyTaken`] instead of the rest. Its errors are those of [`Body::chunk`]: returned as the
/// service's own, or as the error of its answer's body, they become the answer that fits (400, 408, 413).
#[derive(Default)]
pub struct RequestBody {
    /// `None` when there is no body, and behind its end.
    crossing: Option<Crossing>,
}

/// The reader's end of a body that is to come.
struct Crossing {
    /// Tells the pump to begin. Taken by the first read.
    begin: Option<Sender<()>>,
    // Boxed, because the channel's stream may not be moved while it waits.
    pieces: Pin<Box<Receiver<Crossed>>>,
    /// How much is still to come, if the client has said so.
    remaining: Option<u64>,
}

impl RequestBody {
    /// Takes `body` apart: what a service reads, and what has to be polled meanwhile. No pump, when nothing is to come.
    #[inline]
    pub(super) fn new(body: Body) -> (RequestBody, Option<Pump>) {
        if body.is_end() {
            return (RequestBody::default(), None);
        }
        let (begin, begun) = bounded(1);
        let (to, pieces) = bounded(PIECES);
        let crossing = Crossing { begin: Some(begin), pieces: Box::pin(pieces), remaining: body.content_length() };
        let pump = Pump { to: to.clone(), pumping: Box::pin(pump(body, begun, to)) };
        (RequestBody { crossing: Some(crossing) }, Some(pump))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let Some(crossing) = &mut self.crossing else { return Poll::Ready(None) };
        if let Some(begin) = crossing.begin.take() {
            // There is room for the one word that is ever said.
            let _ = begin.try_send(());
        }
        let crossed = ready!(crossing.pieces.as_mut().poll_next(cx));
        let (piece, is_over) = match crossed {
            Some(Some(Ok(frame))) => (Some(Ok(frame)), false),
            Some(last) => (last, true),
            // Kept beyond its answer: what it has read must not pass for the whole.
            None => (Some(Err(Error::AlreadyTaken("the body"))), true),
        };
        if let (Some(remaining), Some(Ok(frame))) = (&mut crossing.remaining, &piece) {
            *remaining = remaining.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        if is_over {
            self.crossing = None;
        }
        Poll::Ready(piece)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.crossing.is_none()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.crossing {
            None => SizeHint::with_exact(0),
            Some(crossing) => crossing.remaining.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl fmt::Debug for RequestBody {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("remaining", &self.crossing.as_ref().map(|crossing| crossing.remaining))
            .finish()
    }
}

/// Moves a body from its connection to a [`RequestBody`], as long as it is polled.
pub(super) struct Pump {
    /// To see whether anybody reads.
    to: Sender<Crossed>,
    pumping: Pin<Box<dyn Future<Output = ()>>>,
}

impl Pump {
    /// Goes on as far as there is room. Ready when nothing is left to do: then it is to be dropped, and the body with it.
    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Nobody is told when a reader goes away. It mostly does so in the service's own poll, after which this one comes.
        if self.to.is_closed() { Poll::Ready(()) } else { self.pumping.as_mut().poll(cx) }
    }
}

#[inline]
async fn pump(mut body: Body, begun: Receiver<()>, to: Sender<Crossed>) {
    if begun.recv().await.is_err() {
        return;
    }
    loop {
        let frame = poll_fn(|cx| body.poll_frame(cx)).await;
        let is_last = !matches!(frame, Some(Ok(_)));
        // A failed send says that the reader has gone.
        if to.send(frame.map(|frame| frame.map(frame_of_theirs))).await.is_err() || is_last {
            return;
        }
    }
}
