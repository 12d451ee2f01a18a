//! The parameters that a route found in a path.

use std::{borrow::Cow, ops::Range};

use httpserver::StatusCode;
use percent_encoding::percent_decode;

use crate::{
    error::{Error, HttpError, Result},
    input::Source,
    routing::RouteInfo,
};

/// Where the parameters of the matched route stand in the path, in the order of its names. Positions instead of copies: a
/// match allocates nothing unless it has more than [`FIRST`] parameters.
pub(crate) struct PathParams {
    /// As many of these are used as there are names.
    pub(crate) first: First,
    pub(crate) more: Option<Box<More>>,
}

/// The places behind the first. Not a boxed slice, whose length would be one word more for a match to give back.
pub(crate) struct More(Vec<Place>);

/// The places that every request has room for.
pub(crate) type First = [Place; FIRST];

/// As many as most routes have at the most. Each is room in every request that waits.
const FIRST: usize = 2;

/// [`PathParams`], to look something up.
#[derive(Clone, Copy)]
pub(crate) struct Places<'p> {
    pub(crate) first: &'p First,
    pub(crate) more: Option<&'p More>,
}

/// Where a parameter stands. 16 bits do: a request's head is never longer than 64 KiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    start: u16,
    len: u16,
}

impl PathParams {
    /// `params` are those of a match on `path`, in the order of the pattern's names.
    #[inline]
    pub(crate) fn new(params: &matchit::Params<'_, '_>, path: &str) -> PathParams {
        // The tree returns slices of the path; kept as such they would borrow the request that moves into the exchange.
        PathParams::of(params.iter().map(|(_, value)| Place::of(value, path)), params.len())
    }

    /// `texts` are pieces of `path`, or empty, in the order of the pattern's names.
    #[inline]
    pub(crate) fn of_pieces(texts: &[&str], path: &str) -> PathParams {
        let place = |text: &&str| if text.is_empty() { Place::default() } else { Place::of(text, path) };
        PathParams::of(texts.iter().map(place), texts.len())
    }

    #[inline]
    fn of(mut found: impl Iterator<Item = Place>, count: usize) -> PathParams {
        let first = std::array::from_fn(|_| found.next().unwrap_or_default());
        PathParams { first, more: (count > FIRST).then(|| Box::new(More(found.collect()))) }
    }

    /// The only one, which is all of a path of `len` bytes from `start` on.
    #[inline]
    pub(crate) fn last(start: usize, len: usize) -> PathParams {
        let mut first = First::default();
        first[0] = Place { start: start as u16, len: (len - start) as u16 };
        PathParams { first, more: None }
    }

    /// Those of a route without parameters, or of no route.
    #[inline]
    pub(crate) fn none() -> PathParams {
        PathParams { first: First::default(), more: None }
    }
}

impl Places<'_> {
    /// The parameter as it stands in the path, still percent-encoded. The names are those of the route that matched.
    #[inline]
    pub(crate) fn raw<'p>(self, name: &str, info: &RouteInfo, path: &'p [u8]) -> Option<&'p [u8]> {
        let at = info.names().iter().position(|known| known == name)?;
        let place = self.first.get(at).or_else(|| self.more?.0.get(at - FIRST))?;
        path.get(place.range())
    }

    /// The parameter, decoded. A plus sign stays one: only forms write spaces that way.
    ///
    /// # Errors
    ///
    /// 400 when it is not UTF-8, 500 when the route has no such parameter.
    #[inline]
    pub(crate) fn decoded<'p>(self, name: &str, info: &RouteInfo, path: &'p [u8]) -> Result<Cow<'p, str>> {
        let Some(raw) = self.raw(name, info, path) else { return Err(unknown(name, info, path)) };
        if raw.contains(&b'%') {
            return decode(name, raw);
        }
        str::from_utf8(raw).map(Cow::Borrowed).map_err(|_| not_utf8(name))
    }
}

#[cold]
fn decode<'p>(name: &str, raw: &'p [u8]) -> Result<Cow<'p, str>> {
    // The decoder leaves such escapes as they are; then `%zz` and `%25zz` would name the same thing.
    let is_whole = |behind: &[u8]| behind.iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count() == 2;
    if !raw.split(|&byte| byte == b'%').skip(1).all(is_whole) {
        return Err(Error::invalid(Source::Path, name, "a percent sign without two digits behind it"));
    }
    percent_decode(raw).decode_utf8().map_err(|_| not_utf8(name))
}

#[cold]
fn not_utf8(name: &str) -> Error {
    Error::invalid(Source::Path, name, "it is not UTF-8")
}

/// No client can mend this: the handler asks for what the route it was given does not have.
#[cold]
#[inline]
fn unknown(name: &str, info: &RouteInfo, path: &[u8]) -> Error {
    let text = match info.pattern() {
        Some(pattern) => format!("the route {pattern:?} has no parameter {name:?}"),
        None => {
            let path = String::from_utf8_lossy(path);
            format!("the route of {path:?} has no parameters, {name:?} was asked for")
        }
    };
    HttpError::new(StatusCode::INTERNAL_SERVER_ERROR).log(text).into()
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
    use std::rc::Rc;

    use super::*;
    use crate::{pattern::Pattern, routing::Home};

    /// What is found of a path, by the name of the parameter.
    struct Found<'p>(PathParams, RouteInfo, &'p str);

    impl<'p> Found<'p> {
        fn raw(&self, name: &str) -> Option<&'p str> {
            let Found(_, info, path) = self;
            self.places().raw(name, info, path.as_bytes()).map(|raw| str::from_utf8(raw).unwrap())
        }

        fn decoded(&self, name: &str) -> Result<Cow<'p, str>> {
            let Found(_, info, path) = self;
            self.places().decoded(name, info, path.as_bytes())
        }

        fn places(&self) -> Places<'_> {
            Places { first: &self.0.first, more: self.0.more.as_deref() }
        }
    }

    fn found<'p>(pattern: &str, path: &'p str) -> Found<'p> {
        let mut router = matchit::Router::new();
        router.insert(pattern, ()).unwrap();
        let matched = router.at(path).unwrap();
        let info = RouteInfo::new(Pattern::parse(pattern).unwrap(), &Rc::new(Home::default()));
        Found(PathParams::new(&matched.params, path), info, path)
    }

    #[test]
    fn parameters_are_found_by_name_and_decoded() {
        let params = found("/room/{id}/{*rest}", "/room/a%20b+c/x/y/z");
        assert_eq!(params.decoded("id").unwrap(), "a b+c");
        assert_eq!(params.raw("rest"), Some("x/y/z"));
    }

    #[test]
    fn a_parameter_that_the_route_does_not_have_is_the_programs_fault() {
        let error = found("/room/{id}", "/room/7").decoded("ID").unwrap_err();
        assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(error.to_string(), "the route \"/room/{id}\" has no parameter \"ID\"");
        assert_eq!(error.message(), "Internal Server Error");
        let unrouted = Found(PathParams::none(), RouteInfo::unrouted(&Rc::default()), "/plain");
        let error = unrouted.decoded("id").unwrap_err();
        assert_eq!(error.to_string(), "the route of \"/plain\" has no parameters, \"id\" was asked for");
    }

    #[test]
    fn more_parameters_than_fit_inline_are_found_too() {
        let params = found("/{a}/{b}/{c}/{d}/{e}", "/1/22/333/4444/55555");
        assert_eq!(params.raw("a"), Some("1"));
        assert_eq!(params.raw("e"), Some("55555"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        let error = found("/{x}", "/%ff").decoded("x").unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }));
    }
}
