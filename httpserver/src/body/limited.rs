//! A body with a bound around it; see [`Body::limit`].

use std::task::{Context, Poll, ready};

use super::{Body, Frame};
use crate::{Error, Result};

/// A body of which no more than so many bytes are let through.
///
/// It counts data alone: trailers pass. Everything else that is asked of a body is asked of the one inside.
pub(super) struct Limited {
    pub(super) body: Body,
    /// What was set, for the text of the error.
    limit: u64,
    /// How much has come.
    passed: u64,
}

impl Limited {
    /// `body`, of which the next `limit` bytes pass.
    pub(super) fn new(body: Body, limit: u64) -> Limited {
        Limited { body, limit, passed: 0 }
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
        self.body.give_up(Error::BodyTooLarge { limit: self.limit })
    }
}
