//! A request and the response in progress.

mod arguments;
mod conditional;
mod content;
mod early_hints;
mod fields;
mod input;
#[cfg(feature = "locales")]
mod language;
#[cfg(feature = "multipart")]
mod multipart;
mod output;
mod redirect;
#[cfg(feature = "templates")]
mod render;
mod routed;
#[cfg(feature = "serde")]
mod structs;
mod trailers;
#[cfg(any(feature = "locales", feature = "xsrf"))]
mod vary;
mod while_connected;

use std::{fmt, future::Future, net::IpAddr, rc::Rc};

use httpserver::{
    Body, BodyWriter, ClientGone, Extensions, Protocol, Request, Response, StatusCode, Trailers,
    httputil::ArgumentIndex,
};

#[cfg(feature = "static")]
pub(crate) use self::conditional::precondition_failed;
use self::content::Unsent;
pub use self::{content::Content, while_connected::WhileConnected};
#[cfg(feature = "cookies")]
use crate::set_cookie::SetCookies;
use crate::{
    mounted::{Mounted, Routed},
    path_params::{First, More, Places},
    routing::RouteInfo,
};

/// One request and the response to it while a handler makes it: what every handler is given.
///
/// The request is read through [`path`](Exchange::path), [`query`](Exchange::query), [`argument`](Exchange::argument),
/// [`json`](Exchange::json), [`header`](Exchange::header), [`cookie`](Exchange::cookie) and their relatives; whatever is
/// missing or malformed is an error with the right status, so `?` is all that a handler needs. The response is made with
/// [`write`](Exchange::write), [`set_status`](Exchange::set_status), [`set_header`](Exchange::set_header),
/// [`redirect`](Exchange::redirect). It is sent when the handler returns, or piece by piece with
/// [`flush`](Exchange::flush).
///
/// # Examples
///
/// ```
/// use web::{Exchange, StatusCode};
///
/// async fn order(exchange: &mut Exchange) -> web::Result<()> {
///     let table: u32 = exchange.path("table")?;
///     let dish: String = exchange.argument("dish").await?;
///     exchange.set_status(StatusCode::CREATED);
///     exchange.set_header("X-Kitchen", "open")?;
///     exchange.write_text(format!("{dish} for table {table}"));
///     Ok(())
/// }
/// ```
// In C's order the request has no neighbour that is moved in as well. The two would be put together first, and then be
// copied into the box of the call.
#[repr(C)]
pub struct Exchange {
    request: Request,
    /// The headers of the response, once there are any. Boxed, because requests that wait have none yet.
    head: Option<Box<Response>>,
    /// What answers.
    mounted: Rc<Mounted>,
    /// Where the first parameters stand in the path.
    params: First,
    /// What few handlers need.
    extras: Option<Box<Extras>>,
    /// What was written and not yet sent.
    buffer: Unsent,
    status: StatusCode,
    head_sent: bool,
    kind: Kind,
    /// Whether `ETag` or `Last-Modified` has been set, so that the request's conditions count.
    has_validators: bool,
    stage: Stage,
    /// Whether the request's body has been read as a whole, and is kept with the request.
    collected: bool,
    /// Whether the request is over: the log has been told, and the handler.
    over: bool,
}

/// Where the `Content-Type` of the response comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing was said: what is written is HTML.
    Html,
    /// Something was written as plain text.
    Text,
    /// Something was written as JSON.
    #[cfg(feature = "json")]
    Json,
    /// JSON that nobody is to keep was written, and no header was set.
    #[cfg(feature = "comet")]
    UncachedJson,
    /// The handler has set a `Content-Type`.
    Own,
}

impl Kind {
    /// A response of this type. The type costs nothing here, and a header line when it is added later.
    #[inline]
    fn response(self, body: Body) -> Response {
        match self {
            Kind::Html | Kind::Own => Response::html(body),
            Kind::Text => Response::text(body),
            #[cfg(feature = "json")]
            Kind::Json => Response::json_bytes(body),
            #[cfg(feature = "comet")]
            Kind::UncachedJson => Response::uncached_json_bytes(body),
        }
    }
}

/// How far the response is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Status and headers can still change.
    Open,
    /// The head has been sent.
    Streaming,
    /// The response cannot be added to. Its head may or may not have been sent.
    Finished,
}

pub(crate) type ResponseHook = Box<dyn FnOnce(&mut Response)>;

#[derive(Default)]
struct Extras {
    /// Where the other parameters stand in the path.
    more_params: Option<Box<More>>,
    /// A body that was made elsewhere, in place of what is written. Boxed, because it is large and rare.
    body: Option<Box<Body>>,
    /// Of the body of a response whose head has been sent.
    writer: Option<BodyWriter>,
    /// To follow the body. Boxed, because they are rare.
    trailers: Option<Box<Trailers>>,
    /// To be run when the head of the response is complete.
    response_hooks: Vec<ResponseHook>,
    /// Where the arguments of the form in the body stand, once one was looked up.
    form: Option<ArgumentIndex>,
    #[cfg(feature = "cookies")]
    cookies: SetCookies,
    #[cfg(feature = "templates")]
    template_values: crate::templates::RequestValues,
}

impl Extras {
    #[cold]
    fn with_params(more: Box<More>) -> Box<Extras> {
        Box::new(Extras { more_params: Some(more), ..Extras::default() })
    }
}

