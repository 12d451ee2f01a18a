//! Where requests are counted.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::Duration,
};

use httpserver::{Method, StatusCode};

use super::Observer;
use crate::exchange::Exchange;

/// The upper ends of the steps of a histogram, in seconds: those of Prometheus' clients, and some for answers that do not wait.
pub(super) const STEPS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counts of requests.
#[derive(Default)]
pub(super) struct Counts {
    /// By the pattern of the route; empty for paths that no route has.
    routes: RefCell<HashMap<String, RouteCounts>>,
    total: Cell<u64>,
}

/// The counts of a route.
#[derive(Clone, Default)]
pub(super) struct RouteCounts {
    /// A handful of pairs of method and status.
    pub(super) answers: Vec<((&'static str, u16), u64)>,
    /// How many took no longer than the end of each step, and longer than that of the one before.
    pub(super) steps: [u64; STEPS.len()],
    pub(super) sum: Duration,
}

impl RouteCounts {
    /// How many requests there were.
    #[inline]
    pub(super) fn count(&self) -> u64 {
        self.answers.iter().map(|(_, count)| count).sum()
    }

    #[inline]
    fn add(&mut self, method: &'static str, status: u16, took: Duration) {
        let key = (method, status);
        match self.answers.iter_mut().find(|(known, _)| *known == key) {
            Some((_, count)) => *count += 1,
            None => self.answers.push((key, 1)),
        }
        let seconds = took.as_secs_f64();
        if let Some(at) = STEPS.iter().position(|end| seconds <= *end) {
            self.steps[at] += 1;
        }
        self.sum += took;
    }
}

impl Counts {
    /// All routes with their counts, in the order of their patterns.
    #[inline]
    pub(super) fn sorted(&self) -> Vec<(String, RouteCounts)> {
        let routes = self.routes.borrow();
        let mut list: Vec<_> = routes.iter().map(|(pattern, counts)| (pattern.clone(), counts.clone())).collect();
        drop(routes);
        list.sort_by(|one, two| one.0.cmp(&two.0));
        list.iter_mut().for_each(|(_, counts)| counts.answers.sort());
        list
    }

    #[inline]
    pub(super) fn total(&self) -> u64 {
        self.total.get()
    }
}

impl Observer for Counts {
    #[inline]
    fn ended(&self, exchange: &Exchange, status: StatusCode) {
        let took = exchange.request().received_at().elapsed();
        let pattern = exchange.pattern().unwrap_or_default();
        let method = label(exchange.method());
        self.total.set(self.total.get() + 1);
        let mut routes = self.routes.borrow_mut();
        match routes.get_mut(pattern) {
            Some(counts) => counts.add(method, status.as_u16(), took),
            None => routes.entry(pattern.to_owned()).or_default().add(method, status.as_u16(), took),
        }
    }
}

/// The name of a method; those that clients make up have one in common.
#[inline]
fn label(method: &Method) -> &'static str {
    let known = [
        (Method::GET, "GET"),
        (Method::HEAD, "HEAD"),
        (Method::POST, "POST"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
        (Method::OPTIONS, "OPTIONS"),
    ];
    known.iter().find(|(known, _)| known == method).map_or("other", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_adds_up_what_its_requests_took() {
        let mut counts = RouteCounts::default();
        counts.add("GET", 200, Duration::from_millis(20));
        counts.add("GET", 200, Duration::from_millis(300));
        counts.add("PUT", 409, Duration::from_secs(60));
        assert_eq!((counts.count(), counts.sum), (3, Duration::from_millis(60_320)));
        assert_eq!(counts.answers, [(("GET", 200), 2), (("PUT", 409), 1)]);
        assert_eq!(counts.steps.iter().sum::<u64>(), 2, "the third is beyond the last step");
    }

    #[test]
    fn methods_have_their_names_and_those_that_nobody_knows_share_one() {
        for name in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(label(&Method::from_bytes(name.as_bytes()).unwrap()), name);
        }
        assert_eq!(label(&Method::from_bytes(b"BREW").unwrap()), "other");
    }
}
