//! The parameters that a route found in a path.

use std::{borrow::Cow, ops::Range, rc::Rc};

use httpserver::StatusCode;
use percent_encoding::percent_decode_str;

use crate::{
    error::{Error, HttpError, Result},
    input::Source,
    routing::RouteInfo,
};

/// Where the parameters of the matched route stand in the path. Positions instead of copies, and the names shared with
/// the route: a match allocates nothing unless it has more than [`INLINE`] parameters.
pub(crate) struct PathParams {
    /// Of the route. Thin, since every waiting request holds one.
    info: Rc<RouteInfo>,
    places: Places,
}

/// As many as most routes have at the most.
const INLINE: usize = 4;

enum Places {
    /// As many of these are used as there are names.
    Few([Place; INLINE]),
    Many(Box<[Place]>),
}

/// Where a parameter stands. 16 bits do: a request's head is never longer than 64 KiB.
#[derive(Clone, Copy, Default)]
struct Place {
    start: u16,
    len: u16,
}

impl PathParams {
    /// `params` are those of a match on `path`, in the order of the pattern's names.
    #[inline]
    pub(crate) fn new(info: &Rc<RouteInfo>, params: &matchit::Params<'_, '_>, path: &str) -> PathParams {
        let names = info.names();
        if names.is_empty() {
            return PathParams::none(info);
        }
        let mut found = params.iter().map(|(_, value)| Place::of(value, path));
        // The tree returns slices of the path; kept as such they would borrow the request that moves into the exchange.
        let places = if names.len() <= INLINE {
            Places::Few(std::array::from_fn(|_| found.next().unwrap_or_default()))
        } else {
            Places::Many(found.collect())
        };
        PathParams { info: Rc::clone(info), places }
    }

    /// `texts` are pieces of `path`, or empty, in the order of the pattern's names.
    #[inline]
    pub(crate) fn of_pieces(info: &Rc<RouteInfo>, texts: &[&str], path: &str) -> PathParams {
        let mut found = texts.iter().map(|text| if text.is_empty() { Place::default() } else { Place::of(text, path) });
        let places = if texts.len() <= INLINE {
            Places::Few(std::array::from_fn(|_| found.next().unwrap_or_default()))
        } else {
            Places::Many(found.collect())
        };
        PathParams { info: Rc::clone(info), places }
    }

    /// Those of a route without parameters, or of no route.
    #[inline]
    pub(crate) fn none(info: &Rc<RouteInfo>) -> PathParams {
        PathParams { info: Rc::clone(info), places: Places::default() }
    }

    /// The route that matched.
    #[inline]
    pub(crate) fn info(&self) -> &RouteInfo {
        &self.info
    }

    /// The parameter as it stands in the path, still percent-encoded.
    #[inline]
    pub(crate) fn raw<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        let at = self.info.names().iter().position(|known| known == name)?;
        let places = match &self.places {
            Places::Few(places) => &places[..],
            Places::Many(places) => places,
        };
        path.get(places.get(at)?.range())
    }

    /// The parameter, decoded. A plus sign stays one: only forms write spaces that way.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8, 500 when the route has no such parameter.
    #[inline]
    pub(crate) fn decoded<'p>(&self, name: &str, path: &'p str) -> Result<Cow<'p, str>> {
        let Some(raw) = self.raw(name, path) else {
            return Err(self.unknown(name, path));
        };
        // The decoder leaves such escapes as they are; then `%zz` and `%25zz` would name the same thing.
        let is_whole = |behind: &str| behind.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
        if !raw.split('%').skip(1).all(is_whole) {
            return Err(Error::invalid(Source::Path, name, "a percent sign without two digits behind it"));
        }
        percent_decode_str(raw).decode_utf8().map_err(|_| Error::invalid(Source::Path, name, "it is not UTF-8"))
    }

    /// No client can mend this: the handler asks for what the route it was given does not have.
    #[cold]
    #[inline]
    fn unknown(&self, name: &str, path: &str) -> Error {
        let text = match self.info.pattern() {
            Some(pattern) => format!("the route {pattern:?} has no parameter {name:?}"),
            None => format!("the route of {path:?} has no parameters, {name:?} was asked for"),
        };
        HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into()
    }
}

impl Default for Places {
    #[inline]
    fn default() -> Self {
        Places::Few([Place::default(); INLINE])
    }
}

impl Place {
    /// `part` is a piece of `whole`, as everything is that a match returns.
    #[inline]
    fn of(part: &str, whole: &str) -> Place {
        let start = part.as_ptr().addr() - whole.as_ptr().addr();
        Place { start: start as u16, len: part.len() as u16 }
    }

    #[inline]
    fn range(self) -> Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pattern::Pattern, routing::Home};

    fn found(pattern: &str, path: &str) -> PathParams {
        let mut router = matchit::Router::new();
        router.insert(pattern, ()).unwrap();
        let matched = router.at(path).unwrap();
        let info = RouteInfo::new(Pattern::parse(pattern).unwrap(), &Rc::new(Home::default()));
        PathParams::new(&Rc::new(info), &matched.params, path)
    }

    #[test]
    fn parameters_are_found_by_name_and_decoded() {
        let path = "/room/a%20b+c/x/y/z";
        let params = found("/room/{id}/{*rest}", path);
        assert_eq!(params.decoded("id", path).unwrap(), "a b+c");
        assert_eq!(params.raw("rest", path), Some("x/y/z"));
    }

    #[test]
    fn a_parameter_that_the_route_does_not_have_is_the_programs_fault() {
        let error = found("/room/{id}", "/room/7").decoded("ID", "/room/7").unwrap_err();
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(error.to_string(), "the route \"/room/{id}\" has no parameter \"ID\"");
        assert_eq!(error.message(), "Internal Server Error");
        let error =
            PathParams::none(&Rc::new(RouteInfo::unrouted(&Rc::default()))).decoded("id", "/plain").unwrap_err();
        assert_eq!(error.to_string(), "the route of \"/plain\" has no parameters, \"id\" was asked for");
    }

    #[test]
    fn more_parameters_than_fit_inline_are_found_too() {
        let path = "/1/22/333/4444/55555";
        let params = found("/{a}/{b}/{c}/{d}/{e}", path);
        assert_eq!(params.raw("a", path), Some("1"));
        assert_eq!(params.raw("e", path), Some("55555"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        let path = "/%ff";
        let error = found("/{x}", path).decoded("x", path).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }));
    }
}
