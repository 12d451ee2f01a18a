//! Routes and settings, and the service that they make.

use std::fmt;
use std::future::Future;
use std::net::ToSocketAddrs;
use std::rc::Rc;

use httpserver::{HttpServer, Limits, Method, Request, Response, Service, StatusCode};

use crate::endpoint::{self, Answer, Function, Object, Settings};
use crate::error::{Error, HttpError, Result};
use crate::exchange::Exchange;
use crate::handler::Handler;
use crate::path_params::PathParams;
use crate::request_handler::{RequestHandler, check_methods};
use crate::router::{Found, Router};

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
pub struct Application {
    router: Router,
    settings: Settings,
    limits: Limits,
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
    /// parameters of other frameworks such as `/:id` too), if it conflicts with another one (as `/{a}` does with `/{b}`), or if this method and
    /// path have a handler already. Routes are part of the program: a mistake shows when it starts.
    #[track_caller]
    pub fn route(mut self, method: Method, path: &str, handler: impl Handler) -> Application {
        self.router.add(&[method], path, Rc::new(Function(handler)));
        self
    }

    /// Answers the methods that `handler` lists in [`METHODS`](RequestHandler::METHODS) on `path`.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route), and if `METHODS` is empty, lists a method that is not written, or does not list one
    /// that is.
    #[track_caller]
    pub fn handler<H: RequestHandler>(mut self, path: &str, handler: H) -> Application {
        check_methods::<H>();
        self.router.add(H::METHODS, path, Rc::new(Object(handler)));
        self
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
    pub fn static_handler(mut self, prefix: &str, files: crate::StaticFiles) -> Application {
        let methods = crate::StaticFiles::METHODS;
        let endpoint: Rc<dyn endpoint::Endpoint> = Rc::new(Object(files));
        let prefix = prefix.trim_end_matches('/');
        // The catch-all matches at least one character: the directory itself has two routes of its own.
        if !prefix.is_empty() {
            self.router.add(methods, prefix, Rc::clone(&endpoint));
        }
        self.router.add(methods, &format!("{prefix}/"), Rc::clone(&endpoint));
        self.router.add(methods, &format!("{prefix}/{{*path}}"), endpoint);
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
        self.settings.error_page = Some(Box::new(page));
        self
    }

    /// Whether each request is logged, with the target `web::access`. It is by default.
    ///
    /// Lines that the logger's filter refuses cost next to nothing, so this is for applications that log in their own way.
    pub fn access_log(mut self, on: bool) -> Application {
        self.settings.no_access_log = !on;
        self
    }

    /// Sets the limits and time-outs of the server, for [`listen`](Application::listen) and
    /// [`into_server`](Application::into_server).
    pub fn limits(mut self, limits: Limits) -> Application {
        self.limits = limits;
        self
    }

    /// Starts serving on `addr`, on the current thread's loop. The server runs while the loop does; the handle is for
    /// stopping it.
    ///
    /// # Errors
    ///
    /// When the address cannot be resolved or bound.
    pub fn listen(self, addr: impl ToSocketAddrs) -> Result<HttpServer<Application>> {
        let server = self.into_server();
        server.listen(addr)?;
        Ok(server)
    }

    /// A server for this application that does not listen yet, for sockets that were opened elsewhere.
    pub fn into_server(mut self) -> HttpServer<Application> {
        let limits = std::mem::take(&mut self.limits);
        HttpServer::with_limits(self, limits)
    }

    fn answer(&self, request: Request) -> Answer<'_> {
        let found = self.router.find_for(&request);
        let result = match found {
            Found::Endpoint(endpoint, params) => {
                return endpoint.answer(request, params, &self.settings);
            }
            Found::Nothing => Err(HttpError::new(StatusCode::NOT_FOUND)),
            Found::WrongMethod(table) => {
                Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED).header("Allow", table.allow()))
            }
            Found::Options(table) => Ok(table.allow().to_owned()),
            Found::ServerOptions => Ok(self.router.allow()),
        };
        let mut x = Exchange::new(request, PathParams::default());
        let result = match result {
            Ok(allow) => {
                x.set_status(StatusCode::NO_CONTENT);
                x.set_header("Allow", allow)
            }
            Err(error) => Err(error.into()),
        };
        endpoint::answer_at_once(x, &self.settings, result)
    }
}

impl Service for Application {
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        self.answer(request)
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("routes", &self.router)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
