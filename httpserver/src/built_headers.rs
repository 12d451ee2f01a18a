//! Header lines that did not come with a message, and changes to those that did.

use std::borrow::Cow;

use crate::{
    Error, Headers, Result,
    field_lines::check_header,
    headers::{Entry, is_same_name, trim_ows},
    span::Span,
};

/// Positions are kept in 16 bits.
const MOST_BYTES: usize = u16::MAX as usize;

impl Headers {
    /// Header lines made of names and values, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] for a name that is no token and for a value with control characters;
    /// [`Error::HeadTooLarge`] when names and values have more than 65,535 bytes together.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::Headers;
    ///
    /// let headers = Headers::from_lines([("Accept", "text/html"), ("accept", "text/plain")])?;
    /// assert_eq!(headers.get("ACCEPT"), Some("text/html"));
    /// assert_eq!(headers.joined("accept").as_deref(), Some(&b"text/html, text/plain"[..]));
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn from_lines<N: AsRef<[u8]>, V: AsRef<[u8]>>(lines: impl IntoIterator<Item = (N, V)>) -> Result<Headers> {
        let (mut text, mut table) = (Vec::new(), Vec::new());
        for (name, value) in lines {
            push_line(&mut text, &mut table, name.as_ref(), trim_ows(value.as_ref()))?;
        }
        Ok(assemble(text, &table))
    }

    /// The values of all lines with this name in one, separated by a comma and a space, as RFC 9110 5.3 allows; `None` if
    /// there is no such line. For `Set-Cookie` this is wrong: commas are a part of its grammar.
    #[inline]
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.get_all(name);
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
        let mut joined = first.to_vec();
        for value in [second].into_iter().chain(values) {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
        }
        Some(Cow::Owned(joined))
    }

    /// All lines as name and value, in wire order, but for those that are about the connection they came by: what a proxy
    /// passes on (RFC 9110 7.6.1). Left out are `Connection` and all that it names, `Transfer-Encoding`, `TE`, `Upgrade`,
    /// `Keep-Alive` and `Proxy-Connection`.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::Headers;
    ///
    /// let headers = Headers::from_lines([("Accept", "*/*"), ("Connection", "close, X-Hop"), ("X-Hop", "1")])?;
    /// let lines: Vec<_> = headers.end_to_end().collect();
    /// assert_eq!(lines, [("Accept", &b"*/*"[..])]);
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn end_to_end(&self) -> impl Iterator<Item = (&str, &[u8])> {
        const HOP_BY_HOP: [&str; 6] =
            ["connection", "transfer-encoding", "te", "upgrade", "keep-alive", "proxy-connection"];
        self.iter().filter(|(name, _)| {
            let is_own = HOP_BY_HOP.iter().any(|own| is_same_name(name.as_bytes(), own.as_bytes()));
            !is_own && !self.has_token("connection", name)
        })
    }

    /// The media type in `Content-Type`, without its parameters; `None` if there is no such line. Compare it without regard
    /// to case.
    #[inline]
    pub fn media_type(&self) -> Option<&[u8]> {
        self.get_bytes("content-type").map(without_params)
    }

    /// The lines in `text`, each but the last with CR LF behind it.
    #[cfg(feature = "multipart")]
    #[inline]
    pub(crate) fn parse_lines(text: &[u8]) -> Result<Headers> {
        const MALFORMED: Error = Error::BadRequest("malformed header line in a part");
        let mut lines = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (line, behind) = match memchr::memmem::find(rest, b"\r\n") {
                Some(end) => (&rest[..end], &rest[end + 2..]),
                None => (rest, &[][..]),
            };
            // A name with white space in or around it is no token, so a folded line is refused with the others.
            let colon = memchr::memchr(b':', line).ok_or(MALFORMED)?;
            lines.push((&line[..colon], &line[colon + 1..]));
            rest = behind;
        }
        Headers::from_lines(lines).map_err(|_| MALFORMED)
    }

    /// Removes all lines with these names. What else was found in the text stays where it is.
    #[cfg(feature = "gzip")]
    #[inline]
    pub(crate) fn remove(&mut self, names: &[&str]) {
        let mut table = Vec::new();
        for entry in self.entries() {
            let name = self.name(&entry);
            if !names.iter().any(|removed| is_same_name(name, removed.as_bytes())) {
                table.extend_from_slice(&entry.encode());
            }
        }
        *self = assemble(self.text().to_vec(), &table);
    }
}

