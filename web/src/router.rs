//! From a method and a path to the endpoint that answers.

use std::{fmt, rc::Rc};

use httpserver::{Method, Request};

use crate::{endpoint::Endpoint, fixed_paths::FixedPaths, path_params::PathParams, pattern::Pattern};

/// The routes of an application: a radix tree of patterns, and at each of them a small table of methods.
#[derive(Default)]
pub(crate) struct Router {
    tree: matchit::Router<usize>,
    fixed: FixedPaths,
    tables: Vec<Table>,
    fallback: Option<Rc<dyn Endpoint>>,
}

/// What the router found for a request.
pub(crate) enum Found<'r> {
    /// A route answers it, perhaps a GET route a HEAD.
    Endpoint(&'r dyn Endpoint, PathParams),
    /// The path has routes, but none for this method.
    WrongMethod(&'r Table),
    /// An OPTIONS that no route answers itself.
    Options(&'r Table),
    /// `OPTIONS *`: a question about the server as a whole.
    ServerOptions,
    /// No route has this path.
    Nothing,
}

/// The routes that share a pattern.
pub(crate) struct Table {
    pattern: Rc<Pattern>,
    /// A handful: a linear search is faster than any map.
    endpoints: Vec<(Method, Rc<dyn Endpoint>)>,
    allow: String,
}

impl Router {
    /// Adds `endpoint` under all `methods`.
    ///
    /// # Panics
    ///
    /// If the pattern is malformed, can never match, conflicts with another one, or has one of these methods already:
    /// routes are written down by the programmer, so this shows at the first start.
    #[track_caller]
    pub(crate) fn add(&mut self, methods: &[Method], pattern: &str, endpoint: Rc<dyn Endpoint>) {
        assert!(!methods.is_empty(), "the handler at {pattern:?} lists no methods: it could never be called");
        let table = self.table(pattern);
        for method in methods {
            assert!(table.endpoint(method).is_none(), "{method} {pattern} has two handlers");
            table.endpoints.push((method.clone(), Rc::clone(&endpoint)));
        }
        table.allow = allow(table.endpoints.iter().map(|(method, _)| method));
    }

    /// Sets the endpoint for paths without a route.
    pub(crate) fn set_fallback(&mut self, endpoint: Rc<dyn Endpoint>) {
        self.fallback = Some(endpoint);
    }

    /// Finds the endpoint for a request. A path without parameters is found by its bytes, without a look at the tree.
    pub(crate) fn find_for(&self, request: &Request) -> Found<'_> {
        // The tree would prefer them too: fixed text goes before parameters.
        match self.fixed.get(request.path_bytes()) {
            Some(&at) => self.tables[at].find(request.method(), PathParams::default),
            None => self.find(request.method(), request.path()),
        }
    }

    fn find(&self, method: &Method, path: &str) -> Found<'_> {
        match self.tree.at(path) {
            Ok(matched) => {
                // The tree holds numbers: tables grow as methods are added, and its values cannot be changed in place.
                let table = &self.tables[*matched.value];
                table.find(method, || PathParams::new(&table.pattern, &matched.params, path))
            }
            Err(_) => self.find_elsewhere(method, path),
        }
    }

    /// The methods that some route has, as the value of an `Allow` header.
    pub(crate) fn allow(&self) -> String {
        let tables = self.tables.iter();
        allow(tables.flat_map(|table| table.endpoints.iter().map(|(method, _)| method)))
    }

    fn find_elsewhere(&self, method: &Method, path: &str) -> Found<'_> {
        match &self.fallback {
            // Before the fallback: no route can have this target (RFC 9110, section 9.3.7).
            _ if path == "*" && method == Method::OPTIONS => Found::ServerOptions,
            Some(fallback) => Found::Endpoint(&**fallback, PathParams::default()),
            None => Found::Nothing,
        }
    }

    /// The table of `pattern`, new if it is the first of its routes.
    #[track_caller]
    fn table(&mut self, pattern: &str) -> &mut Table {
        if let Some(at) = self.tables.iter().position(|table| table.pattern.text() == pattern) {
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
            self.fixed.insert(pattern.as_bytes().into(), at);
        }
        self.tables.push(Table { pattern: Rc::new(parsed), endpoints: Vec::new(), allow: String::new() });
        &mut self.tables[at]
    }
}

impl Table {
    /// The methods of this path, as the value of an `Allow` header.
    pub(crate) fn allow(&self) -> &str {
        &self.allow
    }

    fn find(&self, method: &Method, params: impl FnOnce() -> PathParams) -> Found<'_> {
        match self.endpoint_for(method) {
            Some(endpoint) => Found::Endpoint(endpoint, params()),
            None if method == Method::OPTIONS => Found::Options(self),
            // 405 rather than the fallback: the path is known (RFC 9110, section 15.5.6).
            None => Found::WrongMethod(self),
        }
    }

    /// The endpoint for `method`; HEAD falls back to GET, whose body the layer below leaves out.
    fn endpoint_for(&self, method: &Method) -> Option<&dyn Endpoint> {
        match self.endpoint(method) {
            None if method == Method::HEAD => self.endpoint(&Method::GET),
            found => found,
        }
    }

    fn endpoint(&self, method: &Method) -> Option<&dyn Endpoint> {
        self.endpoints.iter().find(|(known, _)| known == method).map(|(_, endpoint)| &**endpoint)
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.tables.iter().map(|table| (table.pattern.text(), &table.allow))).finish()
    }
}

/// The `Allow` header of routes with these methods: HEAD comes with GET, OPTIONS with everything.
fn allow<'m>(methods: impl Iterator<Item = &'m Method>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for method in methods {
        names.push(method.as_str());
        if method == Method::GET {
            names.push(Method::HEAD.as_str());
        }
    }
    names.push(Method::OPTIONS.as_str());
    let mut seen = Vec::new();
    names.retain(|name| {
        let new = !seen.contains(name);
        seen.push(*name);
        new
    });
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_each_method_once() {
        let methods = [Method::HEAD, Method::GET, Method::POST, Method::GET];
        assert_eq!(allow(methods.iter()), "HEAD, GET, POST, OPTIONS");
        assert_eq!(allow([].iter()), "OPTIONS");
    }
}
