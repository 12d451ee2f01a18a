//! An application in debug mode.

use std::{rc::Rc, time::Duration};

use httpserver::Request;

use super::{mode::DebugMode, reload};
use crate::{
    answering::Answering,
    application::Application,
    endpoint::{Endpoint, Function},
    mounted::{Mounted, Routed},
    path_params::PathParams,
    scope::Scope,
};

impl Application {
    /// Switches debug mode on, for working on the application:
    ///
    /// * the page of a server's error shows its causes, where it happened, the request, and what was noted by
    ///   [`debug_value`](crate::Exchange::debug_value). Credentials are masked;
    /// * templates are read again when they have changed;
    /// * pages in HTML reload themselves when templates, static files or what [`watch`](crate::debug::watch) names change, and when
    ///   the program was started anew. A script is put behind them for that, unless they are streamed. Browsers ask again for
    ///   what they have cached.
    ///
    /// Everybody who can reach the server sees all that: never switch it on for the public. The log has a warning. Paths below
    /// `/.waterspout/` are debug mode's.
    ///
    /// Most programs call it by [`debug::serve`](crate::debug::serve), or with a setting of theirs:
    /// `Application::new().debug(settings.debug)`.
    #[inline]
    pub fn debug(self, on: bool) -> Application {
        if on && !self.is_debug() { self.state(DebugMode::new()) } else { self }
    }

    /// For a server that will be replaced.
    #[inline]
    pub(super) fn drain_grace(mut self, grace: Duration) -> Application {
        self.options = std::mem::take(&mut self.options).drain_grace(grace);
        self
    }

    /// Whether a request is one of debug mode's own.
    #[inline]
    pub(crate) fn is_for_debug(&self, request: &Request) -> bool {
        request.path().starts_with(reload::PREFIX) && self.is_debug()
    }

    /// The answer to such a request. Outside of all wraps: the page of a login is none.
    #[cold]
    pub(crate) fn answer_debug(&self, request: Request) -> Answering {
        let mut scope = Scope::default();
        scope.no_access_log = true;
        let endpoint: Rc<dyn Endpoint> = Rc::new(Function(reload::answer));
        let mounted = Mounted::new(&endpoint, self.router.unrouted(), &scope, &Scope::default());
        let route = Routed { mounted, params: PathParams::none() };
        Answering::new(endpoint.answer(&mut Some(request), route))
    }

    #[inline]
    fn is_debug(&self) -> bool {
        self.router.home().state::<DebugMode>().is_ok()
    }
}
