//! What runs around handlers.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    error::Result,
    exchange::Exchange,
    mounted::Mounted,
    routing::{Needs, within},
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
/// Each wrap is one allocation per request, of its future's size, and about 230 instructions with that. A handler that waits
/// inside wraps is one allocation more. Without wraps nothing is paid.
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
    /// Makes the handler's future and polls it, as [`begin`] does.
    fn begin<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        cx: &mut Context<'_>,
        rest: &mut Option<BoxFuture<'a>>,
    ) -> Poll<Result<()>>;
}

/// Polls a handler's future for the first time, in a box. One that has to be polled again is put into `rest`.
///
/// Here its type is known. So the compiler sees of a handler that never waits that its box is made, polled and dropped in one
/// place, and leaves the box out.
#[inline]
pub(crate) fn begin<'a>(
    future: impl Future<Output = Result<()>> + 'a,
    cx: &mut Context<'_>,
    rest: &mut Option<BoxFuture<'a>>,
) -> Poll<Result<()>> {
    let mut future = Box::pin(future);
    let polled = future.as_mut().poll(cx);
    if polled.is_pending() {
        *rest = Some(future);
    }
    polled
}

/// What a [`Wrap`] runs around: the wraps further in, and the handler.
pub struct Next<'a> {
    mounted: &'a Mounted,
    /// How many wraps have been passed.
    passed: usize,
}

impl<'a> Next<'a> {
    #[inline]
    pub(crate) fn new(mounted: &'a Mounted) -> Next<'a> {
        Next { mounted, passed: 0 }
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
    #[inline]
    pub fn run<'e>(self, exchange: &'e mut Exchange) -> impl Future<Output = Result<()>> + use<'a, 'e>
    where
        'a: 'e,
    {
        // Made at once: a future that made it when it is polled would hold both, in the future of each wrap.
        self.start(exchange)
    }

    /// What is further in, as a future.
    #[inline]
    pub(crate) fn start(self, exchange: &'a mut Exchange) -> Running<'a> {
        let Next { mounted, passed } = self;
        match mounted.scope.wraps().get(passed) {
            Some(wrap) => Running::Boxed(wrap.wrap(exchange, Next { mounted, passed: passed + 1 })),
            None => Running::Handler(mounted, exchange),
        }
    }
}

/// What is further in than a wrap, running.
pub(crate) enum Running<'a> {
    /// A wrap, or a handler that waits.
    Boxed(BoxFuture<'a>),
    /// A handler that has not begun.
    Handler(&'a Mounted, &'a mut Exchange),
    /// A handler that has ended.
    Over,
}

impl Future for Running<'_> {
    type Output = Result<()>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut *self {
            Running::Boxed(future) => future.as_mut().poll(cx),
            handler => handler.begin(cx),
        }
    }
}

impl Running<'_> {
    #[inline(never)]
    fn begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Running::Handler(mounted, exchange) = mem::replace(self, Running::Over) else { return Poll::Pending };
        let mut rest = None;
        let polled = match mounted.scope.handler_timeout() {
            None | Some(Duration::MAX) => mounted.endpoint.begin(exchange, cx, &mut rest),
            Some(limit) => begin(within(limit, &*mounted.endpoint, exchange), cx, &mut rest),
        };
        if let Some(rest) = rest {
            *self = Running::Boxed(rest);
        }
        polled
    }
}

impl fmt::Debug for Next<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wraps = self.mounted.scope.wraps().len() - self.passed;
        f.debug_struct("Next").field("wraps", &wraps).finish_non_exhaustive()
    }
}
