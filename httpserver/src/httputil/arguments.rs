use std::{borrow::Cow, fmt, iter};

use crate::{Error, Request, Result};

/// The arguments of a query or of a form (`application/x-www-form-urlencoded`), decoded when they are asked for.
///
/// `+` stands for a space, a `%` without two hexadecimal digits for itself, and `;` does not separate. A look-up compares
/// names without decoding them into memory, and stops at the first byte that differs. It allocates only for a value that
/// holds an escape.
///
/// # Examples
///
/// ```
/// use httpserver::httputil::Arguments;
///
/// let arguments = Arguments::parse(b"q=two+words&page=2&page=3&empty")?;
/// assert_eq!(arguments.get("q")?.as_deref(), Some("two words"));
/// assert_eq!(arguments.get("page")?.as_deref(), Some("3"));
/// assert_eq!(arguments.get_all("page")?, ["2", "3"]);
/// assert_eq!(arguments.get("empty")?.as_deref(), Some(""));
/// for pair in arguments.iter() {
///     let (name, value) = pair?;
///     println!("{name:?} = {value:?}");
/// }
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    encoded: &'a [u8],
    /// Where the arguments stand, if that was found out before.
    pairs: Option<&'a [Pair]>,
}

/// Where an argument stands in the encoded text: its name from `start` to `name_end`, its value up to `end`.
#[derive(Clone, Copy, Debug)]
struct Pair {
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
        Arguments::parse_limited(encoded, MAX_ARGUMENTS)
    }

    /// Reads the arguments in `encoded`, of which there may be `max`.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyArguments`] when there are more.
    #[inline]
    pub fn parse_limited(encoded: &'a [u8], max: usize) -> Result<Arguments<'a>> {
        // A text shorter than the limit cannot hold that many separators. Empty arguments count: they take time, too.
        if encoded.len() >= max {
            let separators = memchr::memchr_iter(b'&', encoded).count();
            if separators >= max && !encoded.is_empty() {
                return Err(Error::TooManyArguments { limit: max });
            }
        }
        Ok(Arguments { encoded, pairs: None })
    }

    /// Finds out where the arguments stand, to be kept for several look-ups in the same text. One allocation.
    #[inline]
    pub fn index(&self) -> ArgumentIndex {
        ArgumentIndex(find_pairs(self.encoded).collect())
    }

    /// The arguments in `encoded` by the index that was made of it before: the text is not walked again. With the index of
    /// another text, what is found is meaningless.
    #[inline]
    pub fn with_index(encoded: &'a [u8], index: &'a ArgumentIndex) -> Arguments<'a> {
        Arguments { encoded, pairs: Some(&index.0) }
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

    /// Every name with its value, in the order in which they were sent. An item is an error when it is not UTF-8. The error
    /// calls it `name` or `value`: names come from the client here, and do not belong into an answer.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>)>> + 'a {
        self.raw_pairs().map(|(raw_name, raw_value)| {
            let name = text("name", raw_name)?;
            let value = text("value", raw_value)?;
            Ok((name, value))
        })
    }

    /// Every name with its value as bytes, decoded, in the order in which they were sent.
    #[inline]
    pub fn decoded(&self) -> impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)> + 'a {
        self.raw_pairs().map(|(raw_name, raw_value)| (decode(raw_name), decode(raw_value)))
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

impl Request {
    /// The arguments of the query string. Nothing is decoded, and nothing allocated, before one is asked for.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyArguments`] (400) when there are more than [`MAX_ARGUMENTS`].
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Request, Result};
    ///
    /// fn page(request: &Request) -> Result<u32> {
    ///     let page = request.query_arguments()?.get("page")?;
    ///     Ok(page.and_then(|page| page.parse().ok()).unwrap_or(1))
    /// }
    ///
    /// assert_eq!(page(&Request::builder().target("/list?page=7").build()?)?, 7);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn query_arguments(&self) -> Result<Arguments<'_>> {
        Arguments::parse(self.query_bytes())
    }
}

/// Where the arguments stand in a text; see [`Arguments::index`]. Three numbers for each.
#[derive(Clone, Debug)]
pub struct ArgumentIndex(Box<[Pair]>);

impl Pair {
    #[inline]
    fn of(self, encoded: &[u8]) -> (&[u8], &[u8]) {
        // An index may be one of another text.
        let name = encoded.get(self.start..self.name_end).unwrap_or_default();
        // Without an equals sign the value is empty, and so is the rest.
        let value = encoded.get(self.name_end + 1..self.end).unwrap_or_default();
        (name, value)
    }
}

/// The arguments of `encoded` as they stand there, however many there are.
#[inline]
pub(super) fn raw_pairs(encoded: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    find_pairs(encoded).map(|pair| pair.of(encoded))
}

#[inline]
fn find_pairs(encoded: &[u8]) -> impl Iterator<Item = Pair> {
    let mut at = 0;
    iter::from_fn(move || {
        // Empty pieces are passed over.
        at += encoded[at..].iter().take_while(|&&byte| byte == b'&').count();
        let (start, rest) = (at, &encoded[at..]);
        if rest.is_empty() {
            return None;
        }
        let len = memchr::memchr(b'&', rest).unwrap_or(rest.len());
        let name_len = memchr::memchr(b'=', &rest[..len]).unwrap_or(len);
        at += len;
        Some(Pair { start, name_end: start + name_len, end: at })
    })
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
    decoded.ok_or_else(|| Error::InvalidArgument { name: name.into() })
}

/// A name or a value, decoded.
#[inline]
pub(super) fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    // Most values are plain, and can be borrowed.
    if !has_escape(raw) {
        return Cow::Borrowed(raw);
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, behind)) = decode_one(rest) {
        decoded.push(byte);
        rest = behind;
    }
    Cow::Owned(decoded)
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
    fn an_index_finds_the_same() {
        for encoded in ["&a=1;b=2&&c&=d&", "", "&", "a==b&a=", "=", "a"] {
            let text = encoded.as_bytes();
            let index = Arguments::parse(text).unwrap().index();
            let all = |arguments: Arguments<'_>| {
                arguments.iter().map(Result::unwrap).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
            };
            assert_eq!(all(Arguments::with_index(text, &index)), all(Arguments::parse(text).unwrap()), "{encoded}");
        }
    }

    #[test]
    fn one_argument_too_many_is_refused() {
        let at_limit = "a&".repeat(MAX_ARGUMENTS - 1) + "a";
        assert!(Arguments::parse(at_limit.as_bytes()).is_ok());
        let above = "a&".repeat(MAX_ARGUMENTS) + "a";
        assert!(matches!(Arguments::parse(above.as_bytes()), Err(Error::TooManyArguments { limit: MAX_ARGUMENTS })));
        assert!(Arguments::parse_limited(b"a&b", 2).is_ok());
        assert!(Arguments::parse_limited(b"a&b&", 2).is_err());
        assert!(Arguments::parse_limited(b"", 0).is_ok());
    }

    #[test]
    fn the_index_of_another_text_does_no_harm() {
        let index = arguments("name=value&other=more").index();
        for (name, _) in Arguments::with_index(b"a=b", &index).iter().map(Result::unwrap) {
            assert!(name.len() < 3);
        }
    }
}
