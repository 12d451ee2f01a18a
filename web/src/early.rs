//! How a handler that streams hands out its response while its future goes on.
//!
//! A handler's future is polled by [`Answering`](crate::answering::Answering), which has to return the response as soon
//! as its head is known, and the future does not end there: it becomes the response's body. The exchange, which knows the
//! head, lives inside that future, where nothing outside can reach it. So the two meet here: what a flush hands out during
//! a poll is taken by whoever polled.

#[cfg(feature = "websocket")]
use std::rc::Rc;
use std::{cell::Cell, mem};

use httpserver::{BodyDriver, Response};

/// A response whose handler goes on.
pub(crate) struct Early {
    pub(crate) response: Response,
    /// Takes the rest of the handler's future.
    pub(crate) rest: Rest,
}

/// What the rest of a handler's future becomes.
pub(crate) enum Rest {
    /// The body of the response.
    Body(BodyDriver),
    /// The upgraded connection.
    #[cfg(feature = "websocket")]
    WebSocket(Rc<crate::websocket::Slot>),
}

thread_local! {
    static HANDED_OUT: Cell<Option<Box<Early>>> = const { Cell::new(None) };
    /// Whether there is something in it. A value without a destructor is one load away, the other has to be asked whether
    /// it still lives; and there is nearly always nothing.
    static HAS_HANDED_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Hands out a response, to whoever polls the handler that is running.
#[inline]
pub(crate) fn hand_out(early: Early) {
    HANDED_OUT.set(Some(Box::new(early)));
    HAS_HANDED_OUT.set(true);
}

/// Whether something was handed out in the poll that is running.
#[inline]
pub(crate) fn is_handed_out() -> bool {
    HAS_HANDED_OUT.get()
}

/// What is handed out in a poll of a handler, from [`begin`](Watch::begin) to [`end`](Watch::end).
///
/// Polls nest: a handler may call another application. What the outer one has handed out by then stays its own, also when
/// the inner one panics.
pub(crate) struct Watch {
    outer: Option<Box<Early>>,
}

impl Watch {
    #[inline]
    pub(crate) fn begin() -> Watch {
        Watch { outer: take() }
    }

    #[inline]
    pub(crate) fn end(self) -> Option<Box<Early>> {
        let early = take();
        // Nothing is left to be put back, as nearly always: the destructor would look once more.
        if self.outer.is_none() {
            mem::forget(self);
        }
        early
    }
}

impl Drop for Watch {
    #[inline]
    fn drop(&mut self) {
        // Left behind by a poll that panicked: its response has no future to go on with, and is not the outer poll's.
        drop(take());
        if let Some(early) = self.outer.take() {
            HANDED_OUT.set(Some(early));
            HAS_HANDED_OUT.set(true);
        }
    }
}

#[inline]
fn take() -> Option<Box<Early>> {
    if HAS_HANDED_OUT.replace(false) { HANDED_OUT.take() } else { None }
}

#[cfg(test)]
mod tests {
    use httpserver::{Body, StatusCode};

    use super::*;

    fn early(status: StatusCode) -> Early {
        Early { response: Response::new(status), rest: Rest::Body(Body::channel().0.driver()) }
    }

    fn watch(poll: impl FnOnce()) -> Option<Box<Early>> {
        let watch = Watch::begin();
        poll();
        watch.end()
    }

    #[test]
    fn each_poll_gets_what_was_handed_out_in_it() {
        let mut inner = None;
        let outer = watch(|| {
            hand_out(early(StatusCode::OK));
            assert!(watch(|| {}).is_none());
            inner = watch(|| hand_out(early(StatusCode::ACCEPTED)));
        });
        assert_eq!(inner.unwrap().response.status(), StatusCode::ACCEPTED);
        assert_eq!(outer.unwrap().response.status(), StatusCode::OK);
        assert!(watch(|| {}).is_none());
    }

    /// A poll that hands something out before it panics.
    fn panicking() {
        let result = std::panic::catch_unwind(|| {
            watch(|| {
                hand_out(early(StatusCode::ACCEPTED));
                panic!("in an inner poll");
            })
        });
        assert!(result.is_err());
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        assert!(watch(panicking).is_none());
        let outer = watch(|| {
            hand_out(early(StatusCode::OK));
            panicking();
        });
        assert_eq!(outer.unwrap().response.status(), StatusCode::OK);
        assert!(watch(|| {}).is_none());
    }
}
