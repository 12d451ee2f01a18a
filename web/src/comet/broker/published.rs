use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{comet::Cursor, error::Result};

/// The cursor of a message that is being published: known at once, or later.
///
/// # Cancel safety
///
/// Dropping it takes nothing back: the message has been given to the broker.
#[must_use = "a publication that failed says so here alone"]
pub struct Published {
    state: State,
}

enum State {
    /// `None` once it has been taken.
    Now(Option<Result<Cursor>>),
    Later(Pin<Box<dyn Future<Output = Result<Cursor>>>>),
}

impl Published {
    /// It is in the log, with this cursor.
    #[inline]
    pub fn now(cursor: Cursor) -> Published {
        Published { state: State::Now(Some(Ok(cursor))) }
    }

    /// It is not in the log.
    #[inline]
    pub fn failed(error: impl Into<crate::Error>) -> Published {
        Published { state: State::Now(Some(Err(error.into()))) }
    }

    /// It will be known.
    #[inline]
    pub fn later(future: impl Future<Output = Result<Cursor>> + 'static) -> Published {
        Published { state: State::Later(Box::pin(future)) }
    }
}

/// # Errors
///
/// Why the message was not published, or that this is not known.
impl Future for Published {
    type Output = Result<Cursor>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Cursor>> {
        match &mut self.state {
            State::Now(result) => result.take().map_or(Poll::Pending, Poll::Ready),
            State::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Published {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Published")
    }
}
