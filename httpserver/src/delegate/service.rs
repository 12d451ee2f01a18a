//! Delegates as a service: reads a request for them, and passes their answer on.

use std::{
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use iostream::ioloop::{Printable, panic_message, report_failure};

use super::{
    HttpConnection, HttpMessageDelegate, HttpServerConnectionDelegate,
    connection::{Head, Shared},
};
use crate::{Error, IntoResponse, Request, Response, Result, Service};

/// Answers requests by delegates. See the [module](super).
///
/// Costs two allocations for each request beyond those of a [`Service`]: for what the connection shares with it, and for
/// the future that makes the calls.
#[derive(Clone)]
pub struct DelegateService<D> {
    delegate: D,
}

impl<D: HttpServerConnectionDelegate> DelegateService<D> {
    /// A service that has `delegate` start each request.
    #[inline]
    pub fn new(delegate: D) -> DelegateService<D> {
        DelegateService { delegate }
    }
}

impl<D: HttpServerConnectionDelegate> Service for DelegateService<D> {
    #[inline]
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        let shared = Rc::new(Shared::default());
        let message = self.delegate.start_request(HttpConnection::new(Rc::clone(&shared)));
        let telling = tell(Telling { message, is_over: false }, request, Rc::clone(&shared));
        answer(shared, Box::pin(telling))
    }
}

/// A future that makes a message's calls.
type TellingFuture = Pin<Box<dyn Future<Output = Result<()>>>>;

/// Makes the calls of a message until the head of its answer is known. What is left of them becomes the work of the body.
#[inline]
async fn answer(shared: Rc<Shared>, telling: TellingFuture) -> Response {
    let mut telling = Some(telling);
    poll_fn(|cx| {
        let told = match &mut telling {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        };
        if told.is_ready() {
            telling = None;
        }
        poll_answer(&shared, told, &mut telling, cx)
    })
    .await
}

#[inline]
fn poll_answer(
    shared: &Rc<Shared>,
    told: Poll<Result<()>>,
    telling: &mut Option<TellingFuture>,
    cx: &mut Context<'_>,
) -> Poll<Response> {
    if let Some(Head { response, driver }) = shared.take_head(cx) {
        if let Some(driver) = driver {
            driver.drive(go_on(Rc::clone(shared), told, telling.take()));
        }
        return Poll::Ready(response);
    }
    match told {
        Poll::Ready(Err(error)) => Poll::Ready(error.into_response()),
        // A task that has the connection may answer yet.
        _ if !shared.is_over() => Poll::Pending,
        Poll::Ready(Ok(())) | Poll::Pending => {
            let error = Error::other("the delegate has dropped its connection without an answer");
            Poll::Ready(error.into_response())
        }
    }
}

/// What is left of a message when its answer has begun. The body ends with the answer, and breaks off with an error.
#[inline]
async fn go_on(shared: Rc<Shared>, told: Poll<Result<()>>, telling: Option<TellingFuture>) -> Result<()> {
    let told = match (told, telling) {
        (Poll::Ready(told), _) => told,
        (Poll::Pending, Some(telling)) => telling.await,
        (Poll::Pending, None) => Ok(()),
    };
    match told {
        Ok(()) => shared.over().await,
        // It comes too late for this answer.
        Err(error) if shared.is_finished() => log::debug!("behind a finished answer: {}", Printable::display(&error)),
        Err(error) => return Err(error),
    }
    if shared.is_finished() { Ok(()) } else { Err(Error::BodyBroken) }
}

/// Makes the calls.
#[inline]
async fn tell<M: HttpMessageDelegate>(mut telling: Telling<M>, mut request: Request, shared: Rc<Shared>) -> Result<()> {
    let mut body = request.take_body();
    telling.message.headers_received(request, &mut body).await?;
    while !shared.is_over() {
        match body.chunk().await? {
            Some(chunk) => telling.message.data_received(chunk).await?,
            None => {
                telling.is_over = true;
                return telling.message.finish().await;
            }
        }
    }
    Ok(())
}

/// A message that has not been told its end. Dropped before that, in whatever way, it tells that there is none.
struct Telling<M: HttpMessageDelegate> {
    message: M,
    is_over: bool,
}

impl<M: HttpMessageDelegate> Drop for Telling<M> {
    #[inline]
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // A panic of the user's must not meet the one that may have led here.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.message.on_connection_close())) {
            let message = Printable::text(panic_message(&*payload));
            report_failure("httpserver", format_args!("panic in on_connection_close: {message}"));
        }
    }
}

impl<D> fmt::Debug for DelegateService<D> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DelegateService")
    }
}
