//! What answers paths that no route has.

use std::{cmp::Reverse, rc::Rc};

use crate::{
    endpoint::Endpoint,
    pattern::{Part, parts},
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

    /// The longer prefix first, and of two that are as long the one with fewer parameters.
    #[inline]
    pub(super) fn rank(&self) -> (Reverse<usize>, usize) {
        let parameters = parts(&self.prefix).filter(|part| matches!(part, Part::Parameter(_))).count();
        (Reverse(self.prefix.split('/').count()), parameters)
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
                side.push_str(&literal.replace("{{", "{").replace("}}", "}"));
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
