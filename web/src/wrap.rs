//! What runs around handlers.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use crate::{
    error::Result,
    exchange::Exchange,
    routing::{Needs, within},
    scope::Scope,
};

/// Something that runs around handlers: it looks at a request before them, and at what came of it behind them.
///
/// Above all an `async fn(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()>`, or an async closure of that shape.
/// It is put around a whole application ([`Application::wrap`](crate::Application::wrap)), around the routes of a nested one
/// ([`Application::nest`](crate::Application::nest)), or around one route ([`Route::wrap`](crate::Route::wrap)).
///
/// A wrap can
///
/// * answer itself, by not calling [`Next::run`], or by returning an error;
/// * leave values for the handler in [`Exchange::extensions`];
/// * turn an error of what it wraps into an answer, or the other way round;
/// * look at the response, whole or streamed, and change its head and body:
///   [`Exchange::on_response`](crate::Exchange::on_response).
///
/// # Order
///
/// The wraps of an application run around those of the applications nested in it, and these around those of the route. Of
/// several at one place the one added first is outermost. The wraps of an application run for every request, those that no
/// route answers included. Routing comes first: [`Exchange::pattern`] is known.
///
/// # Cost
///
/// Each wrap is one allocation per request, of its future's size, and the handler inside wraps is one more. Without wraps
/// nothing is paid.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, Next};
///
/// /// Lets pages of other origins read the answers, errors and streams included.
/// async fn cors(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
///     exchange.on_response(|response| {
///         let _ = response.set_header("Access-Control-Allow-Origin", "*");
///     });
///     next.run(exchange).await
/// }
///
/// async fn hello(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text("hello");
///     Ok(())
/// }
///
/// let application = Application::new().get("/", hello).wrap(cors);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run around handlers",
    label = "not a wrap",
    note = "a wrap is an `async fn(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()>` or an async closure of that shape"
)]
pub trait Wrap: 'static {
    /// Runs around one request.
    ///
    /// # Errors
    ///
    /// An error becomes the response, unless a wrap further out makes something else of it.
    fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> impl Future<Output = Result<()>>;

    /// Says what the wrap needs of the application, so that what is missing shows when the server starts. Nothing, unless it is
    /// written.
    fn needs(&self, needs: &mut Needs) {
        let _ = needs;
    }
}

impl<F> Wrap for F
where
    F: AsyncFn(&mut Exchange, Next<'_>) -> Result<()> + 'static,
{
    fn wrap(&self, exchange: &mut Exchange, next: Next<'_>) -> impl Future<Output = Result<()>> {
        self(exchange, next)
    }
}

/// A future of a wrap or handler whose type is forgotten.
pub(crate) type BoxFuture<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A [`Wrap`] of any type.
pub(crate) trait AnyWrap {
    fn wrap<'a>(&'a self, exchange: &'a mut Exchange, next: Next<'a>) -> BoxFuture<'a>;

    fn needs(&self, needs: &mut Needs);

    /// For the test kit, which looks for wraps that it knows.
    #[cfg(all(feature = "testing", feature = "sessions"))]
    fn as_any(&self) -> &dyn std::any::Any;
}

impl<W: Wrap> AnyWrap for W {
    fn wrap<'a>(&'a self, exchange: &'a mut Exchange, next: Next<'a>) -> BoxFuture<'a> {
        Box::pin(Wrap::wrap(self, exchange, next))
    }

    fn needs(&self, needs: &mut Needs) {
        Wrap::needs(self, needs);
    }

    #[cfg(all(feature = "testing", feature = "sessions"))]
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// What wraps run around: a handler of any type.
pub(crate) trait AnyHandler {
    fn handle<'a>(&'a self, exchange: &'a mut Exchange) -> BoxFuture<'a>;
}

/// What a [`Wrap`] runs around: the wraps further in, and the handler.
pub struct Next<'a> {
    application: &'a Scope,
    route: &'a Scope,
    /// How many wraps have been passed, of the application and then of the route.
    passed: usize,
    handler: &'a dyn AnyHandler,
}

impl<'a> Next<'a> {
    pub(crate) fn new(application: &'a Scope, route: &'a Scope, handler: &'a dyn AnyHandler) -> Next<'a> {
        Next { application, route, passed: 0, handler }
    }

    /// Runs what is further in, until the handler has returned. A response that was not streamed is still to be sent
    /// then; its status can be changed, and more can be written. Of a streamed one the head has left.
    ///
    /// # Errors
    ///
    /// Those of what is further in. Nothing has been made of them yet: returned, an error becomes its page.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the handler where it waits.
    pub async fn run(self, exchange: &mut Exchange) -> Result<()> {
        self.start(exchange).await
    }

    /// The future of what is further in.
    pub(crate) fn start(self, exchange: &'a mut Exchange) -> BoxFuture<'a> {
        let Next { application, route, passed, handler } = self;
        let (outer, inner) = (application.wraps(), route.wraps());
        let wrap = outer.get(passed).or_else(|| inner.get(passed - outer.len()));
        match wrap {
            Some(wrap) => wrap.wrap(exchange, Next { passed: passed + 1, ..self }),
            None => match route.handler_timeout().or(application.handler_timeout()) {
                None | Some(Duration::MAX) => handler.handle(exchange),
                Some(limit) => within(limit, handler.handle(exchange)),
            },
        }
    }
}

impl fmt::Debug for Next<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wraps = self.application.wraps().len() + self.route.wraps().len() - self.passed;
        f.debug_struct("Next").field("wraps", &wraps).finish_non_exhaustive()
    }
}
