//! What is known of an error, for the page that shows it.

use std::error::Error as StdError;

use super::{
    mask,
    mode::Noted,
    origin::{self, PanicNote},
};
use crate::{error::Error, exchange::Exchange};

/// A part of the page: a list of names and values, or a text.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) rows: Vec<(String, String)>,
    pub(super) text: String,
}

impl Section {
    #[inline]
    fn rows(title: &'static str, rows: Vec<(String, String)>) -> Section {
        Section { title, rows, text: String::new() }
    }

    #[inline]
    fn text(title: &'static str, text: String) -> Section {
        Section { title, rows: Vec::new(), text }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.text.is_empty()
    }
}

/// All that is known, the most telling first.
#[inline]
pub(super) fn sections(exchange: &Exchange, error: &Error) -> Vec<Section> {
    let panic = if matches!(error, Error::Panicked { .. }) { origin::take_panic() } else { None };
    let mut sections = vec![
        Section::rows("Causes", causes(error)),
        Section::rows("Where", place(exchange, error, panic.as_ref())),
        Section::text("Template", template(error)),
        Section::rows("Request", request(exchange)),
        Section::rows("Path parameters", parameters(exchange)),
        Section::rows("Values", exchange.extensions().get::<Noted>().map(|noted| noted.all()).unwrap_or_default()),
        Section::rows("Template values", template_values(exchange)),
        Section::rows("Headers", headers(exchange)),
        Section::text("Backtrace", panic.map(|panic| panic.backtrace).unwrap_or_default()),
    ];
    sections.retain(|section| !section.is_empty());
    sections
}

/// The error behind one of this crate, which has causes of its own.
#[inline]
fn inner(error: &Error) -> Option<&(dyn StdError + 'static)> {
    match error {
        Error::Other(error) => Some(&**error),
        Error::Server(error) => Some(error),
        #[cfg(feature = "json")]
        Error::InvalidJson(error) => Some(error),
        #[cfg(feature = "templates")]
        Error::Template(error) => Some(error),
        _ => None,
    }
}

/// An error and its causes.
#[inline]
fn chain<'e>(first: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let mut next = Some(first);
    let errors = std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    });
    // One that leads back to itself would have no end.
    errors.take(50)
}

#[inline]
fn causes(error: &Error) -> Vec<(String, String)> {
    let Some(first) = inner(error).and_then(StdError::source) else { return Vec::new() };
    chain(first).enumerate().map(|(at, cause)| (format!("{}", at + 1), cause.to_string())).collect()
}

#[inline]
fn place(exchange: &Exchange, error: &Error, panic: Option<&PanicNote>) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    if let Some(pattern) = exchange.pattern() {
        rows.push(("route".to_owned(), format!("{} {pattern}", exchange.method())));
    }
    if let Some(location) = inner(error).and_then(origin::of_error) {
        rows.push(("line".to_owned(), location.to_string()));
    }
    if let Some(panic) = panic {
        rows.push(("line".to_owned(), panic.location.clone()));
    }
    rows
}

/// The source around the line, and what the line uses; of the innermost template.
#[cfg(feature = "templates")]
#[inline]
fn template(error: &Error) -> String {
    let Error::Template(error) = error else { return String::new() };
    let first: &(dyn StdError + 'static) = error;
    let innermost = chain(first).filter_map(|error| error.downcast_ref::<minijinja::Error>()).last();
    innermost.map(|error| error.display_debug_info().to_string().trim_matches('\n').to_owned()).unwrap_or_default()
}

#[cfg(not(feature = "templates"))]
fn template(_: &Error) -> String {
    String::new()
}

#[cfg(feature = "templates")]
#[inline]
fn template_values(exchange: &Exchange) -> Vec<(String, String)> {
    exchange.template_texts()
}

#[cfg(not(feature = "templates"))]
fn template_values(_: &Exchange) -> Vec<(String, String)> {
    Vec::new()
}

#[inline]
fn request(exchange: &Exchange) -> Vec<(String, String)> {
    let request = exchange.request();
    let mut rows = vec![
        ("method".to_owned(), request.method().to_string()),
        ("target".to_owned(), mask::target(request.target(), &exchange.path_texts())),
        ("protocol".to_owned(), exchange.protocol().to_string()),
    ];
    rows.extend(exchange.remote_ip().map(|ip| ("client".to_owned(), ip.to_string())));
    rows
}

#[inline]
fn parameters(exchange: &Exchange) -> Vec<(String, String)> {
    let mut texts = exchange.path_texts();
    for (name, text) in &mut texts {
        *text = mask::value(name, text).to_owned();
    }
    texts
}

#[inline]
fn headers(exchange: &Exchange) -> Vec<(String, String)> {
    let headers = exchange.headers().iter();
    headers
        .map(|(name, value)| {
            let text = String::from_utf8_lossy(value);
            (name.to_string(), mask::header(name, &text))
        })
        .collect()
}
