//! One route, before it is added to an application.

use std::{any::Any, fmt, rc::Rc, time::Duration};

use httpserver::{Method, StatusCode};

use crate::{
    endpoint::{Endpoint, Function, Object},
    handler::Handler,
    request_handler::{RequestHandler, check_methods},
    routing::{Needs, Redirect},
    scope::Scope,
    wrap::Wrap,
};

/// A route with settings of its own, for [`Application::add`](crate::Application::add). One that needs none is shorter
/// written with [`Application::get`](crate::Application::get) and its relatives.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, Next, Route};
///
/// async fn members_only(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
///     if exchange.cookie("member").is_none() {
///         return Err(web::Error::http(web::StatusCode::FORBIDDEN, "Members only"));
///     }
///     next.run(exchange).await
/// }
///
/// async fn upload(exchange: &mut Exchange) -> web::Result<()> {
///     let length = exchange.bytes().await?.len();
///     exchange.write_text(format!("{length} bytes\n"));
///     Ok(())
/// }
///
/// let application = Application::new()
///     .add(Route::post("/upload", upload).wrap(members_only).body_limit(512 * 1024));
/// ```
#[must_use = "a route does nothing until it is added to an application"]
pub struct Route {
    pub(crate) methods: Vec<Method>,
    pub(crate) path: String,
    pub(crate) endpoint: Rc<dyn Endpoint>,
    pub(crate) scope: Scope,
    pub(crate) name: Option<String>,
    pub(crate) needs: Needs,
    /// Whether the path is a regular expression.
    #[cfg(feature = "regex")]
    pub(crate) is_regex: bool,
}

impl Route {
    /// `handler` for `method` on `path`.
    pub fn new(method: Method, path: &str, handler: impl Handler) -> Route {
        Route::with_endpoint(vec![method], path, Rc::new(Function(handler)))
    }

    /// `handler` for GET on `path`, and for HEAD.
    pub fn get(path: &str, handler: impl Handler) -> Route {
        Route::new(Method::GET, path, handler)
    }

    /// `handler` for POST on `path`.
    pub fn post(path: &str, handler: impl Handler) -> Route {
        Route::new(Method::POST, path, handler)
    }

    /// `handler` for PUT on `path`.
    pub fn put(path: &str, handler: impl Handler) -> Route {
        Route::new(Method::PUT, path, handler)
    }

    /// `handler` for PATCH on `path`.
    pub fn patch(path: &str, handler: impl Handler) -> Route {
        Route::new(Method::PATCH, path, handler)
    }

    /// `handler` for DELETE on `path`.
    pub fn delete(path: &str, handler: impl Handler) -> Route {
        Route::new(Method::DELETE, path, handler)
    }

    /// `handler` for the methods that it lists in [`METHODS`](RequestHandler::METHODS), on `path`.
    ///
    /// # Panics
    ///
    /// If `METHODS` lists a method that is not written, or not one that is; the message names type and method.
    #[track_caller]
    pub fn handler<H: RequestHandler>(path: &str, handler: H) -> Route {
        check_methods::<H>();
        Route::with_endpoint(H::METHODS.to_vec(), path, Rc::new(Object(handler)))
    }

    /// A redirection of `from` to `to` with `status`; see [`Application::redirect`](crate::Application::redirect).
    ///
    /// # Panics
    ///
    /// As [`Application::redirect`](crate::Application::redirect).
    #[track_caller]
    #[inline]
    pub fn redirect(status: StatusCode, from: &str, to: &str) -> Route {
        // No closure: a panic in one would be located here instead of where the route was made.
        let redirect = match Redirect::parse(status, from, to) {
            Ok(redirect) => redirect,
            Err(error) => panic!("the redirection of {from:?} to {to:?} {error}"),
        };
        Route::with_endpoint(redirect.methods(), from, Rc::new(Function(redirect)))
    }

    /// Puts `wrap` around the handler. Several run in the order in which they were added, inside those of the application.
    pub fn wrap(mut self, wrap: impl Wrap) -> Route {
        self.scope.add_wrap(Rc::new(wrap));
        self
    }

