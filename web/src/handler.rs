//! Functions as handlers.

use std::future::Future;

use crate::{error::Result, exchange::Exchange, routing::Needs};

/// Something that answers requests: above all an `async fn` over the exchange.
///
/// Implemented for every `async fn(exchange: &mut Exchange) -> web::Result<()>` and for async closures of that shape,
/// which may capture what they need (an `Rc`, a `RefCell`: everything runs on one thread):
///
/// ```
/// use std::cell::Cell;
/// use web::{Application, Exchange};
///
/// async fn hello(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write("Hello");
///     Ok(())
/// }
///
/// let visits = Cell::new(0u64);
/// let application = Application::new()
///     .get("/", hello)
///     .get("/visits", async move |exchange: &mut Exchange| {
///         visits.set(visits.get() + 1);
///         exchange.write(visits.get().to_string());
///         Ok(())
///     });
/// ```
///
/// Implement it yourself for a type that takes part in several routes with different data; for the methods of one
/// resource see [`RequestHandler`](crate::RequestHandler).
///
/// ```
/// use web::{Application, Exchange, Handler};
///
/// struct Moved(&'static str);
///
/// impl Handler for Moved {
///     async fn handle(&self, exchange: &mut Exchange) -> web::Result<()> {
///         exchange.redirect(self.0)
///     }
/// }
///
/// let application = Application::new().get("/old", Moved("/new")).get("/older", Moved("/new"));
/// ```
///
/// What all handlers of an application share can be its [state](crate::Application::state) instead, which
/// [`with_state`](crate::with_state) hands to an `async fn` that takes it.
///
/// # When the compiler objects
///
/// * ``expected `Result<(), Error>`, found `()` ``: the function returns nothing. Let it return `web::Result<()>` and
///   end with `Ok(())`.
/// * `type mismatch in function arguments`: the parameter is not `&mut Exchange`. A closure has to name the type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer requests",
    label = "not a handler",
    note = "a handler is an `async fn(exchange: &mut Exchange) -> web::Result<()>` or an async closure of that shape",
    note = "an `impl RequestHandler` is added with `Application::handler`"
)]
pub trait Handler: 'static {
    /// Answers one request.
    ///
    /// # Errors
    ///
    /// An error becomes the response: its status, and a page made by `error_page`.
    fn handle(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>>;

    /// Says what the handler needs of its application, so that what is missing shows when the server starts. Nothing, unless
    /// it is written; [`with_state`](crate::with_state) writes it.
    fn needs(&self, needs: &mut Needs) {
        let _ = needs;
    }
}

impl<F> Handler for F
where
    F: AsyncFn(&mut Exchange) -> Result<()> + 'static,
{
    fn handle(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
        self(exchange)
    }
}
