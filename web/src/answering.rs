//! The future of a request: the response, or its head when the handler streams.

use std::{
    fmt,
    future::Future,
    mem::{self, MaybeUninit},
    pin::Pin,
    task::{Context, Poll},
};

use httpserver::{Response, Result};

use crate::early::{Early, Rest, Watch};

/// The future of a call, boxed: once per request and for all handlers alike, so that a connection carries a pointer
/// instead of the largest future of all routes.
///
/// It ends with the response. If that was handed out before, all that is left to say is whether its body is complete:
/// [`Response::abort`] when it is not, and any other when it is. A type of its own for the two would be moved once more.
pub(crate) type CallFuture = Pin<Box<dyn Future<Output = Response>>>;

/// The future of a call in the `place` that was allocated for it. That comes before the call is made: allocating may unwind,
/// and a call that would have to be dropped then is made on the stack and copied into its box.
#[inline(always)]
pub(crate) fn put<F: Future<Output = Response> + 'static>(place: Box<MaybeUninit<F>>, future: F) -> CallFuture {
    let call = Box::write(place, future);
    Box::into_pin(call)
}

/// Polls a call until its response is known. If that is before the call's end, the rest of the future becomes the body.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Answering {
    /// Replaced by one that never ends once the response is known. An `Option` would make every connection larger.
    call: CallFuture,
}

impl Answering {
    pub(crate) fn new(call: CallFuture) -> Answering {
        Answering { call }
    }
}

impl Future for Answering {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let watch = Watch::begin();
        let polled = self.call.as_mut().poll(cx);
        match watch.end() {
            None => polled,
            Some(early) => Poll::Ready(self.go_on(polled, *early)),
        }
    }
}

impl Answering {
    /// Makes the rest of the call, if there is one, what the response that was handed out goes on with.
    #[cold]
    fn go_on(&mut self, polled: Poll<Response>, Early { response, rest }: Early) -> Response {
        match rest {
            Rest::Body(driver) => match polled {
                Poll::Ready(end) => driver.drive(std::future::ready(completeness(&end))),
                Poll::Pending => {
                    let call = self.take_call();
                    driver.drive(async move { completeness(&call.await) });
                }
            },
            #[cfg(feature = "websocket")]
            Rest::WebSocket(slot) => {
                // One that has ended already has nothing to go on with, and is closed.
                if polled.is_pending() {
                    slot.go_on_with(self.take_call());
                }
            }
        }
        response
    }

    fn take_call(&mut self) -> CallFuture {
        // A box of nothing allocates nothing.
        mem::replace(&mut self.call, Box::pin(std::future::pending()))
    }
}

/// What a call says of a body at its end.
fn completeness(end: &Response) -> Result<()> {
    if end.is_abort() { Err(httpserver::Error::BodyBroken) } else { Ok(()) }
}

impl fmt::Debug for Answering {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering")
    }
}
