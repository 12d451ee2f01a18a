//! Names and values of a query string or of an urlencoded form.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode;

use crate::error::{Error, Result};

/// The arguments of a query or of a form (`application/x-www-form-urlencoded`), decoded when they are asked for.
///
/// `+` stands for a space, a `%` without two hexadecimal digits for itself, and `;` does not separate. A look-up compares
/// names without decoding them into memory, and stops at the first byte that differs. It allocates only for a value that
/// holds an escape.
///
/// # Examples
///
/// ```no_run
/// # async fn handler(exchange: &mut web::Exchange) -> web::Result<()> {
/// for pair in exchange.form().await?.iter() {
///     let (name, value) = pair?;
///     println!("{name:?} = {value:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    encoded: &'a [u8],
    /// Where the arguments stand, if that was found out before.
    pairs: Option<&'a [Pair]>,
}

/// Where an argument stands in the encoded text: its name from `start` to `name_end`, its value up to `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    start: usize,
    name_end: usize,
    end: usize,
}

/// The most arguments that one query or form may have, 1,000. One more is answered with 400.
///
/// A client can pack thousands of them into the space of one limit, and each look-up compares with every one.
pub const MAX_ARGUMENTS: usize = 1000;

impl<'a> Arguments<'a> {
    /// Reads the arguments in `encoded`.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyArguments`] when there are more than [`MAX_ARGUMENTS`].
    #[inline]
    pub fn parse(encoded: &'a [u8]) -> Result<Arguments<'a>> {
        // A text shorter than the limit cannot hold that many separators.
        if encoded.len() >= MAX_ARGUMENTS {
            let separators = encoded.iter().filter(|&&byte| byte == b'&').count();
            if separators >= MAX_ARGUMENTS {
                return Err(Error::TooManyArguments);
            }
        }
        Ok(Arguments { encoded, pairs: None })
    }

    /// `pairs` are those of `encoded`.
    #[inline]
    pub(crate) fn from_pairs(encoded: &'a [u8], pairs: &'a [Pair]) -> Arguments<'a> {
        Arguments { encoded, pairs: Some(pairs) }
    }

    /// The value of the argument `name`; the last one if there are several, `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when the value is not UTF-8.
    #[inline]
    pub fn get(&self, name: &str) -> Result<Option<Cow<'a, str>>> {
        // Decoded after the choice: of several values only one is needed.
        self.raw_values(name).last().map(|raw| text(name, raw)).transpose()
    }

    /// All values of the argument `name`, in the order in which they were sent.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when a value is not UTF-8.
    #[inline]
    pub fn get_all(&self, name: &str) -> Result<Vec<Cow<'a, str>>> {
        self.raw_values(name).map(|raw| text(name, raw)).collect()
    }

    /// Every name with its value, in the order in which they were sent. An item is an error when it is not UTF-8.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>)>> + 'a {
        self.raw_pairs().map(|(raw_name, raw_value)| {
            let name = text("name", raw_name)?;
            let value = text(&name, raw_value)?;
            Ok((name, value))
        })
    }

    /// Whether there are no arguments.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.raw_pairs().next().is_none()
    }

    #[inline]
    fn raw_values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.raw_pairs().filter(move |(raw_name, _)| is_name(raw_name, name)).map(|(_, raw_value)| raw_value)
    }

    #[inline]
    fn raw_pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + 'a {
        let encoded = self.encoded;
        let known = self.pairs.into_iter().flatten().copied();
        // One of the two is empty: with pairs at hand the text is not walked again.
        let unknown = if self.pairs.is_some() { &[] } else { encoded };
        known.chain(find_pairs(unknown)).map(|pair| pair.of(encoded))
    }
}

impl Pair {
    #[inline]
    fn of(self, encoded: &[u8]) -> (&[u8], &[u8]) {
        let name = &encoded[self.start..self.name_end];
        // Without an equals sign the value is empty, and so is the rest.
        let value = encoded.get(self.name_end + 1..self.end).unwrap_or_default();
        (name, value)
    }
}

