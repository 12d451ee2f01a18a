//! An endpoint in its place in an application.

use std::rc::Rc;

#[cfg(all(feature = "testing", feature = "sessions"))]
use crate::endpoint::Unrouted;
use crate::{endpoint::Endpoint, path_params::PathParams, routing::RouteInfo, scope::Scope};

/// An endpoint with all that its route and the applications around it say about its requests. Put together once for a route,
/// so that a request holds one pointer and looks in one place.
pub(crate) struct Mounted {
    pub(crate) endpoint: Rc<dyn Endpoint>,
    pub(crate) scope: Scope,
    pub(crate) info: Rc<RouteInfo>,
    /// Whether the endpoint wants to know when a request is over.
    pub(crate) has_on_finish: bool,
}

impl Mounted {
    /// `route` is what the route and nested applications say, inside what the outermost application does.
    #[inline]
    pub(crate) fn new(
        endpoint: &Rc<dyn Endpoint>,
        info: &Rc<RouteInfo>,
        route: &Scope,
        application: &Scope,
    ) -> Rc<Mounted> {
        Rc::new(Mounted {
            endpoint: Rc::clone(endpoint),
            scope: route.clone().mounted_in(application),
            info: Rc::clone(info),
            has_on_finish: endpoint.has_on_finish(),
        })
    }
}

/// Where a request belongs.
pub(crate) struct Routed {
    pub(crate) mounted: Rc<Mounted>,
    pub(crate) params: PathParams,
}

impl Routed {
    /// To an endpoint that nobody calls: for a request that stands outside of any application.
    #[cfg(all(feature = "testing", feature = "sessions"))]
    pub(crate) fn nowhere(info: &Rc<RouteInfo>) -> Routed {
        let nothing: Rc<dyn Endpoint> = Rc::new(Unrouted::NotFound);
        Routed {
            mounted: Mounted::new(&nothing, info, &Scope::default(), &Scope::default()),
            params: PathParams::none(),
        }
    }
}
