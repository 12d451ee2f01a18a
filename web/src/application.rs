//! Routes and settings, and the service that they make.

use std::{cell::Cell, fmt, future::Future, path::Path, rc::Rc};

use httpserver::{
    HttpServer, Limits, Method, Request, Response, ServerHandle, ServerOptions, Service,
    iostream::netutil::ToListenAddrs,
};

use crate::{
    answering::Answering,
    endpoint::{Endpoint, Function, Unrouted},
    error::{Error, Result},
    exchange::Exchange,
    handler::Handler,
    mounted::{Mounted, Routed},
    path_params::PathParams,
    request_handler::RequestHandler,
    route::Route,
    router::{Found, Router},
    routing::{Hosts, RouteInfo},
    scope::Scope,
    wrap::Wrap,
};

/// A web application: routes from method and path to handlers, and the few settings that concern all of them.
///
/// It is built in one expression and then [listens](Application::listen), or is handed as the [`Service`] it is to a
/// server of your own.
///
/// # Paths
///
/// A pattern begins with a slash. `{name}` stands for the text up to the next slash, `{*name}` at the end for all that is
/// left, and a segment can have fixed text before or behind its parameter (`/{id}.png`); `{{` and `}}` are literal
/// braces. Fixed text goes before parameters, whatever the order in which routes were added. Paths are compared as they
/// were sent: nothing is decoded, collapsed or redirected, and `/a` is not `/a/`. So write a pattern as clients send it:
/// `/caf%C3%A9`, and `/a%20b`. Parameters are decoded when they are asked for.
///
/// HEAD is answered by the GET route, without the body; OPTIONS by an `Allow` header, unless a route takes it. A known
/// path with another method is 405 with `Allow`, an unknown one 404 or the [`fallback`](Application::fallback).
///
/// # Examples
///
/// ```no_run
/// use web::{Application, Exchange, IOLoop};
///
/// async fn hello(exchange: &mut Exchange) -> web::Result<()> {
///     let name: String = exchange.path("name")?;
///     exchange.write_text(format!("Hello, {name}"));
///     Ok(())
/// }
///
/// fn main() -> web::Result<()> {
///     let _server = Application::new()
///         .get("/hello/{name}", hello)
///         .listen(("127.0.0.1", 8888))?;
///     IOLoop::current().start();
///     Ok(())
/// }
/// ```
#[derive(Default)]
#[must_use = "an application answers nothing until it listens or is called"]
pub struct Application {
    pub(crate) router: Router,
    pub(crate) scope: Scope,
    pub(crate) options: ServerOptions,
    /// Those for which there are other applications.
    pub(crate) hosts: Option<Box<Hosts>>,
    /// Whether each request goes straight to the router: what handlers need is known to be there, and the host does not matter.
    is_plain: Cell<bool>,
    are_hosts_checked: Cell<bool>,
}

impl Application {
    /// An application without routes.
    pub fn new() -> Application {
        Application::default()
    }

    /// Answers GET on `path`, and HEAD.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[track_caller]
    pub fn get(self, path: &str, handler: impl Handler) -> Application {
        self.route(Method::GET, path, handler)
    }

    /// Answers POST on `path`.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[track_caller]
    pub fn post(self, path: &str, handler: impl Handler) -> Application {
        self.route(Method::POST, path, handler)
    }

    /// Answers PUT on `path`.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[track_caller]
    pub fn put(self, path: &str, handler: impl Handler) -> Application {
        self.route(Method::PUT, path, handler)
    }

    /// Answers PATCH on `path`.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[track_caller]
    pub fn patch(self, path: &str, handler: impl Handler) -> Application {
        self.route(Method::PATCH, path, handler)
    }

    /// Answers DELETE on `path`.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[track_caller]
    pub fn delete(self, path: &str, handler: impl Handler) -> Application {
        self.route(Method::DELETE, path, handler)
    }

    /// Answers HEAD on `path`, where the GET route would be too expensive for that.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[track_caller]
    pub fn head(self, path: &str, handler: impl Handler) -> Application {
        self.route(Method::HEAD, path, handler)
    }

