//! What stands behind a route: a handler with its type erased, and what happens around each call.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use httpserver::iostream::ioloop::Printable;
use httpserver::{IntoResponse, Request, Response, StatusCode};

use crate::access_log::{self, Summary};
use crate::error::{Error, Result, client_closed_request};
use crate::error_page::{ErrorPage, write_default_page};
use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::path_params::PathParams;
use crate::request_handler::{RequestHandler, dispatch};

/// A handler of some type. Its future is boxed, once per request and here: the connection carries a pointer instead of
/// the largest future of all routes.
pub(crate) trait Endpoint {
    fn answer<'a>(&'a self, request: Request, params: PathParams, settings: &'a Settings) -> Answer<'a>;
}

pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Response> + 'a>>;

/// What an application says about all its routes.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) error_page: Option<ErrorPage>,
    pub(crate) no_access_log: bool,
}

/// A [`Handler`].
pub(crate) struct Function<H>(pub(crate) H);

impl<H: Handler> Endpoint for Function<H> {
    fn answer<'a>(&'a self, request: Request, params: PathParams, settings: &'a Settings) -> Answer<'a> {
        let running = Running::new(Exchange::new(request, params), settings, &NoHooks);
        running.answer(async |x: &mut Exchange| catch_panic(pin!(self.0.handle(x))).await)
    }
}

/// A [`RequestHandler`].
pub(crate) struct Object<H>(pub(crate) H);

impl<H: RequestHandler> Endpoint for Object<H> {
    fn answer<'a>(&'a self, request: Request, params: PathParams, settings: &'a Settings) -> Answer<'a> {
        let running = Running::new(Exchange::new(request, params), settings, self);
        running.answer(async |x: &mut Exchange| catch_panic(pin!(self.run(x))).await)
    }
}

/// The answer to a request that no handler sees: a known result goes the way of all results.
pub(crate) fn answer_at_once<'a>(x: Exchange, settings: &'a Settings, result: Result<()>) -> Answer<'a> {
    Running::new(x, settings, &NoHooks).answer(async |_: &mut Exchange| result)
}

impl<H: RequestHandler> Object<H> {
    /// Calls the handler, and tells it when the client goes away while it waits.
    async fn run(&self, x: &mut Exchange) -> Result<()> {
        let locals = x.locals().clone();
        let mut client_gone = Some(x.client_gone());
        let mut tell_if_gone = |cx: &mut Context<'_>| {
            if is_ready(&mut client_gone, cx) {
                client_gone = None;
                self.0.on_connection_close(&locals);
            }
        };
        let mut method = pin!(dispatch(&self.0, x));
        let mut has_waited = false;
        poll_fn(|cx| {
            // Before the method, so that it is told even if the same event ends it. Methods that never wait are spared this.
            if has_waited {
                tell_if_gone(cx);
            }
            let result = method.as_mut().poll(cx);
            if result.is_pending() && !has_waited {
                has_waited = true;
                tell_if_gone(cx);
            }
            result
        })
        .await
    }
}

fn is_ready<F: Future + Unpin>(future: &mut Option<F>, cx: &mut Context<'_>) -> bool {
    match future {
        Some(future) => Pin::new(future).poll(cx).is_ready(),
        None => false,
    }
}

/// The parts of a [`RequestHandler`] that run around its methods, without its type.
trait Hooks {
    fn write_error(&self, x: &mut Exchange, error: &Error);
    fn on_finish(&self, x: &mut Exchange);
}

struct NoHooks;

impl Hooks for NoHooks {
    fn write_error(&self, _: &mut Exchange, _: &Error) {}
    fn on_finish(&self, _: &mut Exchange) {}
}

impl<H: RequestHandler> Hooks for Object<H> {
    fn write_error(&self, x: &mut Exchange, error: &Error) {
        self.0.write_error(x, error);
    }
    fn on_finish(&self, x: &mut Exchange) {
        self.0.on_finish(x);
    }
}

/// A request from the call of its handler to the end of its response.
struct Running<'a> {
    x: Exchange,
    settings: &'a Settings,
    hooks: &'a dyn Hooks,
    is_over: bool,
}

/// How a response ends. Streams are rare: their part of the way is boxed, so that not every waiting request has room
/// for it.
enum Conclusion<'r> {
    Whole(Response),
    Streamed(Answer<'r>),
}

