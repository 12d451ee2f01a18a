//! From a method and a path to the endpoint that answers.

mod fallback;
mod last_params;
mod needs;
#[cfg(feature = "regex")]
mod regexes;
mod table;

use std::{cell::Cell, fmt, rc::Rc};

use httpserver::{Method, Request};

pub(crate) use self::table::{Table, Target};
use self::{fallback::Fallback, last_params::LastParams, table::allow};
#[cfg(feature = "regex")]
use crate::routing::PathRegex;
use crate::{
    endpoint::Endpoint,
    fixed_paths::{self, FixedPaths},
    path_params::PathParams,
    pattern::Pattern,
    route::Route,
    routing::{Home, RouteInfo, TrailingSlash, UrlPattern},
    scope::Scope,
};

/// The routes of an application: a radix tree of patterns, and at each of them a small table of methods.
pub(crate) struct Router {
    tree: matchit::Router<usize>,
    fixed: FixedPaths,
    last_params: LastParams,
    tables: Vec<Table>,
    /// What answers paths that no route has, by the prefix below which it does: innermost first.
    fallbacks: Vec<Fallback>,
    /// Of the application.
    home: Rc<Home>,
    /// What is known of paths that no route has.
    unrouted: Rc<RouteInfo>,
    /// What becomes of paths that differ from a route's by a slash, unless a nested application says otherwise. A cell, since an
    /// application for a host takes over that of the one around it when everything is known.
    slash: Cell<Option<TrailingSlash>>,
    /// Whether any application has such a policy.
    redirects_slashes: Cell<bool>,
    /// Regular expressions with the places of their tables, in the order in which they are tried.
    #[cfg(feature = "regex")]
    regexes: Vec<(PathRegex, usize)>,
}

