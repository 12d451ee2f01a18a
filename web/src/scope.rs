//! What an application or a route says about the requests it answers.

use std::{rc::Rc, time::Duration};

use crate::{access_log, error::Error, exchange::Exchange, metrics::Observer, wrap::AnyWrap};

/// What an application gave for making error pages.
pub(crate) type ErrorPage = Rc<dyn Fn(&mut Exchange, &Error)>;

/// Settings of an application, a nested one, or a route.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    /// Outermost first.
    wraps: Vec<Rc<dyn AnyWrap>>,
    /// How long a handler may take until it answers.
    handler_timeout: Option<Duration>,
    /// Whether one of these is set. The one question that each request asks.
    runs_around: bool,
    pub(crate) error_page: Option<ErrorPage>,
    /// The longest body of a request, in bytes.
    pub(crate) body_limit: Option<u64>,
    pub(crate) no_access_log: bool,
    /// Of the outermost application, if it has chosen a format.
    pub(crate) access_log_writer: Option<access_log::Writer>,
    /// Of the outermost application: who is told of requests that have ended.
    pub(crate) observer: Option<Rc<dyn Observer>>,
}

impl Scope {
    /// Whether anything runs around handlers.
    #[inline]
    pub(crate) fn runs_around(&self) -> bool {
        self.runs_around
    }

    /// Outermost first.
    #[inline]
    pub(crate) fn wraps(&self) -> &[Rc<dyn AnyWrap>] {
        &self.wraps
    }

    /// Adds a wrap, inside those there are.
    pub(crate) fn add_wrap(&mut self, wrap: Rc<dyn AnyWrap>) {
        self.wraps.push(wrap);
        self.runs_around = true;
    }

    /// How long a handler may take until it answers.
    #[inline]
    pub(crate) fn handler_timeout(&self) -> Option<Duration> {
        self.handler_timeout
    }

    #[inline]
    pub(crate) fn set_handler_timeout(&mut self, limit: Duration) {
        self.handler_timeout = Some(limit);
        self.runs_around = true;
    }

    /// These settings inside those of `outer`: its wraps run further out, and what is not set here is taken from there.
    #[inline]
    pub(crate) fn within(mut self, outer: &Scope) -> Scope {
        self.wraps.splice(0..0, outer.wraps.iter().cloned());
        self.handler_timeout = self.handler_timeout.or(outer.handler_timeout);
        self.runs_around |= outer.runs_around;
        self.error_page = self.error_page.or_else(|| outer.error_page.clone());
        self.body_limit = self.body_limit.or(outer.body_limit);
        self.no_access_log |= outer.no_access_log;
        self
    }

    /// These settings [within](Scope::within) those of the outermost application.
    #[inline]
    pub(crate) fn mounted_in(self, outermost: &Scope) -> Scope {
        let mut scope = self.within(outermost);
        scope.access_log_writer = outermost.access_log_writer;
        scope.observer.clone_from(&outermost.observer);
        scope
    }
}
