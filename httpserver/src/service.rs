use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{IntoResponse, Request, Response};

/// Answers requests: an async closure or function, or a type of your own.
///
/// All connections of a server share one service. It need not be `Send`, so its state can be a plain `Rc` and `RefCell`.
///
/// `call` runs once per request, and its future is polled inside the connection's own task: a request costs no task and no
/// box. In exchange every connection, idle or not, has room for the service's largest future. If yours is large, return
/// it boxed, or use [`Reply`].
///
/// A panic in `call` or in its future is caught. The client gets a 500 if nothing was sent yet, and the connection ends;
/// all others never notice. A panic in a destructor behind a whole answer takes nothing from it.
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
    /// Answers one request. The future ends when the head of the answer is known. A body that is produced over time is part
    /// of the [`Response`], and the connection pulls it afterwards.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped before its end when a drain's time is over, and when the client leaves if the request asked
    /// for that ([`cancel_on_disconnect`](Request::cancel_on_disconnect)).
    fn call(&self, request: Request) -> impl Future<Output = Response>;

    /// Erases the type of the service, to keep it in a field or a table, or to choose between several.
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

/// A service of any type, made by [`Service::boxed`]. Clones share the service.
///
/// Each call allocates once, for the future, and frees that when the answer is known.
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
    #[inline]
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
    /// Turns the return value of a function into a response. An `async` block would do the same with twice the size: it
    /// holds the function's future as what it captured, and again as what it awaits.
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

/// A small future for a service: an answer that is ready, or a boxed future.
///
/// Every connection has room for its service's future, also while it waits for a request. Return this from a service that
/// answers most requests at once and waits in a few, and idle connections stay small.
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
    /// `None` once it has been returned.
    Now(Option<Response>),
    Later(Pin<Box<dyn Future<Output = Response> + 'a>>),
}

impl<'a> Reply<'a> {
    /// An answer that is ready. Allocates nothing.
    pub fn now(response: impl IntoResponse) -> Reply<'a> {
        Reply(State::Now(Some(response.into_response())))
    }

    /// An answer that `future` produces. Allocates once, for the future, until the answer is known.
    pub fn later(future: impl Future<Output = Response> + 'a) -> Reply<'a> {
        Reply(State::Later(Box::pin(future)))
    }
}

impl Future for Reply<'_> {
    type Output = Response;

    /// # Panics
    ///
    /// When polled again after it has returned the answer.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match &mut self.0 {
            State::Now(response) => Poll::Ready(response.take().expect("a reply gives its answer once")),
            State::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Reply<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Now(response) => f.debug_tuple("Reply").field(response).finish(),
            State::Later(_) => f.write_str("Reply(later)"),
        }
    }
}