impl Exchange {
    pub(crate) fn new(request: Request, Routed { mounted, params }: Routed) -> Exchange {
        Exchange {
            request,
            mounted,
            params: params.first,
            status: StatusCode::OK,
            head: None,
            buffer: Unsent::default(),
            head_sent: false,
            kind: Kind::Html,
            has_validators: false,
            stage: Stage::Open,
            collected: false,
            over: false,
            extras: params.more.map(Extras::with_params),
        }
    }

    /// What answers.
    #[inline]
    pub(crate) fn mounted(&self) -> &Rc<Mounted> {
        &self.mounted
    }

    /// Where the parameters stand in the path.
    #[inline]
    fn places(&self) -> Places<'_> {
        let more = self.extras.as_ref().and_then(|extras| extras.more_params.as_deref());
        Places { first: &self.params, more }
    }

    /// What is known of the route.
    #[inline]
    fn info(&self) -> &RouteInfo {
        &self.mounted.info
    }

    /// Whether the request is over.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    #[inline]
    pub(crate) fn set_over(&mut self) {
        self.over = true;
    }

    /// The request as the layer below received it.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The client's address, if it is known: the other end of the connection, or behind proxies that are trusted
    /// ([`ServerOptions::xheaders`](crate::ServerOptions::xheaders)) the one that they say. Headers such as
    /// `X-Forwarded-For` of anybody else are not looked at, because anyone can send them.
    #[inline]
    pub fn remote_ip(&self) -> Option<IpAddr> {
        self.request.remote_ip()
    }

    /// Whether the client uses HTTPS; see [`Request::protocol`](crate::Request::protocol).
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.request.protocol()
    }

    /// Values that travel with this request, one of each type: a place for what a wrap or `prepare` found out.
    ///
    /// # Examples
    ///
    /// ```
    /// struct User { name: String }
    ///
    /// # fn handler(exchange: &mut web::Exchange) {
    /// exchange.extensions().set(User { name: "ada".into() });
    /// let user = exchange.extensions().get::<User>().expect("set above");
    /// exchange.write_text(&user.name);
    /// # }
    /// ```
    pub fn extensions(&self) -> &Extensions {
        self.request.extensions()
    }

    /// The pattern of the route that answers, such as `/user/{id}`: for logs and metrics, which want to know what kind of
    /// request it was. `None` when no route has the path.
    pub fn pattern(&self) -> Option<&str> {
        self.info().pattern()
    }

    /// Shows a value on the page of an error, in debug mode (`Application::debug`, feature `debug`). It is formatted at once.
    ///
    /// Otherwise this does nothing, so it can stay in the program.
    ///
    /// # Examples
    ///
    /// ```
    /// async fn total(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     let prices = vec![3, 4];
    ///     exchange.debug_value("prices", &prices);
    ///     exchange.write_text(prices.iter().sum::<i32>().to_string());
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn debug_value(&self, name: &str, value: &dyn fmt::Debug) {
        #[cfg(feature = "debug")]
        self.keep_debug_value(name, value);
        let _ = (name, value);
    }

    /// The path's parameters, for those who look at them all.
    #[cfg(feature = "debug")]
    pub(crate) fn path_texts(&self) -> Vec<(String, String)> {
        let names = self.info().names();
        let text = |name: &String| {
            let raw = self.places().raw(name, self.info(), self.request.path_bytes());
            String::from_utf8_lossy(raw.unwrap_or_default()).into_owned()
        };
        names.iter().map(|name| (name.clone(), text(name))).collect()
    }

    /// Lets at most `max` bytes of body through.
    pub(crate) fn limit_body(&mut self, max: u64) {
        if !self.request.is_body_end() {
            self.request.body_mut().limit(max);
        }
    }

    /// A future that resolves when the client has gone away, or has at least closed its side of the connection.
    ///
    /// It does not borrow the exchange, so it can be awaited beside something else.
    pub fn client_gone(&self) -> ClientGone {
        self.request.client_gone()
    }

    /// Whether the client has gone away, or has at least closed its side of the connection.
    pub fn is_client_gone(&self) -> bool {
        self.request.is_client_gone()
    }

    /// Asks for this handler to be dropped, wherever it waits, as soon as the client has gone away: whatever it holds is
    /// freed at once. By default it goes on, since a client that has closed its side may still be reading.
    ///
    /// `on_finish` of a [`RequestHandler`](crate::RequestHandler) runs nevertheless.
    pub fn cancel_on_disconnect(&self) {
        self.request.cancel_on_disconnect();
    }

    /// Waits for `future`, but not longer than the client does: the heart of a long poll.
    ///
    /// # Errors
    ///
    /// [`Error::ClientGone`](crate::Error::ClientGone) as soon as the client has gone away or closed its side; with `?` that
    /// ends the handler, and everything it holds is released at once.
    ///
    /// # Cancel safety
    ///
    /// `future` is dropped with this one; nothing is lost otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// async fn poll(exchange: &mut web::Exchange) -> web::Result<()> {
    ///     exchange.while_connected(web::sleep(Duration::from_secs(25))).await?;
    ///     exchange.write("nothing new");
    ///     Ok(())
    /// }
    /// ```
    #[inline]
    pub fn while_connected<F: Future>(&self, future: F) -> WhileConnected<'_, F> {
        WhileConnected::new(self, future)
    }

    #[cfg(feature = "cookies")]
    pub(crate) fn response_cookies(&mut self) -> &mut SetCookies {
        &mut self.extras().cookies
    }

    fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }
}

impl fmt::Debug for Exchange {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("method", self.request.method())
            .field("target", &self.request.target())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_that_waits_is_small() {
        let size = size_of::<Exchange>();
        assert!(size <= 160, "{size} bytes");
    }
}
