//! What answers paths that no route has.

use std::{cmp::Reverse, rc::Rc};

use super::Table;
use crate::{
    endpoint::Endpoint,
    pattern::{Part, parts, unescaped},
    routing::RouteInfo,
    scope::Scope,
};

/// What an application, perhaps a nested one, does with paths that none of its routes has.
pub(super) struct Fallback {
    /// A pattern without a slash at its end; empty for everything.
    pub(super) prefix: String,
    /// `None` when the application has none of its own: then that of the one around it answers, and a 404 in the end.
    pub(super) endpoint: Option<Rc<dyn Endpoint>>,
    pub(super) scope: Rc<Scope>,
    pub(super) info: Rc<RouteInfo>,
}

impl Fallback {
    /// What the parameters of the prefix are in a path below it; `None` for other paths.
    #[cold]
    #[inline(never)]
    pub(super) fn pieces<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let (mut rest, mut pieces) = (path, Vec::new());
        for segment in self.prefix.split('/').skip(1) {
            rest = rest.strip_prefix('/')?;
            let (text, behind) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match_segment(segment, text, &mut pieces)?;
            rest = behind;
        }
        Some(pieces)
    }

    /// Whether it answers paths below its prefix before a pattern that matches them as well: one that is less exact in the
    /// first segment in which they differ, such as `/{*path}` beside `/admin`. Of two texts that differ, one path has one.
    /// A regular expression is as exact as the text it begins with.
    #[inline]
    pub(super) fn goes_before(&self, table: &Table) -> bool {
        if self.endpoint.is_none() {
            return false;
        }
        let mut segments = table.pattern_alike().split('/').skip(1);
        for own in self.prefix.split('/').skip(1) {
            match segments.next() {
                Some(other) if other == own => {}
                Some(other) => return exactness(own) < exactness(other),
                None => return false,
            }
        }
        false
    }

    /// The more exact prefix first, by the first segment in which they differ, and a longer one before its beginning.
    #[inline]
    pub(super) fn rank(&self) -> Vec<Exactness> {
        self.prefix.split('/').skip(1).map(exactness).chain([Exactness::MAX]).collect()
    }
}

/// How little is left open. The least one goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Exactness(u8, Reverse<usize>);

impl Exactness {
    /// Of the end of a prefix: all is left open.
    const MAX: Exactness = Exactness(u8::MAX, Reverse(0));
}

/// In the order in which the tree prefers segments: text; a parameter with text beside it, and of those the one with more
/// text; a parameter; one for all that is left.
#[inline]
fn exactness(segment: &str) -> Exactness {
    let (mut kind, mut text) = (0, 0);
    for part in parts(segment) {
        match part {
            Part::Literal(literal) => text += literal.len(),
            Part::Parameter(parameter) => kind = if parameter.starts_with("{*") { 3 } else { 2 },
        }
    }
    match (kind, text) {
        (0, _) => Exactness(0, Reverse(0)),
        (2, text) if text > 0 => Exactness(1, Reverse(text)),
        (kind, text) => Exactness(kind, Reverse(text)),
    }
}

/// Adds the value of the parameter to `pieces`, if there is one; `None` if the segment does not match.
#[inline]
fn match_segment<'p>(pattern: &str, text: &'p str, pieces: &mut Vec<&'p str>) -> Option<()> {
    let (mut before, mut behind, mut has_parameter) = (String::new(), String::new(), false);
    for part in parts(pattern) {
        match part {
            Part::Parameter(_) => has_parameter = true,
            Part::Literal(literal) => {
                let side = if has_parameter { &mut behind } else { &mut before };
                side.push_str(&unescaped(literal));
            }
        }
    }
    if !has_parameter {
        return (text == before).then_some(());
    }
    let value = text.strip_prefix(before.as_str())?.strip_suffix(behind.as_str())?;
    pieces.push(value);
    (!value.is_empty()).then_some(())
}