    /// Answers OPTIONS on `path`, instead of the automatic answer.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[track_caller]
    pub fn options(self, path: &str, handler: impl Handler) -> Application {
        self.route(Method::OPTIONS, path, handler)
    }

    /// Answers `method` on `path`, for methods without a shorthand too.
    ///
    /// # Panics
    ///
    /// If the pattern is malformed, if it can never match (`/a b`, `/what?`; the message says what to write instead, for the
    /// parameters of other frameworks such as `/:id` too), if it conflicts with another one (as `/{a}` does with `/{b}`), or
    /// if this method and path have a handler already. A route for CONNECT, which has no path, is refused too. Routes are
    /// part of the program: a mistake shows when it starts.
    #[track_caller]
    pub fn route(self, method: Method, path: &str, handler: impl Handler) -> Application {
        self.add(Route::new(method, path, handler))
    }

    /// Adds a route with settings of its own.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[track_caller]
    #[expect(clippy::should_implement_trait, reason = "an application and a route make no sum")]
    pub fn add(mut self, route: Route) -> Application {
        self.router.add(route);
        self
    }

    /// Adds the routes of another application below `prefix`, which is put in front of each of their patterns as it is:
    /// `/` becomes `/admin/`, `/users/{id}` becomes `/admin/users/{id}`. Parameters in the prefix are parameters of all of
    /// them.
    ///
    /// The nested application keeps its wraps, its error page, its body limit and its fallback for everything below the
    /// prefix; what it does not set is taken from this one, whose wraps run around its own. Its
    /// [`limits`](Application::limits) are not used: those are the server's.
    ///
    /// Its fallback answers what none of its routes has, before a route of this one that matches the path by a parameter
    /// where the prefix has text: static files at `/`, for example, or a regular expression that does not begin with the
    /// prefix. Without a fallback such a route answers.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route), and if the prefix does not begin with a slash or ends with one.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, Next};
    ///
    /// async fn admins_only(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    ///     match exchange.remote_ip() {
    ///         Some(ip) if ip.is_loopback() => next.run(exchange).await,
    ///         _ => Err(web::Error::http(web::StatusCode::FORBIDDEN, "Not from there")),
    ///     }
    /// }
    ///
    /// async fn users(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.write_text("ada, grace");
    ///     Ok(())
    /// }
    ///
    /// let admin = Application::new().get("/users", users).wrap(admins_only);
    /// let application = Application::new().nest("/admin", admin);
    /// ```
    #[track_caller]
    #[inline]
    pub fn nest(mut self, prefix: &str, application: Application) -> Application {
        assert!(application.hosts.is_none(), "a nested application cannot have hosts: add them to the outermost one");
        let is_prefix = prefix.starts_with('/') && !prefix.ends_with('/');
        assert!(is_prefix, "the prefix {prefix:?} has to begin with a slash and not to end with one, as in \"/admin\"");
        self.router.nest(prefix, application.router, &application.scope);
        self
    }

    /// Puts `wrap` around everything this application answers, whatever was added before or is added later: routes, nested
    /// applications, the fallback, and requests that no route has. The one added first is outermost. See [`Wrap`].
    pub fn wrap(mut self, wrap: impl Wrap) -> Application {
        self.scope_mut().add_wrap(Rc::new(wrap));
        self
    }

    /// Refuses bodies of more than `max` bytes with 413 when a handler reads them, unless a route or nested application
    /// sets another limit. [`Limits::max_body`], 100 MiB by default, holds in any case.
    #[inline]
    pub fn body_limit(mut self, max: u64) -> Application {
        self.scope_mut().body_limit = Some(max);
        self
    }

    /// Answers the methods that `handler` lists in [`METHODS`](RequestHandler::METHODS) on `path`.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route), and if `METHODS` is empty, lists a method that is not written, or does not list one
    /// that is.
    #[track_caller]
    pub fn handler<H: RequestHandler>(self, path: &str, handler: H) -> Application {
        self.add(Route::handler(path, handler))
    }