    /// Refuses bodies of more than `max` bytes with 413, in place of the limit that the application sets. The server's own
    /// limit, [`Limits::max_body`](crate::Limits::max_body), holds in any case.
    pub fn body_limit(mut self, max: u64) -> Route {
        self.scope.body_limit = Some(max);
        self
    }

    /// Gives the handler up when it has not answered after `limit`, in place of the limit that the application sets; see
    /// [`Application::handler_timeout`](crate::Application::handler_timeout). [`Duration::MAX`] is no limit.
    #[inline]
    pub fn handler_timeout(mut self, limit: Duration) -> Route {
        self.scope.set_handler_timeout(limit);
        self
    }

    /// Gives the route a name, by which [`Exchange::reverse_url`](crate::Exchange::reverse_url) makes its URL.
    ///
    /// The names of an application are those of all applications nested in it, so each is used once.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, Route};
    ///
    /// async fn note(exchange: &mut Exchange) -> web::Result<()> {
    ///     let id: u64 = exchange.path("id")?;
    ///     exchange.write_text(format!("note {id}\n"));
    ///     Ok(())
    /// }
    ///
    /// async fn index(exchange: &mut Exchange) -> web::Result<()> {
    ///     let url = exchange.reverse_url("note", [7])?;
    ///     exchange.write(format!("<a href=\"{url}\">note 7</a>\n")); // /notes/7
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new()
    ///     .add(Route::get("/notes/{id}", note).name("note"))
    ///     .get("/", index);
    /// ```
    #[inline]
    pub fn name(mut self, name: impl Into<String>) -> Route {
        self.name = Some(name.into());
        self
    }

    /// Reads the path of this route as a regular expression, which has to match the path of a request as a whole. Its named
    /// groups are the parameters.
    ///
    /// Regular expressions are tried when no other route has the path, in the order in which they were added, and before
    /// fallbacks. Each that is tried costs a search that is linear in the path, so use them for what a pattern cannot say.
    /// A path is matched as it was sent, percent-encoded; the parameters are decoded when they are asked for. A group that
    /// took no part is empty. Groups without a name only group. There is no Unicode: `\d` and `\w` are ASCII.
    ///
    /// The fallback of a [nested application](crate::Application::nest) goes before an expression of the outer one that does
    /// not begin with the text of the prefix: below `/api`, the fallback goes before `/.*\.html`, and `/api/v\d+/.*` before the
    /// fallback.
    ///
    /// A route of literal text and named groups without other groups in them can have a [name](Route::name). Values have to
    /// match the expression.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, Route};
    ///
    /// async fn archive(exchange: &mut Exchange) -> web::Result<()> {
    ///     let year: u16 = exchange.path("year")?;
    ///     exchange.write_text(format!("What happened in {year}\n"));
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new()
    ///     .add(Route::get(r"/archive/(?<year>\d{4})", archive).regex().name("archive"));
    /// assert_eq!(application.route_names().reverse_url("archive", [1998])?, "/archive/1998");
    /// assert!(application.route_names().reverse_url("archive", [98]).is_err());
    /// # Ok::<_, web::Error>(())
    /// ```
    #[cfg(feature = "regex")]
    #[inline]
    pub fn regex(mut self) -> Route {
        self.is_regex = true;
        self
    }

    /// Says that the handler asks for [state](crate::Exchange::state) of type `T`: a route for which there is none is refused
    /// when the server starts. For closures and functions; types write `needs` of [`Handler`] or [`RequestHandler`], and
    /// [`with_state`](crate::with_state) does it by itself.
    #[inline]
    pub fn needs<T: Any>(mut self) -> Route {
        self.needs.state::<T>();
        self
    }

    pub(crate) fn with_endpoint(methods: Vec<Method>, path: &str, endpoint: Rc<dyn Endpoint>) -> Route {
        Route {
            methods,
            path: path.to_owned(),
            endpoint,
            scope: Scope::default(),
            name: None,
            needs: Needs::default(),
            #[cfg(feature = "regex")]
            is_regex: false,
        }
    }
}

impl fmt::Debug for Route {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("methods", &self.methods)
            .field("path", &self.path)
            .field("wraps", &self.scope.wraps().len())
            .finish_non_exhaustive()
    }
}
