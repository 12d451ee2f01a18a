//! What an application has for its handlers.

use std::{cell::OnceCell, rc::Rc};

use super::{UrlPattern, hosts::HostPattern, names::Names, state::State};
use crate::pattern::Pattern;

/// What an application has for all its handlers. Applications nest, so homes do: what is not in one is looked for in the
/// one around it. Shared with handles that outlive the building of the application, so it grows behind its `Rc`.
#[derive(Default)]
pub(crate) struct Home {
    /// Of the application around this one, once it is nested.
    pub(super) outer: OnceCell<Rc<Home>>,
    /// Of all routes, those of nested applications included. Empty once this one is nested.
    pub(super) names: Names,
    /// The hosts for which the application was added.
    host: OnceCell<HostPattern>,
    /// Of handlers and wraps.
    pub(super) state: State,
}

impl Home {
    /// Moves the home of a nested application, whose patterns get `prefix`, into this one.
    ///
    /// # Panics
    ///
    /// If both have a route of the same name.
    #[track_caller]
    #[inline]
    pub(crate) fn adopt(self: &Rc<Home>, nested: &Home, prefix: &str) {
        // Each application is nested once: that takes it.
        let _ = nested.outer.set(Rc::clone(self));
        self.names.adopt(&nested.names, prefix);
    }

    /// Gives the route with this pattern a name.
    ///
    /// # Panics
    ///
    /// If another one has it.
    #[track_caller]
    #[inline]
    pub(crate) fn name(&self, name: &str, pattern: UrlPattern) {
        self.names.add(name, pattern);
    }

    /// Says for which hosts the application answers.
    #[inline]
    pub(crate) fn set_host(&self, pattern: HostPattern) {
        // Each application is added once: that takes it.
        let _ = self.host.set(pattern);
    }

    /// The parameter of this name in the pattern of the application's hosts.
    #[inline]
    pub(crate) fn host_param(&self, name: &str, host: &str) -> Option<String> {
        let mut around = std::iter::successors(Some(self), |home| home.outer.get().map(|outer| &**outer));
        around.find_map(|home| home.host.get()?.value(name, host))
    }

    /// That of the outermost application.
    #[inline]
    pub(crate) fn root(&self) -> &Home {
        let mut home = self;
        while let Some(outer) = home.outer.get() {
            home = outer;
        }
        home
    }
}

/// What is known of a request once it has been routed, shared by all requests of a route.
pub(crate) struct RouteInfo {
    /// Of the route, or the prefix of the application that the path belongs to. `None` when it is the outermost one.
    pattern: Option<Pattern>,
    is_route: bool,
    home: Rc<Home>,
}

impl RouteInfo {
    /// Of a route.
    #[inline]
    pub(crate) fn new(pattern: Pattern, home: &Rc<Home>) -> RouteInfo {
        RouteInfo { pattern: Some(pattern), is_route: true, home: Rc::clone(home) }
    }

    /// Of a path that no route of an application has.
    #[inline]
    pub(crate) fn unrouted(home: &Rc<Home>) -> RouteInfo {
        RouteInfo { pattern: None, is_route: false, home: Rc::clone(home) }
    }

    /// Of a path below the prefix of a nested application, which has no route for it.
    #[inline]
    pub(crate) fn below(prefix: &str, home: &Rc<Home>) -> RouteInfo {
        // It is valid, or the application would not have been nested; empty, it has no parameters either.
        RouteInfo { pattern: Pattern::parse(prefix).ok(), is_route: false, home: Rc::clone(home) }
    }

    /// The pattern of the route, as it was written.
    #[inline]
    pub(crate) fn pattern(&self) -> Option<&str> {
        self.pattern.as_ref().filter(|_| self.is_route).map(Pattern::text)
    }

    /// The names of the parameters, in order.
    #[inline]
    pub(crate) fn names(&self) -> &[String] {
        self.pattern.as_ref().map_or(&[], Pattern::names)
    }

    #[inline]
    pub(crate) fn home(&self) -> &Rc<Home> {
        &self.home
    }

    /// The same route, added by another application.
    #[inline]
    pub(crate) fn at(&self, home: &Rc<Home>) -> RouteInfo {
        RouteInfo { pattern: self.pattern.clone(), is_route: self.is_route, home: Rc::clone(home) }
    }
}
