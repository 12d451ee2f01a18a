//! A body with a bound around it, or with something in front of it; see [`Body::limit`] and [`Body::put_back`].

use std::{
    mem,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{Body, Frame, Kind};
use crate::{Error, Result};

impl Body {
    /// Lets at most `max` bytes more through; reading beyond is [`Error::BodyTooLarge`], and so is the first read of a
    /// body that is known to be longer. Several limits all hold. After such an error the rest is not read any more, and
    /// later reads repeat it.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Body, Error, IOLoop};
    ///
    /// let mut body = Body::from("twelve bytes");
    /// body.limit(5);
    /// let result = IOLoop::current().run_sync(body.bytes(100));
    /// assert!(matches!(result, Err(Error::BodyTooLarge { limit: 5 })));
    /// ```
    pub fn limit(&mut self, max: u64) {
        let body = mem::take(self);
        self.kind = Kind::Limited(Box::new(Limited::new(body, max)));
    }

    /// Sets the limit for the whole body to `max` bytes, what was read before included, in place of the last one set by
    /// [`limit`](Body::limit): to raise it as well as to lower it. [`Limits::max_body`](crate::Limits::max_body) holds in any
    /// case.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Body, IOLoop};
    ///
    /// let mut body = Body::from("twelve bytes");
    /// body.limit(5);
    /// body.set_limit(20);
    /// assert_eq!(IOLoop::current().run_sync(body.bytes(100))?.len(), 12);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn set_limit(&mut self, max: u64) {
        match &mut self.kind {
            Kind::Limited(limited) => limited.set_limit(max),
            _ => self.limit(max),
        }
    }

    /// The limit that was set last, if one was.
    #[inline]
    pub fn current_limit(&self) -> Option<u64> {
        match &self.kind {
            Kind::Limited(limited) => Some(limited.limit).filter(|limit| *limit < u64::MAX),
            _ => None,
        }
    }

    /// Puts `bytes`, which were read from the body last, back in front of what is still to come: to look ahead and leave the
    /// body to somebody else. Limits count them once.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Body, IOLoop};
    ///
    /// let mut body = Body::from("twelve bytes");
    /// let text = IOLoop::current().run_sync(async {
    ///     let ahead = body.chunk().await?.unwrap_or_default();
    ///     body.put_back(ahead);
    ///     body.bytes(100).await
    /// })?;
    /// assert_eq!(text, "twelve bytes");
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn put_back(&mut self, bytes: Bytes) {
        match &mut self.kind {
            _ if bytes.is_empty() => {}
            Kind::Limited(limited) => limited.put_back(bytes),
            Kind::Empty => self.kind = Kind::Bytes(bytes),
            _ => {
                let body = mem::take(self);
                self.kind = Kind::Limited(Box::new(Limited::behind(bytes, body)));
            }
        }
    }
}

/// A body of which no more than so many bytes are let through.
///
/// It counts data alone: trailers pass. Everything else that is asked of a body is asked of the one inside.
pub(super) struct Limited {
    pub(super) body: Body,
    /// What was set, for the text of the error. The highest number for a body without a bound.
    limit: u64,
    /// How much has come, what was put back included.
    passed: u64,
    /// What was put back, and comes before the rest of the body.
    ahead: Bytes,
}

impl Limited {
    /// `body`, of which the next `limit` bytes pass.
    pub(super) fn new(body: Body, limit: u64) -> Limited {
        Limited { body, limit, passed: 0, ahead: Bytes::new() }
    }

    /// `body` behind `ahead`, which was read from it.
    #[inline]
    pub(super) fn behind(ahead: Bytes, body: Body) -> Limited {
        Limited { body, limit: u64::MAX, passed: ahead.len() as u64, ahead }
    }

    /// Puts back what was read last.
    #[inline]
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.ahead = match self.ahead.is_empty() {
            true => bytes,
            false => [bytes, mem::take(&mut self.ahead)].concat().into(),
        };
    }

    /// Whether nothing more is to come.
    #[inline]
    pub(super) fn is_end(&self) -> bool {
        self.ahead.is_empty() && self.body.is_end()
    }

    /// The length of the whole body, as far as it is known.
    pub(super) fn content_length(&self) -> Option<u64> {
        let length = self.body.content_length()?;
        // That of a message that comes over a connection is the announced one, however much was read.
        Some(if self.body.is_incoming() { length } else { length + self.ahead.len() as u64 })
    }

    /// Lets `limit` bytes through in all.
    #[inline]
    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The next piece of the body inside.
    ///
    /// # Errors
    ///
    /// [`Error::BodyTooLarge`] for the piece that goes beyond the limit, of which nothing is let through.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        // A length announced beyond the limit is refused before anything is read, so that a client that waits for
        // `100 Continue` need not send it.
        if self.passed == 0 && self.body.content_length().is_some_and(|length| length > self.limit) {
            return Poll::Ready(Some(Err(self.exceeded())));
        }
        if !self.ahead.is_empty() {
            // Counted before. The limit may have been set since then.
            let ahead = mem::take(&mut self.ahead);
            return Poll::Ready(Some(if self.passed > self.limit {
                Err(self.exceeded())
            } else {
                Ok(Frame::Data(ahead))
            }));
        }
        let frame = ready!(self.body.poll_frame(cx));
        if let Some(Ok(Frame::Data(data))) = &frame {
            let passed = self.passed.saturating_add(data.len() as u64);
            if passed > self.limit {
                return Poll::Ready(Some(Err(self.exceeded())));
            }
            self.passed = passed;
        }
        Poll::Ready(frame)
    }

    /// Gives up the body inside, so that the failure stays. It is the earlier one if that has failed already.
    fn exceeded(&mut self) -> Error {
        self.give_up(Error::BodyTooLarge { limit: self.limit })
    }

    /// Nobody will read the rest, nor what was put back.
    pub(super) fn give_up(&mut self, error: Error) -> Error {
        self.ahead = Bytes::new();
        self.body.give_up(error)
    }
}
