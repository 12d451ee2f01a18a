//! How the text of an argument is parsed.

use std::{any::type_name, borrow::Cow};

use crate::{
    error::{Error, Result},
    from_text::FromText,
    input::Source,
};

/// The value of an argument; `None` when it is missing, or left blank where `T` cannot be.
pub(crate) fn optional<T: FromText>(source: Source, name: &str, text: Option<Cow<'_, str>>) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    match parse(source, name, &text) {
        Err(Error::MissingArgument { .. }) => Ok(None),
        result => result.map(Some),
    }
}

/// The value of an argument that has to be there.
pub(crate) fn required<T: FromText>(source: Source, name: &str, text: Option<Cow<'_, str>>) -> Result<T> {
    match text {
        Some(text) => parse(source, name, &text),
        None => Err(Error::missing(source, name)),
    }
}

/// The values of an argument, without those left blank where `T` cannot be.
#[inline]
pub(crate) fn parse_all<T: FromText>(source: Source, name: &str, texts: Vec<Cow<'_, str>>) -> Result<Vec<T>> {
    texts.into_iter().filter_map(|text| optional(source, name, Some(text)).transpose()).collect()
}

/// The value that `text` stands for: as it is, or without the white space around it.
pub(crate) fn parse<T: FromText>(source: Source, name: &str, text: &str) -> Result<T> {
    match text.parse() {
        Ok(value) => Ok(value),
        Err(_) => parse_trimmed(source, name, text),
    }
}

/// The second attempt. Types that take white space as it is, such as `String`, never come here.
#[cold]
fn parse_trimmed<T: FromText>(source: Source, name: &str, text: &str) -> Result<T> {
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        // Browsers send the fields that were left blank.
        return Err(Error::missing(source, name));
    }
    trimmed.parse().map_err(|_| Error::invalid(source, name, expected(type_name::<T>())))
}

/// What a client is told of a type that everybody knows; other names are the program's own affair.
#[inline]
pub(crate) fn expected(type_name: &str) -> &'static str {
    match type_name {
        "bool" => "expected true or false",
        "char" => "expected one character",
        "f32" | "f64" => "expected a number",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "expected a whole number in range, not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "expected a whole number in range",
        _ => "it cannot be parsed",
    }
}
