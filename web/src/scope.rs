//! What an application or a route says about the requests it answers.

use std::rc::Rc;

use crate::{error::Error, exchange::Exchange, wrap::AnyWrap};

/// What an application gave for making error pages.
pub(crate) type ErrorPage = Rc<dyn Fn(&mut Exchange, &Error)>;

/// Settings of an application, a nested one, or a route.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    /// Outermost first.
    pub(crate) wraps: Vec<Rc<dyn AnyWrap>>,
    pub(crate) error_page: Option<ErrorPage>,
    /// The longest body of a request, in bytes.
    pub(crate) body_limit: Option<u64>,
    pub(crate) no_access_log: bool,
}

impl Scope {
    /// These settings inside those of `outer`: its wraps run further out, and what is not set here is taken from there.
    #[inline]
    pub(crate) fn within(mut self, outer: &Scope) -> Scope {
        self.wraps.splice(0..0, outer.wraps.iter().cloned());
        self.error_page = self.error_page.or_else(|| outer.error_page.clone());
        self.body_limit = self.body_limit.or(outer.body_limit);
        self.no_access_log |= outer.no_access_log;
        self
    }
}