/// Where the arguments stand in `encoded`, to be kept for several look-ups.
///
/// # Errors
///
/// As [`Arguments::parse`].
#[inline]
pub(crate) fn pairs_of(encoded: &[u8]) -> Result<Box<[Pair]>> {
    Arguments::parse(encoded)?;
    Ok(find_pairs(encoded).collect())
}

#[inline]
fn find_pairs(encoded: &[u8]) -> impl Iterator<Item = Pair> {
    let mut at = 0;
    let pieces = encoded.split(|&byte| byte == b'&').map(move |piece| {
        let start = at;
        at += piece.len() + 1;
        let name_len = piece.iter().position(|&byte| byte == b'=').unwrap_or(piece.len());
        Pair { start, name_end: start + name_len, end: start + piece.len() }
    });
    pieces.filter(|pair| pair.start < pair.end)
}

impl fmt::Debug for Arguments<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Whether `raw` is the encoded form of `name`. Reads no more of it than `name` is long: a client may send names of any
/// length, and every look-up passes all of them.
#[inline]
fn is_name(raw: &[u8], name: &str) -> bool {
    let mut rest = raw;
    for &expected in name.as_bytes() {
        let Some((byte, behind)) = decode_one(rest) else { return false };
        if byte != expected {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}

/// The byte that stands first, decoded, and what follows it.
#[inline]
fn decode_one(raw: &[u8]) -> Option<(u8, &[u8])> {
    match raw {
        [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            Some((hex(*high) << 4 | hex(*low), rest))
        }
        [b'+', rest @ ..] => Some((b' ', rest)),
        [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// The value of a hexadecimal digit.
#[inline]
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[inline]
fn text<'a>(name: &str, raw: &'a [u8]) -> Result<Cow<'a, str>> {
    let decoded = match decode(raw) {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    decoded.ok_or_else(|| Error::invalid_argument(name, "it is not UTF-8"))
}

#[inline]
fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    // Most values are plain, and can be borrowed.
    if !has_escape(raw) {
        return Cow::Borrowed(raw);
    }
    // The plus signs go first: `%2B` is a plus that stays one.
    let spaced: Vec<u8> = raw.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[inline]
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
    fn names_are_compared_in_their_decoded_form() {
        for (raw, name) in
            [("a%2bb", "a+b"), ("%C3%a9", "\u{e9}"), ("%zz%4", "%zz%4"), ("a+b", "a b"), ("%", "%"), ("", "")]
        {
            assert!(is_name(raw.as_bytes(), name), "{raw}");
        }
        for (raw, name) in [("a%2bb", "a b"), ("ab", "a"), ("a", "ab"), ("%61%62", "a"), ("", "a"), ("a", "")] {
            assert!(!is_name(raw.as_bytes(), name), "{raw}");
        }
    }

    #[test]
    fn pairs_found_before_are_the_same() {
        for encoded in ["&a=1;b=2&&c&=d&", "", "&", "a==b&a=", "=", "a"] {
            let text = encoded.as_bytes();
            let pairs = pairs_of(text).unwrap();
            let all = |arguments: Arguments<'_>| {
                arguments.iter().map(Result::unwrap).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
            };
            assert_eq!(all(Arguments::from_pairs(text, &pairs)), all(Arguments::parse(text).unwrap()), "{encoded}");
        }
    }

    #[test]
    fn one_argument_too_many_is_refused() {
        let at_limit = "a&".repeat(MAX_ARGUMENTS - 1) + "a";
        assert!(Arguments::parse(at_limit.as_bytes()).is_ok());
        let above = "a&".repeat(MAX_ARGUMENTS) + "a";
        assert!(matches!(Arguments::parse(above.as_bytes()), Err(Error::TooManyArguments)));
    }
}
