use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{IntoResponse, Request, Response};

/// What answers requests: an async closure or function, or a type of your own.
///
/// A service is shared by all connections of a server and need not be `Send`: plain `Rc` and `RefCell` serve as its
/// state. It is called once per request and its future is awaited inside the connection's own task, so a request costs no
/// task and no box. The price is that every connection, idle or not, has room for the service's largest future; a service
/// with a big one can return it boxed.
///
/// A panic in a service's future is caught: the client gets a 500 if nothing was sent yet, otherwise a closed connection;
/// all others never notice. A panic in `call` itself, before there is a future, closes the connection.
///
/// # Examples
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use httpserver::{HttpServer, Request, Response, Service};
///
/// // A closure,
/// let visits = Rc::new(Cell::new(0));
/// HttpServer::new(async move |request: Request| {
///     visits.set(visits.get() + 1);
///     format!("{} is visit number {}\n", request.path(), visits.get())
/// });
///
/// // or a type.
/// struct Greeter {
///     greeting: String,
/// }
///
/// impl Service for Greeter {
///     async fn call(&self, request: Request) -> Response {
///         Response::text(format!("{}, {}\n", self.greeting, request.path()))
///     }
/// }
/// HttpServer::new(Greeter { greeting: "Hello".into() });
/// ```
pub trait Service: 'static {
    /// Answers one request.
    fn call(&self, request: Request) -> impl Future<Output = Response>;
}

impl<F, R> Service for F
where
    F: AsyncFn(Request) -> R + 'static,
    R: IntoResponse,
{
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        Answering { future: self(request) }
    }
}

pin_project! {
    /// Turns what a function returns into a response. An `async` block would do, but it would hold the function's future
    /// twice: as what it captured, and as what it awaits.
    struct Answering<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output: IntoResponse>> Future for Answering<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        self.project().future.poll(cx).map(IntoResponse::into_response)
    }
}