    /// Serves WebSockets on `path`.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[cfg(feature = "websocket")]
    #[track_caller]
    #[inline]
    pub fn websocket<H: crate::websocket::WebSocketHandler>(self, path: &str, handler: H) -> Application {
        self.get(path, crate::websocket::Upgrading(Rc::new(handler)))
    }

    /// Serves the files below `directory` under `prefix`, with `index.html` for directories:
    /// `static_files("/static", "assets")` answers `/static/app.css` with `assets/app.css`.
    ///
    /// For other settings make a [`StaticFiles`](crate::StaticFiles) and add it with
    /// [`static_handler`](Application::static_handler).
    ///
    /// # Errors
    ///
    /// As [`StaticFiles::new`](crate::StaticFiles::new).
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[cfg(feature = "static")]
    #[track_caller]
    pub fn static_files(self, prefix: &str, directory: impl AsRef<std::path::Path>) -> Result<Application> {
        let files = crate::StaticFiles::new(directory)?.index("index.html");
        Ok(self.static_handler(prefix, files))
    }

    /// Serves a [`StaticFiles`](crate::StaticFiles) under `prefix`.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route).
    #[cfg(feature = "static")]
    #[track_caller]
    #[inline]
    pub fn static_handler(mut self, prefix: &str, files: crate::StaticFiles) -> Application {
        let methods = crate::StaticFiles::METHODS;
        let endpoint: Rc<dyn Endpoint> = Rc::new(crate::endpoint::Object(files));
        let prefix = prefix.trim_end_matches('/');
        // The catch-all matches at least one character: the directory itself has two routes of its own.
        for path in [prefix, &format!("{prefix}/"), &format!("{prefix}/{{*path}}")] {
            if !path.is_empty() {
                self.router.add(Route::with_endpoint(methods.to_vec(), path, Rc::clone(&endpoint)));
            }
        }
        self
    }

    /// Answers requests whose path no route has, whatever their method.
    pub fn fallback(mut self, handler: impl Handler) -> Application {
        self.router.set_fallback(Rc::new(Function(handler)));
        self
    }

    /// Makes the pages of errors, unless a [`RequestHandler::write_error`] already has.
    ///
    /// The function writes to an exchange that has the error's status and nothing else. If it writes nothing, the page is
    /// the default one, `<html><title>404: Not Found</title><body>404: Not Found</body></html>`.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Error, Exchange};
    ///
    /// fn page(exchange: &mut Exchange, error: &Error) {
    ///     // As text: the message may hold what the client sent.
    ///     exchange.write_text(format!("{} {}\n", error.status().as_u16(), error.message()));
    /// }
    ///
    /// let application = Application::new().error_page(page);
    /// ```
    pub fn error_page(mut self, page: impl Fn(&mut Exchange, &Error) + 'static) -> Application {
        self.scope_mut().error_page = Some(Rc::new(page));
        self
    }

    /// Whether each request is logged, with the target `web::access`. It is by default.
    ///
    /// Lines that the logger's filter refuses cost next to nothing, so this is for applications that log in their own way.
    #[inline]
    pub fn access_log(mut self, on: bool) -> Application {
        self.scope_mut().no_access_log = !on;
        self
    }

    /// Sets the limits and time-outs of the server, for [`listen`](Application::listen) and
    /// [`into_server`](Application::into_server).
    pub fn limits(mut self, limits: Limits) -> Application {
        self.options.limits = limits;
        self
    }

