use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
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
    /// Answers one request. The head of the answer is complete when the future is; a body that comes over time is part of
    /// the [`Response`].
    fn call(&self, request: Request) -> impl Future<Output = Response>;

    /// The same service with its type forgotten, for a field, a table or a choice between several.
    fn boxed(self) -> BoxService
    where
        Self: Sized,
    {
        let service = Rc::new(self);
        BoxService {
            call: Rc::new(move |request| {
                let service = Rc::clone(&service);
                Box::pin(async move { service.call(request).await })
            }),
        }
    }
}

/// A service of any type; made by [`Service::boxed`]. Clones share the service. A call costs one allocation, of the
/// future's size, for as long as the future lives.
///
/// # Examples
///
/// ```
/// use httpserver::{BoxService, HttpServer, Request, Service};
///
/// let service: BoxService = match std::env::var("GREETING") {
///     Ok(greeting) => (async move |_: Request| greeting.clone()).boxed(),
///     Err(_) => (async |request: Request| request.path().to_owned()).boxed(),
/// };
/// HttpServer::new(service);
/// ```
#[derive(Clone)]
pub struct BoxService {
    call: Rc<dyn Fn(Request) -> BoxFuture>,
}

type BoxFuture = Pin<Box<dyn Future<Output = Response>>>;

impl Service for BoxService {
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        (self.call)(request)
    }

    fn boxed(self) -> BoxService {
        self
    }
}

impl fmt::Debug for BoxService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxService")
    }
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

/// A service's future of small size: an answer that is there at once, or a boxed future.
///
/// Every connection has room for its service's future, also while it waits for a request. A service that answers most
/// requests at once and waits in others keeps its connections small by returning this.
///
/// # Examples
///
/// ```
/// use httpserver::{Reply, Request, Response, Service};
///
/// struct Echo;
///
/// impl Service for Echo {
///     fn call(&self, mut request: Request) -> impl Future<Output = Response> {
///         if request.is_body_end() {
///             return Reply::now(Response::text("nothing to echo\n"));
///         }
///         Reply::later(async move {
///             match request.bytes().await {
///                 Ok(body) => Response::bytes(body),
///                 Err(error) => httpserver::IntoResponse::into_response(error),
///             }
///         })
///     }
/// }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Reply<'a>(State<'a>);

enum State<'a> {
    /// `None` after it was given.
    Now(Option<Response>),
    Later(Pin<Box<dyn Future<Output = Response> + 'a>>),
}

impl<'a> Reply<'a> {
    /// An answer that is there: costs nothing.
    pub fn now(response: impl IntoResponse) -> Reply<'a> {
        Reply(State::Now(Some(response.into_response())))
    }

    /// An answer that has to be waited for: one allocation, of the future's size, for as long as the request lasts.
    pub fn later(future: impl Future<Output = Response> + 'a) -> Reply<'a> {
        Reply(State::Later(Box::pin(future)))
    }
}

impl Future for Reply<'_> {
    type Output = Response;

    /// # Panics
    ///
    /// When polled again after it gave the answer.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match &mut self.0 {
            State::Now(response) => Poll::Ready(response.take().expect("a reply gives its answer once")),
            State::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Now(response) => f.debug_tuple("Reply").field(response).finish(),
            State::Later(_) => f.write_str("Reply(later)"),
        }
    }
}
