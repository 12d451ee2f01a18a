//! The future of a request: the response, or its head when the handler streams.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use httpserver::{Response, Result};

use crate::early::{self, Early};

/// What the future of a call ends with.
pub(crate) enum Outcome {
    /// A response as a whole.
    Whole(Response),
    /// The end of a body whose response was handed out before.
    Streamed(Result<()>),
}

/// The future of a call, boxed: once per request and for all handlers alike, so that a connection carries a pointer
/// instead of the largest future of all routes.
pub(crate) type CallFuture = Pin<Box<dyn Future<Output = Outcome>>>;

/// Polls a call until its response is known. If that is before the call's end, the rest of the future becomes the body.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Answering {
    /// `None` once the response is known.
    call: Option<CallFuture>,
}

impl Answering {
    pub(crate) fn new(call: CallFuture) -> Answering {
        Answering { call: Some(call) }
    }
}

impl Future for Answering {
    type Output = Response;

    /// # Panics
    ///
    /// When polled again after it has returned the response.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let call = self.call.as_mut().expect("a call is polled until its response is known");
        let (polled, early) = early::watch(|| call.as_mut().poll(cx));
        match (polled, early) {
            (Poll::Ready(Outcome::Whole(response)), _) => Poll::Ready(response),
            (Poll::Pending, None) => Poll::Pending,
            (Poll::Pending, Some(early)) => {
                let Early { response, driver } = *early;
                if let Some(call) = self.call.take() {
                    driver.drive(async move {
                        match call.await {
                            Outcome::Streamed(result) => result,
                            // Not reached: a response that was handed out is not made a second time.
                            Outcome::Whole(_) => Ok(()),
                        }
                    });
                }
                Poll::Ready(response)
            }
            (Poll::Ready(Outcome::Streamed(result)), Some(early)) => {
                early.driver.drive(std::future::ready(result));
                Poll::Ready(early.response)
            }
            // Not reached: a body comes to its end behind its head.
            (Poll::Ready(Outcome::Streamed(_)), None) => Poll::Ready(Response::abort()),
        }
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answering")
    }
}
