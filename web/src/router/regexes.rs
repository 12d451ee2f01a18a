//! Routes whose pattern is a regular expression.

use std::rc::Rc;

use httpserver::Method;

use super::{Found, Router, Table};
use crate::{
    path_params::PathParams,
    pattern::Pattern,
    routing::{Home, PathRegex, RouteInfo, UrlPattern},
    scope::Scope,
};

impl Router {
    /// The table of a regular expression, which is as exact as `pattern_alike`.
    #[track_caller]
    #[inline]
    pub(super) fn regex_table(
        &mut self,
        text: &str,
        pattern_alike: String,
        home: &Rc<Home>,
        scope: Rc<Scope>,
    ) -> &mut Table {
        if let Some(&(_, at)) = self.regexes.iter().find(|(known, _)| known.text() == text) {
            return &mut self.tables[at];
        }
        let regex = match PathRegex::parse(text) {
            Ok(regex) => regex,
            Err(error) => panic!("the route {text:?} {error}"),
        };
        let at = self.tables.len();
        let info = Rc::new(RouteInfo::new(Pattern::of_regex(text, regex.names()), home));
        self.regexes.push((regex, at));
        let mut table = Table::of_regex(info, scope, pattern_alike);
        if self.fallbacks.iter().any(|fallback| fallback.goes_before(&table)) {
            table.contest();
        }
        self.tables.push(table);
        &mut self.tables[at]
    }

    /// What URLs of a regular expression are made of.
    #[track_caller]
    #[inline]
    pub(super) fn url_of_regex(&self, text: &str) -> UrlPattern {
        let known = self.regexes.iter().find(|(known, _)| known.text() == text);
        match known.and_then(|(regex, _)| UrlPattern::of_regex(regex)) {
            Some(pattern) => pattern,
            None => panic!(
                "the route {text:?} cannot have a name: no URL can be made of a regular expression that is more than \
                 literal text and named groups"
            ),
        }
    }

    /// The first regular expression that matches, and is not behind the fallback of a nested application.
    #[inline]
    pub(super) fn find_regex(&self, method: &Method, path: &str) -> Option<Found<'_>> {
        self.regexes.iter().find_map(|(regex, at)| {
            let pieces = regex.find(path)?;
            let table = &self.tables[*at];
            if table.is_contested() && self.belongs_to_fallback(path, table) {
                return None;
            }
            Some(table.find(method, || PathParams::of_pieces(&pieces, path)))
        })
    }
}
