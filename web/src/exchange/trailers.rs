//! Header lines behind the body.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use httpserver::{Body, BodyStream, Frame, Response, Trailers};

use super::{Exchange, Stage};
use crate::error::{Error, Result};

impl Exchange {
    /// Adds a line that follows the body: a checksum, or how long it took. It may be called until the response is finished,
    /// in the middle of a streamed one too.
    ///
    /// The body is sent in chunks, whether it was flushed or not; those have a place for trailers. A client of HTTP/1.0 gets
    /// none, nor does one whose answer has an announced length, or no body. Browsers show them to nobody. A `Trailer` header
    /// may announce their names.
    ///
    /// # Errors
    ///
    /// When the name is no token, the value has a control character, and for a field that decides about framing, routing or
    /// authentication, which may not come behind the body. [`Error::Finished`] after [`finish`](Exchange::finish) and its
    /// relatives.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    ///
    /// async fn report(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let began = Instant::now();
    ///     for part in 1..=100 {
    ///         exchange.write_text(format!("part {part}\n"));
    ///         exchange.flush().await?;
    ///     }
    ///     exchange.set_trailer("Server-Timing", format!("report;dur={}", began.elapsed().as_millis()))
    /// }
    /// ```
    #[inline]
    pub fn set_trailer(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        if self.stage == Stage::Finished {
            return Err(Error::Finished);
        }
        let trailers = self.extras().trailers.get_or_insert_default();
        Ok(trailers.append(name, value)?)
    }

    #[inline]
    pub(super) fn take_trailers(&mut self) -> Option<Trailers> {
        self.extras.as_mut()?.trailers.take().map(|trailers| *trailers)
    }
}

/// Puts trailers behind the body of a response that was not streamed. Without a length: chunks alone have a place for them.
#[cold]
pub(super) fn append(response: &mut Response, trailers: Trailers) {
    let body = response.take_body();
    response.set_body(Body::stream(WithTrailers { body, trailers: Some(trailers) }));
}

struct WithTrailers {
    body: Body,
    /// Until they have been sent.
    trailers: Option<Trailers>,
}

impl BodyStream for WithTrailers {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<httpserver::Result<Frame>>> {
        match ready!(self.body.poll_chunk(cx)) {
            Ok(Some(data)) => Poll::Ready(Some(Ok(Frame::Data(data)))),
            Ok(None) => Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::Trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    #[inline]
    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    #[inline]
    fn receiver_gone(mut self: Pin<&mut Self>, error: &httpserver::Error) -> bool {
        self.body.receiver_gone(error)
    }
}
