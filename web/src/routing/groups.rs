//! What an application does with groups of routes: other applications, hosts, redirects, limits.

use std::time::Duration;

use httpserver::StatusCode;

use super::{HostPattern, TrailingSlash};
use crate::{application::Application, route::Route, router::Router};

impl Application {
    /// Adds the routes of another application as they are, inside its settings: a group of routes without a prefix.
    ///
    /// The group keeps its wraps, its error page, its limits and its [state](Application::state) for its own routes; what it
    /// does not set is taken from this application, whose wraps run around its own. For paths that no route has, there is
    /// only this application.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route); and if the group has a fallback or hosts, which are the whole application's.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, Next};
    ///
    /// async fn members_only(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    ///     match exchange.cookie("member") {
    ///         Some(_) => next.run(exchange).await,
    ///         None => Err(web::Error::http(web::StatusCode::FORBIDDEN, "Members only")),
    ///     }
    /// }
    ///
    /// async fn page(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.write_text("a page\n");
    ///     Ok(())
    /// }
    ///
    /// let members = Application::new().get("/inbox", page).get("/settings", page).wrap(members_only);
    /// let application = Application::new().get("/", page).merge(members);
    /// ```
    #[track_caller]
    #[inline]
    pub fn merge(mut self, group: Application) -> Application {
        assert!(group.hosts.is_none(), "a group cannot have hosts: add them to the outermost application");
        assert!(
            !group.router.has_fallback(),
            "a group cannot have a fallback: set that of the application it is merged into"
        );
        self.router.merge(group.router, &group.scope);
        self
    }

    /// Hands requests for certain hosts to another application, and lets this one answer what that one does not have.
    ///
    /// A pattern is a name, `example.org`, or a name whose labels may be parameters, `{tenant}.example.org`, or one with a star
    /// in front, `*.example.org`, that stands for one label or several. [`Exchange::host_param`](crate::Exchange::host_param)
    /// returns the parameters. Exact names go first, then patterns with parameters, then those with a star, of these the
    /// longer ones; of two equal ones the one added first.
    ///
    /// The host is that of the request's target or its `Host` header. Its case, its port and a dot at its end do not matter.
    /// Parameters and stars match labels of letters, digits, hyphens and underscores.
    ///
    /// A path that the other application has no route and no fallback for is looked for in this one. That is also where
    /// requests for all other hosts go, and those without one: HTTP/1.0 needs none. **The client chooses the host**, so
    /// it tells what a request is for and never who it is from.
    ///
    /// The other application keeps its own settings and state, as a [nested](Application::nest) one does. The wraps of this
    /// one run around it.
    ///
    /// # Panics
    ///
    /// If the pattern is malformed, has a port, or has the same hosts as another one; and if the application has hosts of its
    /// own.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange};
    ///
    /// async fn shop(exchange: &mut Exchange) -> web::Result<()> {
    ///     let tenant: String = exchange.host_param("tenant")?;
    ///     exchange.write_text(format!("The shop of {tenant}\n"));
    ///     Ok(())
    /// }
    ///
    /// async fn about(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.write_text("Shops for everybody\n");
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new()
    ///     .get("/about", about) // on all hosts
    ///     .host("{tenant}.example.org", Application::new().get("/", shop));
    /// ```
    #[track_caller]
    #[inline]
    pub fn host(mut self, pattern: &str, application: Application) -> Application {
        assert!(application.hosts.is_none(), "an application for a host cannot have hosts itself");
        // No closure: a panic in one would be located here instead of where the host was added.
        let parsed = match HostPattern::parse(pattern) {
            Ok(parsed) => parsed,
            Err(error) => panic!("the host {pattern:?} {error}"),
        };
        let Application { router: nested, scope, .. } = application;
        self.router.home().adopt(nested.home(), "");
        nested.home().set_host(parsed.clone());
        let router = Router::of_host(nested, &scope);
        self.hosts.get_or_insert_default().add(parsed, router);
        self
    }

    /// Gives up handlers that have not answered after `limit`: they are dropped where they wait, and the answer is a 503. A
    /// route or nested application may set another limit. None by default.
    ///
    /// The time runs from the call of the handler, inside all wraps, which see the 503 as an error. A handler that has begun
    /// to stream by then is not given up, nor one that has upgraded the connection: how long a client may take for what
    /// is sent is for [`Limits`](crate::Limits) to say. One that waits for the request's body is. A handler that computes
    /// without waiting cannot be stopped.
    ///
    /// Costs what a wrap does, and a timer once a handler waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use web::{Application, Exchange, Route};
    ///
    /// async fn page(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.write_text("a page\n");
    ///     Ok(())
    /// }
    ///
    /// let application = Application::new()
    ///     .get("/", page)
    ///     .add(Route::get("/report", page).handler_timeout(Duration::from_secs(60)))
    ///     .handler_timeout(Duration::from_secs(5));
    /// ```
    #[inline]
    pub fn handler_timeout(mut self, limit: Duration) -> Application {
        self.scope_mut().set_handler_timeout(limit);
        self
    }

    /// Redirects `from` to `to` for good: 301, for GET and HEAD. Tornado's `RedirectHandler`.
    ///
    /// `to` is a path, or a URL with scheme and host, and may have the parameters of `from` in its path, its query and its
    /// fragment. They are percent-encoded, so that a value stays one segment, and slashes of a `{*rest}` stay slashes. The
    /// query of the request is kept, behind that of `to`. The host is always the one that is written here: no request leads the
    /// client elsewhere. A path is one of the site, in a nested application too: write it with the prefix.
    ///
    /// # Panics
    ///
    /// As [`route`](Application::route); and if `to` has a parameter that `from` does not have, or one in the host, or begins
    /// with two slashes.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, StatusCode};
    ///
    /// let application = Application::new()
    ///     .redirect("/user/{id}", "/users/{id}")
    ///     .redirect("/docs/{*page}", "https://docs.example.org/{page}")
    ///     .redirect_with(StatusCode::PERMANENT_REDIRECT, "/api/v1/{*rest}", "/api/v2/{rest}");
    /// ```
    #[track_caller]
    #[inline]
    pub fn redirect(self, from: &str, to: &str) -> Application {
        self.redirect_with(StatusCode::MOVED_PERMANENTLY, from, to)
    }

    /// As [`redirect`](Application::redirect), with another status: 302 and 303 for now, for GET and HEAD; 307 (for now) and
    /// 308 (for good) for POST, PUT, PATCH and DELETE too, which the client repeats with their bodies.
    ///
    /// # Panics
    ///
    /// As [`redirect`](Application::redirect), and if the status is another one.
    #[track_caller]
    #[inline]
    pub fn redirect_with(self, status: StatusCode, from: &str, to: &str) -> Application {
        self.add(Route::redirect(status, from, to))
    }

    /// What becomes of a path that no route has, when one has it with a slash at its end, or without: it is unknown
    /// ([`TrailingSlash::Strict`], the default), or redirected to the route. A nested application may have another policy.
    ///
    /// GET and HEAD are redirected by 301, other methods by 308, which repeats them as they are. The query is kept. A path that
    /// begins with two slashes is never redirected, because as a location it is another host.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, TrailingSlash};
    ///
    /// async fn users(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.write_text("ada, grace\n");
    ///     Ok(())
    /// }
    ///
    /// // `/users/?page=2` leads to `/users?page=2`.
    /// let application = Application::new().get("/users", users).trailing_slash(TrailingSlash::Remove);
    /// ```
    #[inline]
    pub fn trailing_slash(self, policy: TrailingSlash) -> Application {
        self.router.set_trailing_slash(policy);
        self
    }
}
