//! Handlers with a method for each HTTP method.

use std::{
    any::{TypeId, type_name},
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use httpserver::{Extensions, Method};

use crate::{
    error::{Error, Result},
    exchange::Exchange,
    routing::Needs,
};

/// A resource: one object that answers several methods, in the manner of Tornado's class of that name.
///
/// One object serves all requests (`&self`), so it holds what they share: a room, a database handle, a counter in a
/// `Cell`. What belongs to one request lives in its [`Exchange`] and the exchange's [`extensions`](Exchange::extensions).
///
/// A request runs [`prepare`](RequestHandler::prepare), then the method, then
/// [`on_finish`](RequestHandler::on_finish), which runs exactly once whatever happened. If `prepare` fails or finishes the
/// response, the method is not called. `head` answers HEAD if `METHODS` lists it, otherwise `get` does; `options` answers
/// OPTIONS if listed, otherwise the router does. A method that is not listed is 405 with an `Allow` header, without
/// `prepare`.
///
/// Write the methods as `async fn`, and list those that you write in [`METHODS`](RequestHandler::METHODS).
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
///             // As text: entries come from clients, and would have to be escaped in HTML.
///             exchange.write_text(entry);
///             exchange.write_text("\n");
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
    /// The methods that this type implements. Routing, 405 and `Allow` follow it.
    ///
    /// It lists exactly the methods that the `impl` contains. [`Application::handler`](crate::Application::handler) panics
    /// and names the method when one is listed but not written, or written but not listed. A type that passes every method
    /// on to another handler therefore has to list all seven.
    const METHODS: &'static [Method];

    /// Says what the handler needs of its application, so that what is missing shows when the server starts. Nothing, unless
    /// it is written.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, Method, Needs, RequestHandler};
    ///
    /// struct Motto(&'static str);
    ///
    /// struct Page;
    ///
    /// impl RequestHandler for Page {
    ///     const METHODS: &'static [Method] = &[Method::GET];
    ///
    ///     fn needs(&self, needs: &mut Needs) {
    ///         needs.state::<Motto>();
    ///     }
    ///
    ///     async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
    ///         exchange.write_text(exchange.state::<Motto>()?.0);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let application = Application::new().state(Motto("Plain is better")).handler("/", Page);
    /// ```
    fn needs(&self, needs: &mut Needs) {
        let _ = needs;
    }

    /// Runs before the method: the place for what all methods need, such as looking up the user.
    ///
    /// The method is not called after [`Exchange::finish`] or [`Exchange::redirect`].
    ///
    /// # Errors
    ///
    /// An error becomes the answer, and the method is not called.
    async fn prepare(&self, exchange: &mut Exchange) -> Result<()> {
        let _ = exchange;
        Ok(())
    }

    /// Answers GET, and HEAD unless that is listed too.
    fn get(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
        let _ = exchange;
        Unwritten::new::<Self>(Method::GET)
    }

    /// Answers HEAD.
    fn head(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
        let _ = exchange;
        Unwritten::new::<Self>(Method::HEAD)
    }

    /// Answers POST.
    fn post(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
        let _ = exchange;
        Unwritten::new::<Self>(Method::POST)
    }

    /// Answers PUT.
    fn put(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
        let _ = exchange;
        Unwritten::new::<Self>(Method::PUT)
    }

    /// Answers PATCH.
    fn patch(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
        let _ = exchange;
        Unwritten::new::<Self>(Method::PATCH)
    }

    /// Answers DELETE.
    fn delete(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
        let _ = exchange;
        Unwritten::new::<Self>(Method::DELETE)
    }

    /// Answers OPTIONS. Unless it is listed, the router answers with `Allow`.
    fn options(&self, exchange: &mut Exchange) -> impl Future<Output = Result<()>> {
        let _ = exchange;
        Unwritten::new::<Self>(Method::OPTIONS)
    }

    /// Runs when the response is complete and its last bytes have been handed down: the place to log and to release. It
    /// runs exactly once for each request that was routed here, also after an error, after a panic, and when the handler
    /// was dropped because its connection broke. The response can no longer be changed.
    fn on_finish(&self, exchange: &mut Exchange) {
        let _ = exchange;
    }

    /// Runs when the client has gone away, or has at least closed its side, while `prepare` or the method was waiting.
    ///
    /// The method goes on, since the client may still be reading; this is the place to wake it up. The method holds the
    /// exchange, so this function gets the exchange's `extensions` instead. For a single wait see
    /// [`Exchange::while_connected`].
    fn on_connection_close(&self, extensions: &Extensions) {
        let _ = extensions;
    }

    /// Writes the page for an error. If it writes nothing, the application's error page is used.
    ///
    /// The response has the error's status and headers, and nothing of what the handler had written.
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
        // Not reached: a type that lists another method is refused by `check_methods`.
        ref method => Unwritten::new::<H>(method.clone()).await,
    }
}

/// The method that answers: GET for a HEAD that is not listed.
fn called<H: RequestHandler>(method: &Method) -> Method {
    if method == Method::HEAD && !H::METHODS.contains(method) {
        return Method::GET;
    }
    method.clone()
}

/// Checks that `METHODS` lists what is written, and nothing else.
///
/// # Panics
///
/// If it does not.
#[track_caller]
pub(crate) fn check_methods<H: RequestHandler>() {
    let written = [
        (Method::GET, is_written(H::get)),
        (Method::HEAD, is_written(H::head)),
        (Method::POST, is_written(H::post)),
        (Method::PUT, is_written(H::put)),
        (Method::PATCH, is_written(H::patch)),
        (Method::DELETE, is_written(H::delete)),
        (Method::OPTIONS, is_written(H::options)),
    ];
    let handler = type_name::<H>();
    for (method, is_written) in &written {
        let name = method.as_str().to_ascii_lowercase();
        match (H::METHODS.contains(method), is_written) {
            (true, false) => panic!("{handler} lists {method} in METHODS, but `{name}` is not written"),
            (false, true) => {
                panic!("{handler} writes `{name}`, but METHODS does not list {method}: it is never called")
            }
            _ => {}
        }
    }
    for method in H::METHODS {
        assert!(
            written.iter().any(|(known, _)| known == method),
            "{handler} lists {method} in METHODS, for which a RequestHandler has no function: add it with `route`"
        );
    }
}

/// Whether a method is one that the handler's type has written itself: the futures of the others are [`Unwritten`].
///
/// Nothing is called. The lifetimes are chosen, since only types without borrows have an identity.
fn is_written<H, F: Future + 'static>(_: fn(&'static H, &'static mut Exchange) -> F) -> bool {
    TypeId::of::<F>() != TypeId::of::<Unwritten>()
}

/// The future of a method that a type has not written. No `async fn` has this type, which is what tells them apart.
#[derive(Debug)]
struct Unwritten(Ready<Result<()>>);

impl Unwritten {
    fn new<H>(method: Method) -> Unwritten {
        Unwritten(ready(Err(Error::Unimplemented { method, handler: type_name::<H>() })))
    }
}

impl Future for Unwritten {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