    /// Sets what the server does before requests get here, for [`listen`](Application::listen) and
    /// [`into_server`](Application::into_server): HTTPS, the proxies that are believed, and the limits, in place of those
    /// set before.
    ///
    /// # Examples
    ///
    /// Behind a proxy on the same machine. Without this [`Exchange::remote_ip`] and the access log would name the proxy.
    ///
    /// ```
    /// use web::{Application, Exchange, ServerOptions, XHeaders};
    ///
    /// async fn whoami(exchange: &mut Exchange) -> web::Result<()> {
    ///     let client = exchange.remote_ip().map_or("somebody".to_owned(), |ip| ip.to_string());
    ///     exchange.write_text(format!("{client} by {}\n", exchange.protocol()));
    ///     Ok(())
    /// }
    ///
    /// let nginx = XHeaders::trusting(["127.0.0.1".parse()?]);
    /// let application = Application::new().get("/", whoami).server_options(ServerOptions::new().xheaders(nginx));
    /// # application.listen(("127.0.0.1", 0)).unwrap().stop();
    /// # Ok::<_, httpserver::iostream::Error>(())
    /// ```
    #[inline]
    pub fn server_options(mut self, options: ServerOptions) -> Application {
        self.options = options;
        self
    }

    /// Starts serving on `addr`, on the current thread's loop. The server runs while the loop does; the handle is for
    /// looking at it and for ending it.
    ///
    /// # Errors
    ///
    /// When the address cannot be resolved or bound.
    ///
    /// # Panics
    ///
    /// If a handler needs [state](Application::state) that is not there.
    #[track_caller]
    pub fn listen(self, addr: impl ToListenAddrs) -> Result<ServerHandle> {
        Ok(self.into_server().listen(addr)?)
    }

    /// As [`listen`](Application::listen), on a Unix socket at `path`; see [`HttpServer::listen_unix`].
    ///
    /// # Errors
    ///
    /// When another server listens there, or something else than a socket is in the way.
    ///
    /// # Panics
    ///
    /// As [`listen`](Application::listen).
    #[track_caller]
    #[inline]
    pub fn listen_unix(self, path: impl AsRef<Path>) -> Result<ServerHandle> {
        Ok(self.into_server().listen_unix(path)?)
    }

    /// A server for this application that does not listen yet: for sockets that were opened elsewhere, to fork before it
    /// starts, and for several threads.
    ///
    /// # Panics
    ///
    /// As [`listen`](Application::listen).
    #[track_caller]
    pub fn into_server(mut self) -> HttpServer {
        self.make_ready();
        let options = std::mem::take(&mut self.options);
        HttpServer::with_options(self, options)
    }

    fn answer(&self, request: Request) -> Answering {
        #[cfg(feature = "debug")]
        if self.is_for_debug(&request) {
            return self.answer_debug(request);
        }
        // Lent with its place, to be moved once, into the box of its call: an argument that was borrowed before is copied.
        // First of all: what may unwind before makes it two moves.
        let mut request = Some(request);
        match self.find(&request) {
            Some(Found::Target(target, params)) => call(target.mounted(&self.scope), params, &mut request),
            found => self.call_other(found, &mut request),
        }
    }