impl TryFrom<&http::HeaderMap> for Headers {
    type Error = Error;

    /// # Errors
    ///
    /// As [`Headers::from_lines`].
    #[inline]
    fn try_from(map: &http::HeaderMap) -> Result<Headers> {
        Headers::from_lines(map)
    }
}

/// The part of a value in front of its parameters, without the white space around it.
#[inline]
pub(crate) fn without_params(value: &[u8]) -> &[u8] {
    trim_ows(memchr::memchr(b';', value).map_or(value, |end| &value[..end]))
}

#[inline]
fn push_line(text: &mut Vec<u8>, table: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<()> {
    check_header(name, value)?;
    if name.len() + value.len() > MOST_BYTES - text.len() {
        return Err(Error::HeadTooLarge { limit: MOST_BYTES });
    }
    let name_span = Span::new(text.len(), name.len());
    text.extend_from_slice(name);
    let value_span = Span::new(text.len(), value.len());
    text.extend_from_slice(value);
    table.extend_from_slice(&Entry { name: name_span, value: value_span }.encode());
    Ok(())
}

#[inline]
fn assemble(mut text: Vec<u8>, table: &[u8]) -> Headers {
    let start = text.len();
    text.extend_from_slice(table);
    Headers::from_block(text.into_boxed_slice(), start, table.len() / Entry::SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_and_back_is_the_same() {
        let headers = Headers::from_lines([("a", "1"), ("b", " 2\t"), ("a", "3")]).unwrap();
        let map = headers.to_header_map();
        let back = Headers::try_from(&map).unwrap();
        // A map groups the lines of one name.
        let lines: Vec<_> = back.iter().collect();
        assert_eq!(lines, [("a", &b"1"[..]), ("a", b"3"), ("b", b"2")]);
        assert_eq!(back.to_header_map(), map);
    }

    #[test]
    fn lines_that_could_not_be_sent_are_refused() {
        for (name, value) in [("", "a"), ("a b", "a"), ("a:", "a"), ("a", "b\r\nc: d"), ("a", "b\0"), ("a\n", "")] {
            assert!(matches!(Headers::from_lines([(name, value)]), Err(Error::InvalidHeader(_))), "{name:?} {value:?}");
        }
    }

    #[test]
    fn positions_have_sixteen_bits() {
        let value = vec![b'a'; MOST_BYTES - 1];
        let headers = Headers::from_lines([("a", &value)]).unwrap();
        assert_eq!(headers.get_bytes("a"), Some(&value[..]));
        let over = Headers::from_lines([("a", &value[..]), ("b", b"")]);
        assert!(matches!(over, Err(Error::HeadTooLarge { .. })));
        // As short as lines can be, all that have room are there.
        let headers = Headers::from_lines((0..MOST_BYTES).map(|_| ("a", ""))).unwrap();
        assert_eq!(headers.len(), MOST_BYTES);
    }

    #[test]
    fn values_of_one_name_are_joined_by_a_comma() {
        let headers = Headers::from_lines([("a", "1"), ("b", "2"), ("A", "3"), ("a", "4")]).unwrap();
        assert_eq!(headers.joined("a").as_deref(), Some(&b"1, 3, 4"[..]));
        assert!(matches!(headers.joined("b"), Some(Cow::Borrowed(b"2"))));
        assert_eq!(headers.joined("c"), None);
    }

    #[test]
    fn the_media_type_is_what_stands_before_the_parameters() {
        let headers = Headers::from_lines([("content-type", b"Text/HTML ; charset=\xff")]).unwrap();
        assert_eq!(headers.media_type(), Some(&b"Text/HTML"[..]));
        assert_eq!(Headers::default().media_type(), None);
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn removed_lines_are_gone_and_the_others_stay() {
        let mut headers = Headers::from_lines([("A", "1"), ("b", "2"), ("a", "3"), ("c", "4")]).unwrap();
        headers.remove(&["a", "c"]);
        let lines: Vec<_> = headers.iter().collect();
        assert_eq!(lines, [("b", &b"2"[..])]);
    }
}
