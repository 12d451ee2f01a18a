//! What happens around each call of a handler: wraps, panics, errors and their pages, the access log.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use httpserver::{
    Method, Request, Response, StatusCode,
    iostream::ioloop::{Printable, panic_message, report_failure},
};

use crate::{
    access_log::{self, Summary},
    contained::{Contained, Outcome},
    error::{Error, HttpError, Result, client_closed_request},
    error_page::write_default_page,
    exchange::Exchange,
    mounted::{Mounted, Routed},
    wrap::{Next, Running},
};

/// A request from the call of its handler to the end of its response.
pub(crate) struct Call {
    pub(crate) exchange: Exchange,
}

impl Call {
    /// To be built where it stays, in the box of its future: it is large.
    ///
    /// # Panics
    ///
    /// When the place of the request is empty.
    #[inline(always)]
    pub(crate) fn new(request: &mut Option<Request>, route: Routed) -> Call {
        let request = request.take().expect("a request is answered once");
        Call { exchange: Exchange::new(request, route) }
    }

    /// Takes up the request.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if let Some(max) = self.mounted().scope.body_limit {
            self.exchange.limit_body(max);
        }
    }

    /// Whether anything runs around the handler.
    pub(crate) fn is_wrapped(&self) -> bool {
        self.mounted().scope.runs_around()
    }

    /// What answers.
    #[inline]
    pub(crate) fn mounted(&self) -> &Rc<Mounted> {
        self.exchange.mounted()
    }

    /// The handler inside the wraps, running.
    #[inline]
    pub(crate) fn run_wrapped<'a>(&'a mut self, mounted: &'a Mounted) -> Contained<Running<'a>> {
        Contained::new(|| Next::new(mounted).start(&mut self.exchange))
    }

    /// Makes the response of what the handler left, and winds up. What is returned is that of a
    /// [`CallFuture`](crate::answering::CallFuture).
    #[inline(always)]
    pub(crate) fn conclude(&mut self, outcome: Outcome) -> Response {
        match outcome {
            Ok(()) => self.conclude_well(),
            Err(error) => self.conclude_any(Err(*error)),
        }
    }

    fn conclude_well(&mut self) -> Response {
        // The usual way out is short, and moves nothing.
        if self.exchange.is_plain() {
            let response = self.exchange.take_plain();
            self.end(response.status(), Some(&response));
            return response;
        }
        self.conclude_any(Ok(()))
    }

    #[inline(never)]
    fn conclude_any(&mut self, result: Result<()>) -> Response {
        if self.exchange.is_head_sent() {
            return self.end_stream(result);
        }
        let response = match result {
            Ok(()) => self.exchange.take_response(),
            Err(error) if error.is_client_gone() => return self.give_up(error),
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
        self.end(response.sent_status(self.exchange.method()), Some(&response));
        response
    }

    /// Drops the hooks that never ran: what they hold is the user's, and comes too late to break the answer.
    #[cold]
    fn drop_hooks(&mut self) {
        let hooks = self.exchange.take_response_hooks();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(hooks))) {
            log_destructor(&*payload);
        }
    }

    /// Ends without an answer. Part of the request is missing, and a client that has only closed its writing side must
    /// not take what is sent now for the answer to the whole.
    fn give_up(&mut self, error: Error) -> Response {
        log_error(&error, &self.exchange);
        self.exchange.restart(&error);
        self.drop_hooks();
        self.end(client_closed_request(), None);
        Response::abort()
    }

    /// Gives the rest of a streamed response to its body.
    fn end_stream(&mut self, result: Result<()>) -> Response {
        self.drop_hooks();
        match result.and_then(|()| self.exchange.end_stream()) {
            Ok(()) => {
                self.end(self.exchange.status(), None);
                Response::default()
            }
            // The head has gone out with another status: all that is left is to let the client see that the body is
            // incomplete.
            Err(error) => {
                let gone = error.is_client_gone();
                log_error(&error, &self.exchange);
                self.exchange.abandon_stream();
                self.end(if gone { client_closed_request() } else { self.exchange.status() }, None);
                Response::abort()
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
        #[cfg(feature = "debug")]
        if crate::debug::write_page(exchange, error) {
            return;
        }
        let mounted = Rc::clone(exchange.mounted());
        mounted.endpoint.write_error(exchange, error);
        if let Some(page) = &mounted.scope.error_page
            && is_untouched(exchange)
        {
            page(exchange, error);
        }
        if is_untouched(exchange) {
            write_default_page(exchange, error);
        }
    }

    /// `response` is the whole one, if there is one.
    fn end(&mut self, status: StatusCode, response: Option<&Response>) {
        if self.exchange.is_over() {
            return;
        }
        self.exchange.set_over();
        let Mounted { scope, has_on_finish, .. } = &**self.mounted();
        if !scope.no_access_log {
            access_log::record(&self.exchange, status, response, scope.access_log_writer);
        }
        if let Some(observer) = &scope.observer {
            observer.ended(&self.exchange, status);
        }
        if *has_on_finish {
            self.tell_finished();
        }
    }

    #[inline(never)]
    fn tell_finished(&mut self) {
        let endpoint = Rc::clone(&self.mounted().endpoint);
        self.guard(|call| endpoint.on_finish(&mut call.exchange));
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

    /// Winds up without a response. Out of line, so that the drop of a call that has ended is one comparison.
    #[cold]
    fn abandon(&mut self) {
        let status = self.status_when_dropped();
        self.exchange.abandon_stream();
        self.drop_hooks();
        self.end(status, None);
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
    #[inline]
    fn drop(&mut self) {
        if !self.exchange.is_over() {
            self.abandon();
        }
    }
}

fn is_untouched(exchange: &Exchange) -> bool {
    !exchange.has_content() && !exchange.is_finished()
}

fn internal_error() -> Response {
    Response::new(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A panic of what a request left behind, which comes too late for its answer.
#[cold]
fn log_destructor(payload: &(dyn Any + Send)) {
    let message = Printable::text(panic_message(payload));
    report_failure("web", format_args!("panic in a destructor behind the answer: {message}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_waits_is_small() {
        let size = size_of::<Call>();
        assert!(size <= 160, "{size} bytes");
    }
}
