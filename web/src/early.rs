//! How a handler that streams hands out its response while its future goes on.
//!
//! A handler's future is polled by [`Answering`](crate::answering::Answering), which has to return the response as soon
//! as its head is known, and the future does not end there: it becomes the response's body. The exchange, which knows the
//! head, lives inside that future, where nothing outside can reach it. So the two meet here: what a flush hands out during
//! a poll is taken by whoever polled.

use std::cell::Cell;

use httpserver::{BodyDriver, Response};

/// A response whose handler goes on.
pub(crate) struct Early {
    pub(crate) response: Response,
    /// Takes the rest of the handler's future.
    pub(crate) driver: BodyDriver,
}

thread_local! {
    static HANDED_OUT: Cell<Option<Box<Early>>> = const { Cell::new(None) };
}

/// Hands out a response, to whoever polls the handler that is running.
#[inline]
pub(crate) fn hand_out(early: Early) {
    HANDED_OUT.set(Some(Box::new(early)));
}

/// Runs `poll`, and returns what it returned with what was handed out meanwhile.
///
/// Polls nest: a handler may call another application. What the outer one has handed out by then stays its own.
pub(crate) fn watch<T>(poll: impl FnOnce() -> T) -> (T, Option<Box<Early>>) {
    let outer = Restore(HANDED_OUT.take());
    let result = poll();
    let early = HANDED_OUT.take();
    drop(outer);
    (result, early)
}

/// Puts back what an outer poll has handed out, also when the inner one panics.
struct Restore(Option<Box<Early>>);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(early) = self.0.take() {
            HANDED_OUT.set(Some(early));
        }
    }
}

#[cfg(test)]
mod tests {
    use httpserver::{Body, StatusCode};

    use super::*;

    fn early(status: StatusCode) -> Early {
        Early { response: Response::new(status), driver: Body::channel().0.driver() }
    }

    #[test]
    fn each_poll_gets_what_was_handed_out_in_it() {
        let (inner, outer) = watch(|| {
            hand_out(early(StatusCode::OK));
            let (_, none) = watch(|| {});
            assert!(none.is_none());
            watch(|| hand_out(early(StatusCode::ACCEPTED))).1
        });
        assert_eq!(inner.unwrap().response.status(), StatusCode::ACCEPTED);
        assert_eq!(outer.unwrap().response.status(), StatusCode::OK);
        assert!(watch(|| {}).1.is_none());
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let result = std::panic::catch_unwind(|| {
            watch(|| {
                hand_out(early(StatusCode::OK));
                let _ = std::panic::catch_unwind(|| watch(|| panic!("in an inner poll")));
            })
            .1
            .is_some()
        });
        assert!(result.unwrap());
        assert!(watch(|| {}).1.is_none());
    }
}
