//! The trait of the `http-body` crate: our bodies as those of other libraries, and theirs as ours.

use std::{
    error::Error as StdError,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::SizeHint;
use pin_project_lite::pin_project;

use crate::{Body, BodyStream, Error, Frame, Result, Trailers};

/// With the feature `http-body`. Data and trailers pass through without a copy.
///
/// The size hint is exact for bytes that are all there. Of a body that a client sends, the announced length is the upper
/// bound: how much of it has been read is not counted.
impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    #[inline]
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<Bytes>>>> {
        Body::poll_frame(self.get_mut(), cx).map(|frame| frame.map(|frame| frame.map(frame_of_theirs)))
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.is_end()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match self.content_length() {
            Some(length) if !self.is_incoming() => SizeHint::with_exact(length),
            upper => size_up_to(upper),
        }
    }
}

impl Body {
    /// A body of another library, by the `http-body` trait. It need not be `Send`. With the feature `http-body`.
    ///
    /// Data is copied only when it does not come as [`Bytes`]. A trailer that may not stand behind a body (RFC 9110 6.5.1)
    /// is dropped, with a line at debug level. An error of the source ends the body; when it is one of this crate's, or
    /// stands around one, it keeps its status.
    ///
    /// # Examples
    ///
    /// ```
    /// use http_body_util::Full;
    /// use httpserver::{Body, Bytes, IOLoop};
    ///
    /// let mut body = Body::from_http_body(Full::new(Bytes::from("Hello")));
    /// assert_eq!(body.content_length(), Some(5));
    /// assert_eq!(IOLoop::current().run_sync(body.bytes(100))?, "Hello");
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn from_http_body<B>(body: B) -> Body
    where
        B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + 'static,
    {
        // Most answers of a framework are whole, or nothing. They leave with their head, and need no box.
        if body.is_end_stream() { Body::empty() } else { Body::stream(Foreign { body }) }
    }
}

pin_project! {
    /// A body of another library.
    struct Foreign<B> {
        #[pin]
        body: B,
    }
}

impl<B> BodyStream for Foreign<B>
where
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + 'static,
{
    #[inline]
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        Poll::Ready(match ready!(self.project().body.poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(frame_of_ours(frame))),
            Some(Err(error)) => Some(Err(own_or_other(error.into()))),
            None => None,
        })
    }

    #[inline]
    fn exact_size(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

/// An error of another library: ours, if there is one behind it, since it knows its status.
#[inline]
pub(super) fn own_or_other(error: Box<dyn StdError + Send + Sync>) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if let Some(own) = error.downcast_ref::<Error>() {
            return own.clone();
        }
        cause = error.source();
    }
    Error::other(error)
}

/// The hint of a body that has no more than `upper` bytes, if that is known.
#[inline]
fn size_up_to(upper: Option<u64>) -> SizeHint {
    let mut hint = SizeHint::new();
    if let Some(upper) = upper {
        hint.set_upper(upper);
    }
    hint
}

#[inline]
pub(super) fn frame_of_theirs(frame: Frame) -> http_body::Frame<Bytes> {
    let trailers = match frame {
        Frame::Data(data) => return http_body::Frame::data(data),
        Frame::Trailers(trailers) => trailers,
    };
    let mut map = HeaderMap::new();
    for (name, value) in trailers.iter() {
        // Checked when they were received or added, by a grammar that is no wider.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    http_body::Frame::trailers(map)
}

#[inline]
fn frame_of_ours(frame: http_body::Frame<impl Buf>) -> Frame {
    let frame = match frame.into_data() {
        Ok(mut data) => return Frame::Data(data.copy_to_bytes(data.remaining())),
        Err(frame) => frame,
    };
    let mut trailers = Trailers::new();
    for (name, value) in frame.into_trailers().iter().flatten() {
        if let Err(error) = trailers.append(name.as_str(), value) {
            log::debug!("trailer {name} of a converted body dropped: {error}");
        }
    }
    Frame::Trailers(trailers)
}
