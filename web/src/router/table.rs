//! What answers the methods of a pattern.

use std::{cell::OnceCell, rc::Rc};

use httpserver::Method;

use super::Found;
use crate::{
    endpoint::Endpoint,
    mounted::Mounted,
    path_params::PathParams,
    routing::{Home, Needs, RouteInfo, TrailingSlash},
    scope::Scope,
};

/// What answers a method of a path.
#[derive(Clone)]
pub(crate) struct Target {
    pub(super) endpoint: Rc<dyn Endpoint>,
    pub(super) scope: Rc<Scope>,
    pub(super) info: Rc<RouteInfo>,
    /// Of the route, beside those of the handler.
    pub(super) needs: Needs,
    /// Once the application is ready.
    mounted: OnceCell<Rc<Mounted>>,
}

impl Target {
    pub(super) fn new(endpoint: Rc<dyn Endpoint>, scope: Rc<Scope>, info: Rc<RouteInfo>, needs: Needs) -> Target {
        Target { endpoint, scope, info, needs, mounted: OnceCell::new() }
    }

    /// The endpoint inside what `application`, the outermost one, says. Always the same.
    #[inline]
    pub(crate) fn mounted(&self, application: &Scope) -> &Rc<Mounted> {
        self.mounted.get_or_init(|| Mounted::new(&self.endpoint, &self.info, &self.scope, application))
    }
}

/// The routes that share a pattern.
pub(crate) struct Table {
    pub(super) info: Rc<RouteInfo>,
    /// A handful: a linear search is faster than any map.
    targets: Targets,
    /// Those of a pattern that matches paths of a nested application, whose fallback goes before it. They are not with the
    /// others, so that no other route pays for the question.
    contested: Option<Box<Targets>>,
    allow: String,
    /// What nested applications around it say about its requests.
    scope: Rc<Scope>,
    /// Of the nested application that added it.
    pub(super) slash: Option<TrailingSlash>,
    /// Of a regular expression: the pattern that leaves as much open.
    #[cfg(feature = "regex")]
    pattern_alike: Option<Box<str>>,
}

pub(super) type Targets = Vec<(Method, Target)>;

impl Table {
    pub(super) fn new(info: Rc<RouteInfo>, scope: Rc<Scope>) -> Table {
        Table {
            info,
            targets: Vec::new(),
            contested: None,
            allow: String::new(),
            scope,
            slash: None,
            #[cfg(feature = "regex")]
            pattern_alike: None,
        }
    }

    /// That of a regular expression.
    #[cfg(feature = "regex")]
    #[inline]
    pub(super) fn of_regex(info: Rc<RouteInfo>, scope: Rc<Scope>, pattern_alike: String) -> Table {
        Table { pattern_alike: Some(pattern_alike.into()), ..Table::new(info, scope) }
    }

    /// The methods of this path, as the value of an `Allow` header.
    pub(crate) fn allow(&self) -> &str {
        &self.allow
    }

    pub(super) fn scope(&self) -> &Rc<Scope> {
        &self.scope
    }

    /// What nested applications say about its requests, and what is known of them.
    pub(crate) fn said(&self) -> (&Rc<Scope>, &Rc<RouteInfo>) {
        (&self.scope, &self.info)
    }

    #[inline]
    pub(super) fn is_regex(&self) -> bool {
        #[cfg(feature = "regex")]
        return self.pattern_alike.is_some();
        #[cfg(not(feature = "regex"))]
        false
    }

    /// The pattern that says how exact the routes are: their own, unless that is a regular expression.
    #[inline]
    pub(super) fn pattern_alike(&self) -> &str {
        #[cfg(feature = "regex")]
        if let Some(pattern) = &self.pattern_alike {
            return pattern;
        }
        self.text()
    }

    pub(super) fn text(&self) -> &str {
        self.info.pattern().unwrap_or_default()
    }

    /// What is known of requests of routes that an application with this home has added: a nested one and the one around it
    /// may have methods of the same path.
    #[inline]
    pub(super) fn info_at(&self, home: &Rc<Home>) -> Rc<RouteInfo> {
        if Rc::ptr_eq(home, self.info.home()) { Rc::clone(&self.info) } else { Rc::new(self.info.at(home)) }
    }

    #[track_caller]
    pub(super) fn add(&mut self, method: Method, target: Target) {
        assert!(target_of(self.targets(), &method).is_none(), "{method} {} has two handlers", self.text());
        let targets = self.contested.as_deref_mut().unwrap_or(&mut self.targets);
        targets.push((method, target));
        self.allow = allow(&mut targets.iter().map(|(method, _)| method));
    }

    /// From now on the fallbacks of nested applications are asked before the routes.
    #[cold]
    pub(super) fn contest(&mut self) {
        let targets = std::mem::take(&mut self.targets);
        self.contested.get_or_insert_default().extend(targets);
    }

    #[inline]
    pub(super) fn is_contested(&self) -> bool {
        self.contested.is_some()
    }

    /// Has the endpoints mounted anew, since the application has changed.
    #[cold]
    pub(super) fn unmount(&mut self) {
        for (_, target) in self.contested.as_deref_mut().unwrap_or(&mut self.targets) {
            target.mounted.take();
        }
    }

    #[inline]
    pub(super) fn targets(&self) -> &Targets {
        self.contested.as_deref().unwrap_or(&self.targets)
    }

    #[inline]
    pub(super) fn into_targets(self) -> Targets {
        self.contested.map_or(self.targets, |targets| *targets)
    }

    /// What the routes say to `method`, contested or not.
    pub(super) fn find(&self, method: &Method, params: impl FnOnce() -> PathParams) -> Found<'_> {
        match target_for(self.targets(), method) {
            Some(target) => Found::Target(target, params()),
            None if method == Method::OPTIONS => Found::Options(self, params()),
            // 405 rather than the fallback: the path is known (RFC 9110, section 15.5.6).
            None => Found::WrongMethod(self, params()),
        }
    }

    /// What answers `method`, unless it is contested.
    #[inline]
    pub(super) fn target_for(&self, method: &Method) -> Option<&Target> {
        target_for(&self.targets, method)
    }
}

/// HEAD falls back to GET, whose body the layer below leaves out.
#[inline]
fn target_for<'t>(targets: &'t Targets, method: &Method) -> Option<&'t Target> {
    match target_of(targets, method) {
        None if method == Method::HEAD => target_of(targets, &Method::GET),
        found => found,
    }
}

#[inline]
fn target_of<'t>(targets: &'t Targets, method: &Method) -> Option<&'t Target> {
    targets.iter().find(|(known, _)| known == method).map(|(_, target)| target)
}

/// The `Allow` header of routes with these methods: HEAD comes with GET, OPTIONS with everything.
pub(super) fn allow(methods: &mut dyn Iterator<Item = &Method>) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut add = |name| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for method in methods {
        add(method.as_str());
        if method == Method::GET {
            add(Method::HEAD.as_str());
        }
    }
    add(Method::OPTIONS.as_str());
    let mut line = String::new();
    for name in names {
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(name);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_each_method_once() {
        let methods = [Method::HEAD, Method::GET, Method::POST, Method::GET];
        assert_eq!(allow(&mut methods.iter()), "HEAD, GET, POST, OPTIONS");
        assert_eq!(allow(&mut [].iter()), "OPTIONS");
    }
}