/// What the router found for a request.
pub(crate) enum Found<'r> {
    /// A route answers it, perhaps a GET route a HEAD.
    Target(&'r Target, PathParams),
    /// The path has routes, but none for this method.
    WrongMethod(&'r Table, PathParams),
    /// An OPTIONS that no route answers itself.
    Options(&'r Table, PathParams),
    /// A route has the path with another end: this one.
    Moved(String, &'r Table, PathParams),
    /// `OPTIONS *`: a question about the server as a whole.
    ServerOptions,
    /// No route has this path. The fallback for it, and what a nested application around it says about its requests.
    Nothing(Option<&'r Rc<dyn Endpoint>>, Option<(&'r Rc<Scope>, &'r Rc<RouteInfo>)>, PathParams),
}

impl Router {
    /// Adds a route.
    ///
    /// # Panics
    ///
    /// If the pattern is malformed, can never match, conflicts with another one, or has one of these methods already:
    /// routes are written down by the programmer, so this shows at the first start.
    #[track_caller]
    pub(crate) fn add(&mut self, route: Route) {
        #[cfg(feature = "regex")]
        let is_regex = route.is_regex;
        let Route { methods, path, endpoint, scope, name, needs, .. } = route;
        assert!(!methods.is_empty(), "the handler at {path:?} lists no methods: it could never be called");
        // It names a host instead of a path, so no pattern matches it.
        let is_tunnel = methods.contains(&Method::CONNECT);
        assert!(!is_tunnel, "the route {path:?} can never match: CONNECT asks for a tunnel, and is answered 501");
        let home = Rc::clone(&self.home);
        #[cfg(feature = "regex")]
        let table = if is_regex {
            self.regex_table(&path, PathRegex::pattern_alike(&path), &home, Rc::default())
        } else {
            self.table(&path, &home, Rc::default())
        };
        #[cfg(not(feature = "regex"))]
        let table = self.table(&path, &home, Rc::default());
        let target = Target::new(endpoint, Rc::new(scope), table.info_at(&home), needs);
        for method in methods {
            table.add(method, target.clone());
        }
        if let Some(name) = name {
            #[cfg(feature = "regex")]
            let pattern = if is_regex { self.url_of_regex(&path) } else { UrlPattern::new(&path) };
            #[cfg(not(feature = "regex"))]
            let pattern = UrlPattern::new(&path);
            home.name(&name, pattern);
        }
    }

    /// Adds the routes of an application below `prefix`, inside its settings.
    ///
    /// # Panics
    ///
    /// As [`add`](Router::add).
    #[track_caller]
    #[inline]
    pub(crate) fn nest(&mut self, prefix: &str, nested: Router, scope: &Scope) {
        // The patterns are checked as a whole; but an application may have a fallback and no routes.
        if let Err(error) = Pattern::parse(prefix) {
            panic!("the prefix {prefix:?} {error}");
        }
        self.home.adopt(&nested.home, prefix);
        self.take_in(prefix, nested, scope, true);
    }

    /// Adds the routes of an application as they are, inside its settings.
    ///
    /// # Panics
    ///
    /// As [`add`](Router::add).
    #[track_caller]
    #[inline]
    pub(crate) fn merge(&mut self, group: Router, scope: &Scope) {
        self.home.adopt(&group.home, "");
        self.take_in("", group, scope, false);
    }

    /// The routes of an application inside its settings, which answers for some hosts alone.
    #[inline]
    pub(crate) fn of_host(application: Router, scope: &Scope) -> Router {
        let mut router = Router {
            home: Rc::clone(&application.home),
            unrouted: Rc::clone(&application.unrouted),
            slash: application.slash.clone(),
            ..Router::default()
        };
        router.take_in("", application, scope, true);
        router
    }

    /// Takes the routes of another router, and with `whole` what it says about paths that it does not have.
    #[track_caller]
    #[inline]
    fn take_in(&mut self, prefix: &str, nested: Router, scope: &Scope, whole: bool) {
        let within = |inner: &Rc<Scope>| Rc::new(Scope::clone(inner).within(scope));
        self.redirects_slashes.set(self.redirects_slashes.get() || nested.redirects_slashes.get());
        for table in nested.tables {
            let own = self.table_below(prefix, &table, within(table.scope()));
            own.slash = own.slash.or(table.slash).or(nested.slash.get());
            for (method, target) in table.into_targets() {
                let info = own.info_at(target.info.home());
                own.add(method, Target::new(target.endpoint, within(&target.scope), info, target.needs));
            }
        }
        let mut fallbacks = nested.fallbacks;
        if whole && !fallbacks.iter().any(|fallback| fallback.prefix.is_empty()) {
            let info = nested.unrouted;
            fallbacks.push(Fallback { prefix: String::new(), endpoint: None, scope: Rc::default(), info });
        }
        for Fallback { prefix: inner, endpoint, scope, info } in fallbacks {
            let prefix = format!("{prefix}{inner}");
            let info = RouteInfo::below(&prefix, info.home());
            self.add_fallback(Fallback { prefix, endpoint, scope: within(&scope), info: Rc::new(info) });
        }
    }

    /// Sets the endpoint for paths without a route.
    #[inline]
    pub(crate) fn set_fallback(&mut self, endpoint: Rc<dyn Endpoint>) {
        self.fallbacks.retain(|fallback| !fallback.prefix.is_empty());
        let info = Rc::clone(&self.unrouted);
        self.add_fallback(Fallback { prefix: String::new(), endpoint: Some(endpoint), scope: Rc::default(), info });
    }

    /// Whether there is one.
    #[inline]
    pub(crate) fn has_fallback(&self) -> bool {
        self.fallbacks.iter().any(|fallback| fallback.prefix.is_empty())
    }

    /// Sets what becomes of paths that differ from a route's by a slash.
    #[inline]
    pub(crate) fn set_trailing_slash(&self, policy: TrailingSlash) {
        self.slash.set(Some(policy));
        self.redirects_slashes.set(true);
    }

    /// Takes over, for an application for a host, what it does not say itself from the application around it.
    #[inline]
    pub(crate) fn inherit(&self, outer: &Router) {
        if let (None, Some(policy)) = (self.slash.get(), outer.slash.get()) {
            self.set_trailing_slash(policy);
        }
    }

    #[inline]
    fn add_fallback(&mut self, fallback: Fallback) {
        self.tables.iter_mut().filter(|table| fallback.goes_before(table)).for_each(Table::contest);
        self.fallbacks.push(fallback);
        self.fallbacks.sort_by_cached_key(Fallback::rank);
    }

    /// Finds the endpoint for a request. A path without parameters is found by its bytes, without a look at the tree.
    pub(crate) fn find_for(&self, request: &Request) -> Found<'_> {
        // The tree would prefer them too: fixed text goes before parameters.
        match self.fixed.get(request.path_bytes()) {
            Some(&at) => {
                let table = &self.tables[at];
                match table.target_for(request.method()) {
                    Some(target) => Found::Target(target, PathParams::none()),
                    None => table.find(request.method(), PathParams::none),
                }
            }
            None => self.find_with_params(request),
        }
    }

    #[inline(never)]
    fn find_with_params(&self, request: &Request) -> Found<'_> {
        let path = request.path_bytes();
        match self.last_params.get(path) {
            Some((at, start)) => {
                let params = || PathParams::last(start, path.len());
                self.find_at(&self.tables[at], request.method(), || request.path(), params)
            }
            None => self.find(request.method(), request.path()),
        }
    }

    fn find(&self, method: &Method, path: &str) -> Found<'_> {
        match self.tree.at(path) {
            Ok(matched) => {
                // The tree holds numbers: tables grow as methods are added, and its values cannot be changed in place.
                let table = &self.tables[*matched.value];
                self.find_at(table, method, || path, || PathParams::new(&matched.params, path))
            }
            Err(_) => self.find_elsewhere(method, path),
        }
    }

    /// What becomes of a path whose pattern has this table. The path is asked for as text only where it decides.
    #[inline]
    fn find_at<'r, 'p>(
        &'r self,
        table: &'r Table,
        method: &Method,
        path: impl FnOnce() -> &'p str,
        params: impl FnOnce() -> PathParams,
    ) -> Found<'r> {
        if let Some(target) = table.target_for(method) {
            return Found::Target(target, params());
        }
        if table.is_contested() {
            let path = path();
            if self.belongs_to_fallback(path, table) {
                return self.find_elsewhere(method, path);
            }
        }
        table.find(method, params)
    }

    /// Whether the path is in a nested application whose fallback goes before the pattern that has matched.
    fn belongs_to_fallback(&self, path: &str, table: &Table) -> bool {
        let mut answering = self.fallbacks.iter().filter(|fallback| fallback.endpoint.is_some());
        answering.find(|fallback| fallback.pieces(path).is_some()).is_some_and(|fallback| fallback.goes_before(table))
    }

    /// The methods that some route has, as the value of an `Allow` header.
    pub(crate) fn allow(&self) -> String {
        let tables = self.tables.iter();
        allow(&mut tables.flat_map(|table| table.targets().iter().map(|(method, _)| method)))
    }

    fn find_elsewhere(&self, method: &Method, path: &str) -> Found<'_> {
        // Before the fallback: no route can have this target (RFC 9110, section 9.3.7).
        if path == "*" && method == Method::OPTIONS {
            return Found::ServerOptions;
        }
        #[cfg(feature = "regex")]
        if let Some(found) = self.find_regex(method, path) {
            return found;
        }
        if self.redirects_slashes.get()
            && let Some(moved) = self.find_moved(path)
        {
            return moved;
        }
        // The innermost application around the path is first, and the request is one of its own; the first that has a fallback
        // answers.
        let mut around =
            self.fallbacks.iter().filter_map(|fallback| Some((fallback, fallback.pieces(path)?))).peekable();
        let Some((innermost, pieces)) = around.peek() else { return Found::Nothing(None, None, PathParams::none()) };
        let (said, params) = ((&innermost.scope, &innermost.info), PathParams::of_pieces(pieces, path));
        Found::Nothing(around.find_map(|(fallback, _)| fallback.endpoint.as_ref()), Some(said), params)
    }

    /// A route that has the path with another end, if the policy of its application is to send clients there.
    #[cold]
    fn find_moved(&self, path: &str) -> Option<Found<'_>> {
        [TrailingSlash::Add, TrailingSlash::Remove].into_iter().find_map(|policy| {
            let other = policy.other(path)?;
            let matched = self.tree.at(&other).ok()?;
            let table = &self.tables[*matched.value];
            let is_its_own = !table.is_contested() || !self.belongs_to_fallback(&other, table);
            (is_its_own && table.slash.or(self.slash.get()) == Some(policy)).then(|| {
                // They stand where they would stand in the path as it was sent.
                let params = PathParams::new(&matched.params, &other);
                Found::Moved(other.clone(), table, params)
            })
        })
    }

    /// Of the application.
    #[inline]
    pub(crate) fn home(&self) -> &Rc<Home> {
        &self.home
    }

    /// What is known of requests that no route has.
    #[inline]
    pub(crate) fn unrouted(&self) -> &Rc<RouteInfo> {
        &self.unrouted
    }

    /// Mounts all endpoints. A request could do so when it is the first, but what stays of it would lie behind the connections
    /// of that moment, and keep the allocator from giving back what they leave.
    #[cold]
    pub(crate) fn mount(&self, application: &Scope) {
        for (_, target) in self.tables.iter().flat_map(Table::targets) {
            target.mounted(application);
        }
    }

    /// Has endpoints mounted anew, since the application has changed.
    #[cold]
    pub(crate) fn unmount(&mut self) {
        self.tables.iter_mut().for_each(Table::unmount);
    }

    /// The table of the same pattern below a prefix.
    #[track_caller]
    fn table_below(&mut self, prefix: &str, table: &Table, scope: Rc<Scope>) -> &mut Table {
        #[cfg(feature = "regex")]
        if table.is_regex() {
            let pattern_alike = format!("{prefix}{}", table.pattern_alike());
            return self.regex_table(&PathRegex::below(prefix, table.text()), pattern_alike, table.info.home(), scope);
        }
        self.table(&format!("{prefix}{}", table.text()), table.info.home(), scope)
    }

    /// The table of `pattern`, new if it is the first of its routes.
    #[track_caller]
    fn table(&mut self, pattern: &str, home: &Rc<Home>, scope: Rc<Scope>) -> &mut Table {
        if let Some(at) = self.tables.iter().position(|table| table.text() == pattern && !table.is_regex()) {
            return &mut self.tables[at];
        }
        // No closure: a panic in one would be located here instead of where the route was added.
        let parsed = match Pattern::parse(pattern) {
            Ok(parsed) => parsed,
            Err(error) => panic!("the route {pattern:?} {error}"),
        };
        let at = self.tables.len();
        if let Err(error) = self.tree.insert(pattern, at) {
            panic!("the route {pattern:?} cannot be added: {error}");
        }
        // Literal braces are doubled in the pattern and not in the path, so these stay with the tree.
        if !pattern.contains(['{', '}']) {
            fixed_paths::insert(&mut self.fixed, pattern, at);
        }
        self.last_params.add(pattern, at);
        let info = Rc::new(RouteInfo::new(parsed, home));
        let mut table = Table::new(info, scope);
        if self.fallbacks.iter().any(|fallback| fallback.goes_before(&table)) {
            table.contest();
        }
        self.tables.push(table);
        &mut self.tables[at]
    }
}

impl Default for Router {
    fn default() -> Router {
        let home = Rc::default();
        let unrouted = Rc::new(RouteInfo::unrouted(&home));
        Router {
            tree: matchit::Router::new(),
            fixed: FixedPaths::default(),
            last_params: LastParams::default(),
            tables: Vec::new(),
            fallbacks: Vec::new(),
            home,
            unrouted,
            slash: Cell::default(),
            redirects_slashes: Cell::default(),
            #[cfg(feature = "regex")]
            regexes: Vec::new(),
        }
    }
}

impl fmt::Debug for Router {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.tables.iter().map(|table| (table.text(), table.allow()))).finish()
    }
}