    /// What the router has for the request; `None` for a CONNECT, which has no path.
    #[inline(always)]
    fn find(&self, request: &Option<Request>) -> Option<Found<'_>> {
        let request = request.as_ref().filter(|request| *request.method() != Method::CONNECT)?;
        Some(if self.is_plain.get() { self.router.find_for(request) } else { self.find_first_or_by_host(request) })
    }

    /// [`call`] for what is not simply a route.
    #[inline(never)]
    fn call_other(&self, found: Option<Found<'_>>, request: &mut Option<Request>) -> Answering {
        let (answer, said, params) = match found {
            Some(Found::Target(target, params)) => return call(target.mounted(&self.scope), params, request),
            Some(Found::Nothing(Some(fallback), said, params)) => {
                return self.call_here(fallback, said, params, request);
            }
            Some(Found::Nothing(None, said, params)) => (Unrouted::NotFound, said, params),
            Some(Found::WrongMethod(table, params)) => {
                (Unrouted::WrongMethod(table.allow().to_owned()), Some(table.said()), params)
            }
            Some(Found::Options(table, params)) => {
                (Unrouted::Options(table.allow().to_owned()), Some(table.said()), params)
            }
            Some(Found::Moved(path, table, params)) => {
                let query = request.as_ref().and_then(Request::query);
                let query = query.map_or(String::new(), |query| format!("?{query}"));
                (Unrouted::Moved(path + &query), Some(table.said()), params)
            }
            Some(Found::ServerOptions) => (Unrouted::Options(self.router.allow()), None, PathParams::none()),
            None => (Unrouted::Connect, None, PathParams::none()),
        };
        let unrouted: Rc<dyn Endpoint> = Rc::new(answer);
        self.call_here(&unrouted, said, params, request)
    }

    /// [`call`] of an endpoint that is mounted for this request alone, with what nested applications say about it.
    fn call_here(
        &self,
        endpoint: &Rc<dyn Endpoint>,
        said: Option<(&Rc<Scope>, &Rc<RouteInfo>)>,
        params: PathParams,
        request: &mut Option<Request>,
    ) -> Answering {
        let mounted = match said {
            Some((scope, info)) => Mounted::new(endpoint, info, scope, &self.scope),
            None => Mounted::new(endpoint, self.router.unrouted(), &Scope::default(), &self.scope),
        };
        call(&mounted, params, request)
    }

    /// Once all is known.
    ///
    /// # Panics
    ///
    /// If state is missing that a handler needs.
    #[cold]
    #[track_caller]
    fn make_ready(&self) {
        self.router.check_needs(&self.scope);
        self.router.mount(&self.scope);
        for host in self.hosts.iter().flat_map(|hosts| hosts.iter()) {
            host.router.inherit(&self.router);
            host.router.check_needs(&self.scope);
            host.router.mount(&self.scope);
        }
        self.is_plain.set(self.hosts.is_none());
        self.are_hosts_checked.set(true);
    }

    /// What the router finds, for the first request and for those whose host matters.
    #[cold]
    fn find_first_or_by_host(&self, request: &Request) -> Found<'_> {
        let Some(hosts) = &self.hosts else {
            self.make_ready();
            return self.router.find_for(request);
        };
        if !self.are_hosts_checked.get() {
            self.make_ready();
        }
        // A question about the server as a whole.
        let host = if request.path() == "*" { None } else { hosts.find(request) };
        let Some(host) = host else { return self.router.find_for(request) };
        match host.router.find_for(request) {
            Found::Nothing(None, said, params) => match self.router.find_for(request) {
                // With the error page of the application that is in charge of the host.
                Found::Nothing(None, ..) => Found::Nothing(None, said, params),
                found => found,
            },
            found => found,
        }
    }

    /// Hands `look` every wrap there is, some of them several times. For the test kit.
    #[cfg(all(feature = "testing", feature = "sessions"))]
    pub(crate) fn each_wrap(&self, look: &mut dyn FnMut(&dyn crate::wrap::AnyWrap)) {
        let of_hosts = self.hosts.iter().flat_map(|hosts| hosts.iter()).flat_map(|host| host.router.scopes());
        let scopes = [&self.scope].into_iter().chain(self.router.scopes()).chain(of_hosts);
        scopes.flat_map(Scope::wraps).for_each(|wrap| look(&**wrap));
    }

    #[inline]
    pub(crate) fn scope_mut(&mut self) -> &mut Scope {
        if self.are_hosts_checked.get() {
            self.unmount();
        }
        &mut self.scope
    }

    /// For an application that is changed after it has been called.
    #[cold]
    fn unmount(&mut self) {
        self.router.unmount();
        for host in self.hosts.iter_mut().flat_map(|hosts| hosts.iter_mut()) {
            host.router.unmount();
        }
    }
}

/// Takes the request.
#[inline(always)]
fn call(mounted: &Rc<Mounted>, params: PathParams, request: &mut Option<Request>) -> Answering {
    let route = Routed { mounted: Rc::clone(mounted), params };
    Answering::new(Rc::clone(&mounted.endpoint).answer(request, route))
}

impl Service for Application {
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        self.answer(request)
    }
}

impl fmt::Debug for Application {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("routes", &self.router)
            .field("server_options", &self.options)
            .finish_non_exhaustive()
    }
}
