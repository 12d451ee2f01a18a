//! The parameters that a route found in a path.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

/// Where the parameters of the matched route stand in the path. Positions instead of copies, and the names shared with
/// the route: a match allocates nothing unless it has more than [`INLINE`] parameters.
#[derive(Default)]
pub(crate) struct PathParams {
    /// Thin, since every waiting request holds one.
    names: Option<Rc<Names>>,
    spans: Spans,
}

/// The names of a route's parameters, in order.
pub(crate) type Names = Vec<String>;

const INLINE: usize = 4;

enum Spans {
    /// As many of these are used as there are names.
    Few([Span; INLINE]),
    Many(Box<[Span]>),
}

/// 16 bits do: a request's head is never longer than 64 KiB.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u16,
    len: u16,
}

impl PathParams {
    /// `params` are those of a match on `path`, in the order of `names`.
    pub(crate) fn new(names: &Rc<Names>, params: &matchit::Params<'_, '_>, path: &str) -> PathParams {
        if names.is_empty() {
            return PathParams::default();
        }
        let mut found = params.iter().map(|(_, value)| Span::of(value, path));
        let spans = if names.len() <= INLINE {
            Spans::Few(std::array::from_fn(|_| found.next().unwrap_or_default()))
        } else {
            Spans::Many(found.collect())
        };
        PathParams { names: Some(Rc::clone(names)), spans }
    }

    /// The parameter as it stands in the path, still percent-encoded.
    pub(crate) fn raw<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        let at = self.names.as_deref()?.iter().position(|known| known == name)?;
        let spans = match &self.spans {
            Spans::Few(spans) => &spans[..],
            Spans::Many(spans) => spans,
        };
        path.get(spans.get(at)?.range())
    }

    /// The parameter, decoded. A plus sign stays one: only forms write spaces that way.
    pub(crate) fn decoded<'p>(&self, name: &str, path: &'p str) -> Result<Cow<'p, str>> {
        let Some(raw) = self.raw(name, path) else {
            return Err(Error::MissingArgument { name: name.to_owned() });
        };
        // The decoder leaves such escapes as they are; then `%zz` and `%25zz` would name the same thing.
        let is_whole = |behind: &str| behind.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
        if !raw.split('%').skip(1).all(is_whole) {
            return Err(Error::invalid_argument(name, "a percent sign without two digits behind it"));
        }
        percent_decode_str(raw).decode_utf8().map_err(|_| Error::invalid_argument(name, "it is not UTF-8"))
    }
}

impl Default for Spans {
    fn default() -> Self {
        Spans::Few([Span::default(); INLINE])
    }
}

impl Span {
    /// `part` is a piece of `whole`, as everything is that a match returns.
    fn of(part: &str, whole: &str) -> Span {
        let start = part.as_ptr().addr() - whole.as_ptr().addr();
        Span { start: start as u16, len: part.len() as u16 }
    }

    fn range(self) -> Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.len)
    }
}

/// The names of the parameters in a route's pattern, in order. `{{` and `}}` are literal braces.
pub(crate) fn names_in(pattern: &str) -> Rc<Names> {
    let mut names = Vec::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(literal) = rest.strip_prefix('{') {
            rest = literal;
            continue;
        }
        let Some(close) = rest.find('}') else { break };
        names.push(rest[..close].trim_start_matches('*').to_owned());
        rest = &rest[close + 1..];
    }
    Rc::new(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, path: &str) -> PathParams {
        let mut router = matchit::Router::new();
        router.insert(pattern, ()).unwrap();
        let matched = router.at(path).unwrap();
        PathParams::new(&names_in(pattern), &matched.params, path)
    }

    #[test]
    fn parameters_are_found_by_name_and_decoded() {
        let path = "/room/a%20b+c/x/y/z";
        let params = found("/room/{id}/{*rest}", path);
        assert_eq!(params.decoded("id", path).unwrap(), "a b+c");
        assert_eq!(params.raw("rest", path), Some("x/y/z"));
        assert!(matches!(params.decoded("other", path), Err(Error::MissingArgument { .. })));
    }

    #[test]
    fn more_parameters_than_fit_inline_are_found_too() {
        let path = "/1/22/333/4444/55555";
        let params = found("/{a}/{b}/{c}/{d}/{e}", path);
        assert_eq!(params.raw("a", path), Some("1"));
        assert_eq!(params.raw("e", path), Some("55555"));
    }

    #[test]
    fn braces_can_be_literal() {
        assert_eq!(*names_in("/{{x}}/{y}.png/{*z}"), ["y", "z"]);
        assert_eq!(names_in("/plain").len(), 0);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        let path = "/%ff";
        let error = found("/{x}", path).decoded("x", path).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }));
    }
}
