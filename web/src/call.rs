//! What happens around each call of a handler: wraps, panics, errors and their pages, the access log.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use httpserver::{
    Method, Response, StatusCode,
    iostream::ioloop::{Printable, report_failure},
};

use crate::{
    access_log::{self, Summary},
    answering::Outcome,
    endpoint::Endpoint,
    error::{Error, HttpError, Result, client_closed_request},
    error_page::write_default_page,
    exchange::Exchange,
    scope::Scope,
    wrap::{AnyHandler, Next},
};

/// A request from the call of its handler to the end of its response.
pub(crate) struct Call {
    pub(crate) exchange: Exchange,
    application: Rc<Scope>,
    route: Rc<Scope>,
    endpoint: Rc<dyn Endpoint>,
    is_over: bool,
}

impl Call {
    pub(crate) fn new(
        mut exchange: Exchange,
        application: Rc<Scope>,
        route: Rc<Scope>,
        endpoint: Rc<dyn Endpoint>,
    ) -> Call {
        if let Some(max) = route.body_limit.or(application.body_limit) {
            exchange.limit_body(max);
        }
        Call { exchange, application, route, endpoint, is_over: false }
    }

    /// Whether anything runs around the handler.
    pub(crate) fn is_wrapped(&self) -> bool {
        !self.application.wraps.is_empty() || !self.route.wraps.is_empty()
    }

    /// Runs the handler inside the wraps.
    pub(crate) async fn run_wrapped(&mut self, handler: &dyn AnyHandler) -> Result<()> {
        let Call { exchange, application, route, .. } = self;
        let next = Next::new(&application.wraps, &route.wraps, handler);
        catch_panic(pin!(next.run(exchange))).await
    }

    /// Makes the response of what the handler left, and winds up.
    pub(crate) fn conclude(&mut self, result: Result<()>) -> Outcome {
        if self.exchange.is_head_sent() {
            return Outcome::Streamed(self.end_stream(result));
        }
        let response = match result {
            Ok(()) => self.exchange.take_response(),
            Err(error) if error.is_client_gone() => return Outcome::Whole(self.give_up(error)),
            Err(error) => self.answer_error(error),
        };
        // Only a header can be at fault, and what the error page sets is all there is now.
        let response = response.or_else(|error| self.answer_error(error));
        let mut response = response.unwrap_or_else(|_| internal_error());
        // Once per hook that panics: those further out are still to see what is sent instead.
        while !self.guard(|call| call.exchange.run_response_hooks(&mut response)) {
            let error = HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).into();
            response = self.answer_error(error).unwrap_or_else(|_| internal_error());
        }
        let status = response.status();
        self.end(status);
        Outcome::Whole(response)
    }

    /// Ends without an answer. Part of the request is missing, and a client that has only closed its writing side must
    /// not take what is sent now for the answer to the whole.
    fn give_up(&mut self, error: Error) -> Response {
        log_error(&error, &self.exchange);
        self.exchange.restart(&error);
        self.end(client_closed_request());
        Response::abort()
    }

    /// Gives the rest of a streamed response to its body.
    fn end_stream(&mut self, result: Result<()>) -> httpserver::Result<()> {
        match result.and_then(|()| self.exchange.end_stream()) {
            Ok(()) => {
                self.end(self.exchange.status());
                Ok(())
            }
            // The head has gone out with another status: all that is left is to let the client see that the body is
            // incomplete.
            Err(error) => {
                let gone = error.is_client_gone();
                log_error(&error, &self.exchange);
                self.exchange.abandon_stream();
                self.end(if gone { client_closed_request() } else { self.exchange.status() });
                Err(httpserver::Error::BodyBroken)
            }
        }
    }

    /// The answer to an error. If the application's own page panics, the default one takes its place.
    fn answer_error(&mut self, error: Error) -> Result<Response> {
        log_error(&error, &self.exchange);
        self.exchange.restart(&error);
        if !self.guard(|call| call.write_page(&error)) {
            self.exchange.restart(&error);
            write_default_page(&mut self.exchange, &error);
        }
        self.exchange.take_response()
    }

    /// The error's page: the handler's, the application's or the default one, whichever first writes something.
    fn write_page(&mut self, error: &Error) {
        let exchange = &mut self.exchange;
        self.endpoint.write_error(exchange, error);
        if let Some(page) = self.route.error_page.as_ref().or(self.application.error_page.as_ref())
            && is_untouched(exchange)
        {
            page(exchange, error);
        }
        if is_untouched(exchange) {
            write_default_page(exchange, error);
        }
    }

    fn end(&mut self, status: StatusCode) {
        self.is_over = true;
        if !self.application.no_access_log && !self.route.no_access_log {
            access_log::record(self.exchange.request(), status);
        }
        self.guard(|call| call.endpoint.on_finish(&mut call.exchange));
    }

    /// Runs code of the application that comes after the handler. False if it panicked, which is logged: the response is
    /// not its to break any more.
    fn guard(&mut self, run: impl FnOnce(&mut Self)) -> bool {
        let result = catch_unwind(AssertUnwindSafe(|| run(self)));
        if let Err(payload) = &result {
            log_error(&Error::panicked(&**payload), &self.exchange);
        }
        result.is_ok()
    }

    /// What the log says of a handler that was dropped where it waited. The response is complete with its head when that
    /// was all there was to send, and the handler is dropped for that reason: the answer to HEAD, a 204, a 304.
    fn status_when_dropped(&self) -> StatusCode {
        let (exchange, status) = (&self.exchange, self.exchange.status());
        let has_no_body = *exchange.method() == Method::HEAD || matches!(status.as_u16(), 204 | 205 | 304);
        let is_complete = exchange.is_head_sent() && (has_no_body || !exchange.is_client_gone());
        if is_complete { status } else { client_closed_request() }
    }
}

/// A response in progress whose connection was cut, or that a stopping server gave up, ends here.
impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_over {
            let status = self.status_when_dropped();
            self.exchange.abandon_stream();
            self.end(status);
        }
    }
}

fn is_untouched(exchange: &Exchange) -> bool {
    !exchange.has_content() && !exchange.is_finished()
}

fn internal_error() -> Response {
    Response::new(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Turns a panic of the handler into an error, so that it gets its page, its log line and its `on_finish` like any other.
///
/// `AssertUnwindSafe`: the future is dropped without being polled again; of the exchange it leaves, nothing but the
/// request is used. What else the handler has shared, it shares at its own risk, as with every panic that is caught.
///
/// Takes a pinned reference because an async function that pins its own argument has room for it twice.
pub(crate) fn catch_panic(
    mut future: Pin<&mut impl Future<Output = Result<()>>>,
) -> impl Future<Output = Result<()>> + Unpin {
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(result) => result,
        Err(payload) => Poll::Ready(Err(panicked(&*payload))),
    })
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> Error {
    Error::panicked(payload)
}

/// Server faults are errors, client faults that the access log's line does not explain are warnings.
fn log_error(error: &Error, exchange: &Exchange) {
    let status = error.status();
    let summary = Summary(exchange.request());
    if error.is_client_gone() {
        log::debug!(target: "web", "{} {summary}: {}", status.as_u16(), Printable::display(error));
    } else if status.is_server_error() && error.has_detail() {
        report_failure("web", format_args!("{} {summary}: {}", status.as_u16(), Printable::display(error)));
    } else if error.has_detail() {
        log::warn!(target: "web", "{} {summary}: {}", status.as_u16(), Printable::display(error));
    }
}
