//! Names and values of a query string or of an urlencoded form.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;

use crate::error::{Error, Result};

/// The arguments of a query or of a form (`application/x-www-form-urlencoded`), decoded when they are asked for.
///
/// Nothing is stored beside the encoded text: each look-up is one pass over it, without allocation unless a value holds
/// an escape. `+` stands for a space, a `%` without two hexadecimal digits for itself, and `;` does not separate.
///
/// # Examples
///
/// ```no_run
/// # async fn handler(exchange: &mut web::Exchange) -> web::Result<()> {
/// for pair in exchange.form().await?.iter() {
///     let (name, value) = pair?;
///     println!("{name} = {value}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    encoded: &'a [u8],
}

/// Most arguments of one query or form; one more is answered with 400.
///
/// A client can pack thousands of them into the space of one limit, and every one costs a look.
pub const MAX_ARGUMENTS: usize = 1000;

impl<'a> Arguments<'a> {
    /// Takes over the encoded text.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyArguments`] when there are more than [`MAX_ARGUMENTS`].
    pub fn parse(encoded: &'a [u8]) -> Result<Arguments<'a>> {
        // A text shorter than the limit cannot hold that many separators.
        if encoded.len() >= MAX_ARGUMENTS {
            let separators = encoded.iter().filter(|&&byte| byte == b'&').count();
            if separators >= MAX_ARGUMENTS {
                return Err(Error::TooManyArguments);
            }
        }
        Ok(Arguments { encoded })
    }

    /// The value of the argument `name`; the last one if there are several, `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when the value is not UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<Cow<'a, str>>> {
        self.raw_values(name).last().map(|raw| text(name, raw)).transpose()
    }

    /// All values of the argument `name`, in the order in which they were sent.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when a value is not UTF-8.
    pub fn get_all(&self, name: &str) -> Result<Vec<Cow<'a, str>>> {
        self.raw_values(name).map(|raw| text(name, raw)).collect()
    }

    /// Every name with its value, in the order in which they were sent. An item is an error when it is not UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>)>> + 'a {
        self.raw_pairs().map(|(raw_name, raw_value)| {
            let name = text("name", raw_name)?;
            let value = text(&name, raw_value)?;
            Ok((name, value))
        })
    }

    /// Whether there are no arguments.
    pub fn is_empty(&self) -> bool {
        self.raw_pairs().next().is_none()
    }

    fn raw_values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.raw_pairs().filter(move |(raw_name, _)| is_name(raw_name, name)).map(|(_, raw_value)| raw_value)
    }

    fn raw_pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + 'a {
        self.encoded.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
            match pair.iter().position(|&byte| byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            }
        })
    }
}

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn is_name(raw: &[u8], name: &str) -> bool {
    // Decoding never makes a name longer.
    if raw.len() < name.len() {
        return false;
    }
    *decode(raw) == *name.as_bytes()
}

fn text<'a>(name: &str, raw: &'a [u8]) -> Result<Cow<'a, str>> {
    let decoded = match decode(raw) {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    decoded.ok_or_else(|| Error::invalid_argument(name, "it is not UTF-8"))
}

fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    if !has_escape(raw) {
        return Cow::Borrowed(raw);
    }
    // The plus signs go first: `%2B` is a plus that stays one.
    let spaced: Vec<u8> = raw.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

fn has_escape(raw: &[u8]) -> bool {
    raw.iter().any(|&byte| byte == b'+' || byte == b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(encoded: &str) -> Arguments<'_> {
        Arguments::parse(encoded.as_bytes()).expect("few arguments")
    }

    #[test]
    fn the_last_of_several_values_wins() {
        let query = arguments("a=1&b=2&a=3");
        assert_eq!(query.get("a").unwrap().as_deref(), Some("3"));
        assert_eq!(query.get_all("a").unwrap(), ["1", "3"]);
        assert_eq!(query.get("c").unwrap(), None);
    }

    #[test]
    fn plus_is_a_space_and_escaped_plus_a_plus() {
        let query = arguments("na+me=a+b%2Bc&x=%zz%4");
        assert_eq!(query.get("na me").unwrap().as_deref(), Some("a b+c"));
        assert_eq!(query.get("x").unwrap().as_deref(), Some("%zz%4"));
        assert_eq!(query.get("na+me").unwrap(), None);
    }

    #[test]
    fn only_the_ampersand_separates_and_empty_pairs_are_nothing() {
        let query = arguments("&a=1;b=2&&c&=d&");
        assert_eq!(query.get("a").unwrap().as_deref(), Some("1;b=2"));
        assert_eq!(query.get("c").unwrap().as_deref(), Some(""));
        assert_eq!(query.get("").unwrap().as_deref(), Some("d"));
        assert!(arguments("&&").is_empty());
    }

    #[test]
    fn values_that_are_not_utf8_are_refused_only_when_asked_for() {
        let query = arguments("bad=%ff&good=1");
        assert_eq!(query.get("good").unwrap().as_deref(), Some("1"));
        assert!(matches!(query.get("bad"), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn one_argument_too_many_is_refused() {
        let at_limit = "a&".repeat(MAX_ARGUMENTS - 1) + "a";
        assert!(Arguments::parse(at_limit.as_bytes()).is_ok());
        let above = "a&".repeat(MAX_ARGUMENTS) + "a";
        assert!(matches!(Arguments::parse(above.as_bytes()), Err(Error::TooManyArguments)));
    }
}
