//! What every template can call.

use minijinja::{
    Error, ErrorKind, Value,
    value::{Rest, from_args},
};

use super::Templates;
use crate::{error::Result, exchange::Exchange};

/// Adds all that the features have.
#[inline]
pub(super) fn add(templates: Templates) -> Templates {
    let templates = templates.function("reverse_url", reverse_url);
    #[cfg(feature = "locales")]
    let templates = super::language::add(templates);
    templates
}

/// `{{ reverse_url("album", album.id) }}`
#[inline]
fn reverse_url(exchange: &Exchange, arguments: &[Value]) -> Result<String> {
    let (name, Rest(values)): (&str, Rest<Value>) = from_args(arguments)?;
    // It would become an empty text, which is no better.
    if values.iter().any(|value| value.is_undefined() || value.is_none()) {
        let text = format!("a value for the URL of {name:?} is undefined or none");
        return Err(Error::new(ErrorKind::UndefinedError, text).into());
    }
    exchange.reverse_url(name, values)
}
