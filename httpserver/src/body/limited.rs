use std::task::{Context, Poll, ready};

use super::{Body, Frame};
use crate::{Error, Result};

/// A body of which no more than so many bytes are let through.
pub(super) struct Limited {
    pub(super) body: Body,
    limit: u64,
    left: u64,
}

impl Limited {
    pub(super) fn new(body: Body, limit: u64) -> Limited {
        Limited { body, limit, left: limit }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        // A length announced beyond the limit is refused before anything is read, so that a client that waits for
        // `100 Continue` need not send it.
        let untouched = self.left == self.limit;
        if untouched && self.body.content_length().is_some_and(|length| length > self.limit) {
            return Poll::Ready(Some(Err(self.exceeded())));
        }
        let frame = ready!(self.body.poll_frame(cx));
        if let Some(Ok(Frame::Data(data))) = &frame {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(self.exceeded()))),
            }
        }
        Poll::Ready(frame)
    }

    fn exceeded(&mut self) -> Error {
        self.body.give_up(Error::BodyTooLarge { limit: self.limit })
    }
}
