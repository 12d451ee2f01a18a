//! Routes that lead elsewhere.

use httpserver::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::build_path;
use crate::{
    error::{Error, Result},
    exchange::Exchange,
    handler::Handler,
    pattern::{Part, parts, unescaped},
};

/// What a value in a query has as it is. The rest would end it, or begin another one.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A handler that redirects to a location made of the parameters of its route.
pub(crate) struct Redirect {
    status: StatusCode,
    /// Scheme and host, or nothing.
    origin: String,
    /// A pattern whose parameters are those of the route.
    path: String,
    /// What follows the question mark.
    query: Option<String>,
    /// With its number sign.
    fragment: String,
}

impl Redirect {
    /// A redirection of what the pattern `from` matches.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with `to`.
    #[inline]
    pub(crate) fn parse(status: StatusCode, from: &str, to: &str) -> Result<Redirect, String> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Err(format!("has the status {}: 301, 302, 303, 307 and 308 redirect", status.as_u16()));
        }
        if !to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("has characters that a location has percent-encoded".to_owned());
        }
        let (rest, fragment) = to.split_at(to.find('#').unwrap_or(to.len()));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query.to_owned())));
        let (origin, path) =
            rest.split_at(origin_len(rest).ok_or("begins neither with a slash nor with a scheme and a host")?);
        if origin.contains(['{', '}']) {
            return Err("has a parameter in the host: a client could choose where it leads".to_owned());
        }
        let path = if path.is_empty() { "/" } else { path };
        if path.starts_with("//") {
            return Err("begins with two slashes: write the scheme, as in \"https://example.org\"".to_owned());
        }
        let kinds: Vec<&str> = parts(from).filter_map(parameter).collect();
        Ok(Redirect {
            status,
            origin: origin.to_owned(),
            path: with_kinds(path, &kinds)?,
            query: query.map(|query| with_kinds(&query, &kinds)).transpose()?,
            fragment: with_kinds(fragment, &kinds)?,
        })
    }

    /// The methods that are redirected: those after which a client may ask by GET, or all if it has to repeat itself.
    #[inline]
    pub(crate) fn methods(&self) -> Vec<Method> {
        match self.status {
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                vec![Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE]
            }
            _ => vec![Method::GET],
        }
    }

    #[inline]
    fn location(&self, exchange: &Exchange) -> Result<String> {
        let values = parts(&self.path).filter_map(parameter).map(|text| exchange.path(name_of(text)));
        let path = build_path(&self.path, &values.collect::<Result<Vec<String>>>()?);
        // Such a path is never asked for by a client that resolves it.
        let path = path.map_err(|_| Error::http(StatusCode::NOT_FOUND, "Not Found"))?;
        let mut location = format!("{}{path}", self.origin);
        let own = self.query.as_deref().map(|query| filled(query, exchange)).transpose()?;
        let sent = exchange.request().query().filter(|query| !query.is_empty());
        for (at, query) in own.as_deref().into_iter().chain(sent).enumerate() {
            location.push(if at == 0 { '?' } else { '&' });
            location.push_str(query);
        }
        location.push_str(&filled(&self.fragment, exchange)?);
        Ok(location)
    }
}

impl Handler for Redirect {
    #[inline]
    async fn handle(&self, exchange: &mut Exchange) -> Result<()> {
        let location = self.location(exchange)?;
        exchange.redirect_with(self.status, &location)
    }
}

/// How long scheme and host are; 0 for a path.
#[inline]
fn origin_len(to: &str) -> Option<usize> {
    if to.starts_with('/') {
        return Some(0);
    }
    let scheme = ["https://", "http://"].into_iter().find(|scheme| to.starts_with(scheme))?.len();
    let host = to[scheme..].find('/').unwrap_or(to.len() - scheme);
    (host > 0).then_some(scheme + host)
}

/// `template` with each parameter written as the route has it, which says whether slashes are part of it.
#[inline]
fn with_kinds(template: &str, kinds: &[&str]) -> Result<String, String> {
    let mut text = String::new();
    for part in parts(template) {
        match part {
            Part::Literal(literal) if literal.replace("{{", "").replace("}}", "").contains(['{', '}']) => {
                return Err("has braces that do not belong together".to_owned());
            }
            Part::Literal(literal) => text.push_str(literal),
            Part::Parameter(parameter) => {
                let name = name_of(parameter);
                let kind = kinds.iter().find(|kind| name_of(kind) == name);
                text.push_str(kind.ok_or_else(|| format!("has a parameter {name:?} that the route does not have"))?);
            }
        }
    }
    Ok(text)
}

/// A query or a fragment with the values of its parameters.
#[inline]
fn filled(query: &str, exchange: &Exchange) -> Result<String> {
    let mut text = String::new();
    for part in parts(query) {
        match part {
            Part::Literal(literal) => text.push_str(&unescaped(literal)),
            Part::Parameter(parameter) => {
                let value: String = exchange.path(name_of(parameter))?;
                text.extend(utf8_percent_encode(&value, COMPONENT));
            }
        }
    }
    Ok(text)
}

#[inline]
fn parameter(part: Part<'_>) -> Option<&str> {
    match part {
        Part::Literal(_) => None,
        Part::Parameter(text) => Some(text),
    }
}

/// The name of a parameter with its braces.
#[inline]
fn name_of(parameter: &str) -> &str {
    parameter.trim_matches(['{', '}']).trim_start_matches('*')
}
