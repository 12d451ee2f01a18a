//! Whether handlers have what they need.

use super::Router;
use crate::{
    routing::{Needs, RouteInfo},
    scope::Scope,
};

impl Router {
    /// Checks that all handlers and wraps have the state that they need.
    ///
    /// # Panics
    ///
    /// If one does not.
    #[track_caller]
    #[inline(never)]
    pub(crate) fn check_needs(&self, application: &Scope) {
        let with_wraps = |needs: &Needs, scope: &Scope| {
            let mut needs = needs.clone();
            application.wraps().iter().chain(scope.wraps()).for_each(|wrap| wrap.needs(&mut needs));
            needs
        };
        check(&self.unrouted, &with_wraps(&Needs::default(), &Scope::default()), &|| "what runs around all".to_owned());
        for table in &self.tables {
            for (method, target) in table.targets() {
                let mut needs = with_wraps(&target.needs, &target.scope);
                target.endpoint.needs(&mut needs);
                check(&target.info, &needs, &|| format!("the route {method} {}", table.text()));
            }
        }
        for fallback in &self.fallbacks {
            let mut needs = with_wraps(&Needs::default(), &fallback.scope);
            if let Some(endpoint) = &fallback.endpoint {
                endpoint.needs(&mut needs);
            }
            check(&fallback.info, &needs, &|| format!("the fallback below {:?}", fallback.prefix));
        }
    }

    /// All that the routes and nested applications say about their requests.
    #[cfg(all(feature = "testing", feature = "sessions"))]
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &Scope> {
        let of_routes = self.tables.iter().flat_map(|table| table.targets().iter().map(|(_, target)| &*target.scope));
        of_routes.chain(self.fallbacks.iter().map(|fallback| &*fallback.scope))
    }
}

#[track_caller]
fn check(info: &RouteInfo, needs: &Needs, what: &dyn Fn() -> String) {
    if let Some(name) = info.home().lacks(needs) {
        panic!(
            "{} needs state of type {name}, which neither its application nor one around it has: add it with \
             `Application::state`",
            what()
        );
    }
}
