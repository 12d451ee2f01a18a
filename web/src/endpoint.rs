//! What stands behind a route: a handler with its type erased.

use std::{
    future::{self, Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use httpserver::{Method, Request, StatusCode};

use crate::{
    answering::{CallFuture, put},
    call::Call,
    contained::Contained,
    error::{Error, HttpError, Result},
    exchange::Exchange,
    handler::Handler,
    mounted::Routed,
    request_handler::{RequestHandler, dispatch},
    routing::Needs,
    wrap::{AnyHandler, BoxFuture, begin},
};

/// A handler of some type.
pub(crate) trait Endpoint: AnyHandler {
    /// Answers a request, which is taken out of its place, and whose way leads here. The one box per request is made here.
    fn answer(self: Rc<Self>, request: &mut Option<Request>, route: Routed) -> CallFuture;

    /// The handler's own page for an error, if it has one.
    fn write_error(&self, exchange: &mut Exchange, error: &Error) {
        let _ = (exchange, error);
    }

    /// Whether [`on_finish`](Endpoint::on_finish) does anything.
    fn has_on_finish(&self) -> bool {
        false
    }

    /// Runs when the response is complete.
    fn on_finish(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }

    /// What the handler needs of its application.
    fn needs(&self, needs: &mut Needs) {
        let _ = needs;
    }
}

/// What all kinds of endpoints are made of: a future for each request.
trait Run: 'static {
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> impl Future<Output = Result<()>> + 'a;
}

impl<R: Run> AnyHandler for R {
    fn begin<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        cx: &mut Context<'_>,
        rest: &mut Option<BoxFuture<'a>>,
    ) -> Poll<Result<()>> {
        begin(self.run(exchange), cx, rest)
    }
}

/// [`Endpoint::answer`] of all of them.
#[inline(always)]
fn answer<R: Run>(endpoint: Rc<R>, request: &mut Option<Request>, route: Routed) -> CallFuture {
    let place = Box::new_uninit();
    let mut call = Call::new(request, route);
    put(place, async move {
        call.begin();
        let outcome = match call.is_wrapped() {
            false => Contained::new(|| endpoint.run(&mut call.exchange)).await,
            true => {
                let mounted = Rc::clone(call.mounted());
                call.run_wrapped(&mounted).await
            }
        };
        call.conclude(outcome)
    })
}

/// A [`Handler`].
pub(crate) struct Function<H>(pub(crate) H);

impl<H: Handler> Run for Function<H> {
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> impl Future<Output = Result<()>> + 'a {
        self.0.handle(exchange)
    }
}

impl<H: Handler> Endpoint for Function<H> {
    fn answer(self: Rc<Self>, request: &mut Option<Request>, route: Routed) -> CallFuture {
        answer(self, request, route)
    }

    fn needs(&self, needs: &mut Needs) {
        self.0.needs(needs);
    }
}

/// A [`RequestHandler`].
pub(crate) struct Object<H>(pub(crate) H);

impl<H: RequestHandler> Endpoint for Object<H> {
    fn answer(self: Rc<Self>, request: &mut Option<Request>, route: Routed) -> CallFuture {
        answer(self, request, route)
    }

    fn write_error(&self, exchange: &mut Exchange, error: &Error) {
        self.0.write_error(exchange, error);
    }

    fn has_on_finish(&self) -> bool {
        true
    }

    fn on_finish(&self, exchange: &mut Exchange) {
        self.0.on_finish(exchange);
    }

    fn needs(&self, needs: &mut Needs) {
        self.0.needs(needs);
    }
}

impl<H: RequestHandler> Run for Object<H> {
    /// Calls the handler, and tells it when the client goes away while it waits.
    async fn run<'a>(&'a self, exchange: &'a mut Exchange) -> Result<()> {
        let mut client_gone = Some(exchange.client_gone());
        let extensions = exchange.extensions().clone();
        let mut tell_if_gone = |cx: &mut Context<'_>| {
            if is_ready(&mut client_gone, cx) {
                client_gone = None;
                self.0.on_connection_close(&extensions);
            }
        };
        let mut method = pin!(dispatch(&self.0, exchange));
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

/// What answers a request for which there is no handler.
pub(crate) enum Unrouted {
    /// No route has the path.
    NotFound,
    /// The path's routes have these methods.
    WrongMethod(String),
    /// What may be asked for, in answer to OPTIONS.
    Options(String),
    /// A route has the path with another end.
    Moved(String),
    /// CONNECT, which asks for a tunnel.
    Connect,
}

impl Unrouted {
    fn respond(&self, exchange: &mut Exchange) -> Result<()> {
        let error = match self {
            Unrouted::Options(allow) => {
                exchange.set_status(StatusCode::NO_CONTENT);
                return exchange.set_header("Allow", allow);
            }
            Unrouted::Moved(location) => {
                // Clients may turn other methods into GET at a 301 (RFC 9110, section 15.4.2).
                let is_read = matches!(*exchange.method(), Method::GET | Method::HEAD);
                let status = if is_read { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
                return exchange.redirect_with(status, location);
            }
            Unrouted::NotFound => HttpError::new(StatusCode::NOT_FOUND),
            Unrouted::WrongMethod(allow) => HttpError::new(StatusCode::METHOD_NOT_ALLOWED).header("Allow", allow),
            Unrouted::Connect => HttpError::new(StatusCode::NOT_IMPLEMENTED),
        };
        Err(error.into())
    }
}

impl Run for Unrouted {
    fn run<'a>(&'a self, exchange: &'a mut Exchange) -> impl Future<Output = Result<()>> + 'a {
        future::ready(self.respond(exchange))
    }
}

impl Endpoint for Unrouted {
    fn answer(self: Rc<Self>, request: &mut Option<Request>, route: Routed) -> CallFuture {
        answer(self, request, route)
    }
}