impl<'a> Running<'a> {
    fn new(x: Exchange, settings: &'a Settings, hooks: &'a dyn Hooks) -> Running<'a> {
        Running { x, settings, hooks, is_over: false }
    }

    /// Calls the handler and makes the response.
    fn answer(mut self, handle: impl AsyncFnOnce(&mut Exchange) -> Result<()> + 'a) -> Answer<'a> {
        Box::pin(async move {
            let result = handle(&mut self.x).await;
            match self.conclude(result) {
                Conclusion::Whole(response) => response,
                Conclusion::Streamed(rest) => rest.await,
            }
        })
    }

    /// Makes the response of what the handler left, and winds up.
    fn conclude(&mut self, result: Result<()>) -> Conclusion<'_> {
        if self.x.is_head_sent() {
            return Conclusion::Streamed(Box::pin(self.end_stream(result)));
        }
        let response = match result {
            Ok(()) => self.x.take_response(),
            Err(error) if error.is_client_gone() => return Conclusion::Whole(self.give_up(error)),
            Err(error) => self.answer_error(error),
        };
        // Only a header can be at fault, and what the error page sets is all there is now.
        let response = response.or_else(|error| self.answer_error(error));
        let response = response.unwrap_or_else(|_| Response::new(StatusCode::INTERNAL_SERVER_ERROR));
        let status = response.status();
        Conclusion::Whole(self.end(response, status))
    }

    /// Ends without an answer. Part of the request is missing, and a client that has only closed its writing side must
    /// not take what is sent now for the answer to the whole.
    fn give_up(&mut self, error: Error) -> Response {
        log_error(&error, &self.x);
        self.x.restart(&error);
        self.end(httpserver::Error::Closed.into_response(), client_closed_request())
    }

    /// Sends the rest of a streamed response.
    async fn end_stream(&mut self, result: Result<()>) -> Response {
        let ended = match result {
            Ok(()) => self.x.end_stream().await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(response) => self.end(response, self.x.status()),
            Err(error) => self.abandon(error),
        }
    }

    /// The answer to an error. If the application's own page panics, the default one takes its place.
    fn answer_error(&mut self, error: Error) -> Result<Response> {
        log_error(&error, &self.x);
        self.x.restart(&error);
        if !self.guard(|running| running.write_page(&error)) {
            self.x.restart(&error);
            write_default_page(&mut self.x, &error);
        }
        self.x.take_response()
    }

    /// The error's page: the handler's, the application's or the default one, whichever first writes something.
    fn write_page(&mut self, error: &Error) {
        let x = &mut self.x;
        self.hooks.write_error(x, error);
        if let Some(page) = &self.settings.error_page
            && is_untouched(x)
        {
            page(x, error);
        }
        if is_untouched(x) {
            write_default_page(x, error);
        }
    }

    /// The head has gone out with another status: all that is left is to let the client see that the body is incomplete.
    fn abandon(&mut self, error: Error) -> Response {
        let status = if error.is_client_gone() { client_closed_request() } else { self.x.status() };
        log_error(&error, &self.x);
        self.x.abandon_stream();
        self.end(Response::new(StatusCode::INTERNAL_SERVER_ERROR), status)
    }

    fn end(&mut self, response: Response, status: StatusCode) -> Response {
        self.is_over = true;
        if !self.settings.no_access_log {
            access_log::record(self.x.request(), status);
        }
        self.guard(|running| running.hooks.on_finish(&mut running.x));
        response
    }

    /// Runs code of the application that comes after the handler. False if it panicked, which is logged: the response is
    /// not its to break any more.
    fn guard(&mut self, run: impl FnOnce(&mut Self)) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| run(self)));
        if let Err(payload) = &result {
            log_error(&Error::panicked(&**payload), &self.x);
        }
        result.is_ok()
    }
}

/// A response in progress whose connection was cut, or that a stopping server gave up, ends here.
impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.x.abandon_stream();
            self.end(Response::new(client_closed_request()), client_closed_request());
        }
    }
}

fn is_untouched(x: &Exchange) -> bool {
    !x.has_content() && !x.is_finished()
}

/// Turns a panic of the handler into an error, so that it gets its page, its log line and its `on_finish` like any other.
///
/// `AssertUnwindSafe`: the future is dropped without being polled again; of the exchange it leaves, nothing but the
/// request is used. What else the handler has shared, it shares at its own risk, as with every panic that is caught.
///
/// Takes a pinned reference because an async function that pins its own argument has room for it twice.
fn catch_panic(mut future: Pin<&mut impl Future<Output = Result<()>>>) -> impl Future<Output = Result<()>> + Unpin {
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(result) => result,
        Err(payload) => Poll::Ready(Err(Error::panicked(&*payload))),
    })
}

/// Server faults are errors, client faults that the access log's line does not explain are warnings.
fn log_error(error: &Error, x: &Exchange) {
    let status = error.status();
    let summary = Summary(x.request());
    if error.is_client_gone() {
        log::debug!(target: "web", "{} {summary}: {}", status.as_u16(), Printable::display(error));
    } else if status.is_server_error() && error.has_detail() {
        log::error!(target: "web", "{} {summary}: {}", status.as_u16(), Printable::display(error));
    } else if error.has_detail() {
        log::warn!(target: "web", "{} {summary}: {}", status.as_u16(), Printable::display(error));
    }
}
