//! Handlers with a method for each HTTP method.

use std::any::type_name;

use httpserver::Method;

use crate::error::{Error, Result};
use crate::exchange::Exchange;
use crate::locals::Locals;

/// A resource: one object that answers several methods, in the manner of Tornado's class of that name.
///
/// One object serves all requests (`&self`), so it holds what they share: a room, a database handle, a counter in a
/// `Cell`. What belongs to one request lives in its [`Exchange`] and the exchange's [`locals`](Exchange::locals).
///
/// For each request: [`prepare`](RequestHandler::prepare), then the method, then
/// [`on_finish`](RequestHandler::on_finish), exactly once, whatever happened. A `prepare` that fails or finishes the
/// response keeps the method from being called. HEAD is answered by `head` if `METHODS` lists it, otherwise by `get`;
/// OPTIONS by `options` if listed, otherwise by the router. Methods that are not listed get 405 with an `Allow` header,
/// without `prepare`.
///
/// # Examples
///
/// ```
/// use std::cell::RefCell;
/// use web::{Application, Exchange, Method, RequestHandler};
///
/// #[derive(Default)]
/// struct Guestbook { entries: RefCell<Vec<String>> }
///
/// impl RequestHandler for Guestbook {
///     const METHODS: &'static [Method] = &[Method::GET, Method::POST];
///
///     async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
///         for entry in self.entries.borrow().iter() {
///             exchange.write(entry);
///             exchange.write("\n");
///         }
///         Ok(())
///     }
///
///     async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
///         let entry = exchange.argument::<String>("entry").await?;
///         self.entries.borrow_mut().push(entry);
///         exchange.redirect("/guestbook")
///     }
/// }
///
/// let application = Application::new().handler("/guestbook", Guestbook::default());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `RequestHandler`",
    note = "a single `async fn` is added with `Application::get`, `post`, … or `route`"
)]
pub trait RequestHandler: Sized + 'static {
    /// The methods that this type implements: routing, 405 and `Allow` go by it.
    ///
    /// There is no default, because Rust cannot tell which of the methods below were written. A method listed here but
    /// not written is answered with 500 and a log line; one that is written but not listed is never called.
    const METHODS: &'static [Method];

    /// Runs before the method, for what all of them need: who the user is, which room it is about.
    ///
    /// # Errors
    ///
    /// An error is the answer, and the method is not called; neither is it after [`Exchange::finish`] or
    /// [`Exchange::redirect`].
    async fn prepare(&self, exchange: &mut Exchange) -> Result<()> {
        let _ = exchange;
        Ok(())
    }

    /// Answers GET, and HEAD unless that is listed too.
    async fn get(&self, exchange: &mut Exchange) -> Result<()> {
        unimplemented::<Self>(exchange)
    }

    /// Answers HEAD.
    async fn head(&self, exchange: &mut Exchange) -> Result<()> {
        unimplemented::<Self>(exchange)
    }

    /// Answers POST.
    async fn post(&self, exchange: &mut Exchange) -> Result<()> {
        unimplemented::<Self>(exchange)
    }

    /// Answers PUT.
    async fn put(&self, exchange: &mut Exchange) -> Result<()> {
        unimplemented::<Self>(exchange)
    }

    /// Answers PATCH.
    async fn patch(&self, exchange: &mut Exchange) -> Result<()> {
        unimplemented::<Self>(exchange)
    }

    /// Answers DELETE.
    async fn delete(&self, exchange: &mut Exchange) -> Result<()> {
        unimplemented::<Self>(exchange)
    }

    /// Answers OPTIONS. Unless it is listed, the router answers with `Allow`.
    async fn options(&self, exchange: &mut Exchange) -> Result<()> {
        unimplemented::<Self>(exchange)
    }

    /// Runs when the response is complete and its last bytes have been handed down: logging, releasing. It runs exactly
    /// once for each request that was routed here, also after errors, panics, and when the handler was dropped because
    /// its connection broke. The response can no longer be changed.
    fn on_finish(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }

    /// Runs when the client has gone away, or has at least closed its side, while `prepare` or the method was waiting.
    ///
    /// The method goes on unless it ends itself, since the client may still be reading; here is the place to wake it up.
    /// It holds the exchange, so what this needs comes from the exchange's `locals`. See also
    /// [`Exchange::while_connected`], which does the same for a single wait.
    fn on_connection_close(&self, locals: &Locals) {
        let _ = locals;
    }

    /// Writes the page for an error. If nothing is written, the application's error page is used.
    ///
    /// Status and headers have been reset to the error's status and no headers.
    fn write_error(&self, exchange: &mut Exchange, error: &Error) {
        let _ = (exchange, error);
    }
}

/// Calls what answers the request's method.
pub(crate) async fn dispatch<H: RequestHandler>(handler: &H, exchange: &mut Exchange) -> Result<()> {
    handler.prepare(exchange).await?;
    if exchange.is_finished() {
        return Ok(());
    }
    match called::<H>(exchange.method()) {
        Method::GET => handler.get(exchange).await,
        Method::HEAD => handler.head(exchange).await,
        Method::POST => handler.post(exchange).await,
        Method::PUT => handler.put(exchange).await,
        Method::PATCH => handler.patch(exchange).await,
        Method::DELETE => handler.delete(exchange).await,
        Method::OPTIONS => handler.options(exchange).await,
        _ => unimplemented::<H>(exchange),
    }
}

/// The method that answers: GET for a HEAD that is not listed.
fn called<H: RequestHandler>(method: &Method) -> Method {
    if method == Method::HEAD && !H::METHODS.contains(method) {
        return Method::GET;
    }
    method.clone()
}

fn unimplemented<H>(exchange: &Exchange) -> Result<()> {
    Err(Error::Unimplemented { method: exchange.method().clone(), handler: type_name::<H>() })
}
