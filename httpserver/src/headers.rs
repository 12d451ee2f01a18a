//! Header lines of a message as its reader sees them, and the lists in their values.
//!
//! One block holds the text of the head and, behind it, 8 bytes for each line that say where its name and its value
//! lie. Building a map instead would take about 1,800 instructions for each request, whether it is asked or not.

use std::{fmt, iter, mem};

use crate::{Error, Result, head_block, span::Span};

/// The header lines of a message: in wire order, names compared without regard to case.
///
/// Nothing is hashed and no line is copied by itself. The lines stay where they are in the one copy of the message's
/// head, with their positions packed behind it, so that looking one up is a short walk over at most
/// [`Limits::max_headers`](crate::Limits::max_headers) entries. [`to_header_map`](Headers::to_header_map) converts for
/// code that wants the `http` crate's type.
///
/// Values are bytes (RFC 9110 5.5), without the white space around them: visible ASCII, spaces, tabs and bytes above 127.
/// Control characters were refused with the message. So that one byte above 127 does not make a line count as absent,
/// ask in this order:
///
/// | what the header is | ask |
/// |---|---|
/// | a list: `Accept`, `If-None-Match`, `Connection` | [`list`](Headers::list), [`has_token`](Headers::has_token) |
/// | one value of ASCII: `Range`, `If-Modified-Since`, a length | [`get_bytes`](Headers::get_bytes) |
/// | lines with a grammar of their own: `Cookie` | [`get_all`](Headers::get_all) |
/// | text that is wanted as such | [`get_str`](Headers::get_str), which fails if it is none |
/// | text where anything else is as good as nothing | [`get`](Headers::get) |
///
/// # Examples
///
/// ```
/// use httpserver::{Request, Response, Result};
///
/// async fn service(request: Request) -> Result<Response> {
///     let headers = request.headers();
///     // 400 if the value is not UTF-8.
///     let agent = headers.get_str("user-agent")?.unwrap_or("nobody");
///     // A member that is not what it should be is passed over, the others count.
///     let takes_gzip = headers.list("accept-encoding").any(|coding| coding == b"gzip");
///     Ok(Response::text(format!("{agent}: {takes_gzip}\n")))
/// }
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    /// The text of the head, then `count` table entries. A block that serves again has more behind them.
    block: Box<[u8]>,
    /// Where the table begins in `block`.
    table: u32,
    count: u16,
}

impl Headers {
    /// The value of the first line with this name, if it is UTF-8. Both a missing line and a value that is not UTF-8 are
    /// `None`, which suits only a header without which the request means the same.
    ///
    /// Where it matters that the client sent something, as with a condition or a credential, ask
    /// [`get_bytes`](Headers::get_bytes) or [`get_str`](Headers::get_str).
    #[inline]
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The value of the first line with this name as text; `None` if there is no such line.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] (400) when the value is not UTF-8.
    #[inline]
    pub fn get_str(&self, name: &str) -> Result<Option<&str>> {
        let not_text = |_| Error::BadRequest("a header value is not UTF-8");
        self.get_bytes(name).map(std::str::from_utf8).transpose().map_err(not_text)
    }

    /// The value of the first line with this name; `None` if and only if there is no such line.
    #[inline]
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all lines with this name, in wire order.
    #[doc(alias = "get_list")]
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.entries()
            // The length first: it rules out most names without touching them.
            .filter(move |entry| {
                entry.name.len as usize == name.len() && is_same_name(self.name(entry), name.as_bytes())
            })
            .map(|entry| self.value(&entry))
    }

    /// The members of the comma-separated list that the lines with this name make together (RFC 9110 5.3 and 5.6.1), in
    /// order and without the white space around them.
    ///
    /// Empty members are left out. A comma inside a quoted string separates nothing: `"a,b", c` has two members. Each is
    /// bytes, so that one that is not what the header calls for can be passed over without the others.
    pub fn list<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).flat_map(quoted_list_items)
    }

    /// Whether there is a line with this name.
    #[inline]
    pub fn contains(&self, name: &str) -> bool {
        self.get_bytes(name).is_some()
    }

    /// Whether the comma-separated list in the lines with this name has `token`, without regard to case:
    /// `has_token("connection", "close")`.
    #[inline]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|item| is_same_name(item, token.as_bytes()))
    }

    /// All lines as name and value, in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries().map(|entry| {
            // Names are tokens, hence ASCII: the default is never taken.
            let name = std::str::from_utf8(self.name(&entry)).unwrap_or_default();
            (name, self.value(&entry))
        })
    }

    /// The number of lines.
    #[inline]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no line at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A copy as the `http` crate's map: hashed, several allocations, names in lower case.
    #[inline]
    pub fn to_header_map(&self) -> http::HeaderMap {
        let mut map = http::HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            // Both grammars were checked with the request and are no wider than those of `http`.
            if let (Ok(name), Ok(value)) =
                (http::HeaderName::from_bytes(name.as_bytes()), http::HeaderValue::from_bytes(value))
            {
                map.append(name, value);
            }
        }
        map
    }

    /// A copy of `text`, with the encoded entries of `table` behind it.
    #[inline(always)]
    pub(crate) fn copied(text: &[u8], table: &[[u8; Entry::SIZE]]) -> Self {
        let block = head_block::filled(text, table.as_flattened());
        Headers { block, table: text.len() as u32, count: table.len() as u16 }
    }

    /// `block` is text followed by a table of `count` encoded entries that starts at `table`.
    #[inline]
    pub(crate) fn from_block(block: Box<[u8]>, table: usize, count: usize) -> Self {
        debug_assert_eq!(block.len(), table + count * Entry::SIZE);
        Headers { block, table: table as u32, count: count as u16 }
    }

    /// The text in front of the table.
    pub(crate) fn text(&self) -> &[u8] {
        &self.block[..self.table as usize]
    }

    /// The table, decoded line by line.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        let table = &self.block[self.table as usize..].as_chunks::<{ Entry::SIZE }>().0[..self.count as usize];
        table.iter().map(Entry::decode)
    }

    pub(crate) fn name(&self, entry: &Entry) -> &[u8] {
        &self.block[entry.name.range()]
    }

    fn value(&self, entry: &Entry) -> &[u8] {
        &self.block[entry.value.range()]
    }
}

impl Drop for Headers {
    #[inline]
    fn drop(&mut self) {
        head_block::give_back(mem::take(&mut self.block));
    }
}

impl fmt::Debug for Headers {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string()))).finish()
    }
}

impl From<&Headers> for http::HeaderMap {
    #[inline]
    fn from(headers: &Headers) -> Self {
        headers.to_header_map()
    }
}

/// Where the name and the value of one line lie in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

impl Entry {
    /// Bytes of an encoded entry: four numbers of 16 bits.
    pub(crate) const SIZE: usize = 8;

    /// `name` and `value` are slices of `head`.
    #[inline]
    pub(crate) fn within(head: &[u8], name: &[u8], value: &[u8]) -> Self {
        Entry { name: Span::within(head, name), value: Span::within(head, value) }
    }

    /// As it stands in the table. Through bytes, because a block of text has no alignment.
    #[inline]
    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        let [a, b] = self.name.start.to_le_bytes();
        let [c, d] = self.name.len.to_le_bytes();
        let [e, f] = self.value.start.to_le_bytes();
        let [g, h] = self.value.len.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }

    #[inline]
    fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let [a, b, c, d, e, f, g, h] = *bytes;
        Entry {
            name: Span { start: u16::from_le_bytes([a, b]), len: u16::from_le_bytes([c, d]) },
            value: Span { start: u16::from_le_bytes([e, f]), len: u16::from_le_bytes([g, h]) },
        }
    }
}

/// The items of a comma-separated list without the white space around them (RFC 9110 5.6.1); empty items are
/// skipped, as a recipient has to.
pub(crate) fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim_ows).filter(|item| !item.is_empty())
}

/// [`list_items`] with commas in quoted strings left alone.
#[inline]
fn quoted_list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    let mut has_quotes = true;
    iter::from_fn(move || {
        let (item, behind) = split_item(rest?, &mut has_quotes);
        rest = behind;
        Some(trim_ows(item))
    })
    .filter(|item| !item.is_empty())
}

/// The first member of a list, and what follows its comma.
///
/// A quote that is not closed is a character like any other, because it must not swallow the members behind it. All that
/// follow it in the line are taken the same way, or looking for their ends could cost time quadratic in its length.
#[inline]
fn split_item<'v>(value: &'v [u8], has_quotes: &mut bool) -> (&'v [u8], Option<&'v [u8]>) {
    let mut at = 0;
    while let Some(&b) = value.get(at) {
        match b {
            b',' => return (&value[..at], Some(&value[at + 1..])),
            b'"' if *has_quotes => match quoted_len(&value[at..]) {
                Some(len) => at += len,
                None => *has_quotes = false,
            },
            _ => at += 1,
        }
    }
    (value, None)
}

/// Length of the quoted string that `text` begins with, its quotes included; `None` if it has no end.
#[inline]
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Without the optional white space of RFC 9110 5.6.3 at both ends: space and tab, nothing else.
pub(crate) fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether two names are the same in any case.
///
/// A call, because what the standard library compares with is a hundred instructions at each place.
#[inline(never)]
pub(crate) fn is_same_name(name: &[u8], other: &[u8]) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// A `tchar` of RFC 9110 5.6.2.
#[inline]
pub(crate) fn is_token_byte(b: u8) -> bool {
    TOKEN[b as usize]
}

static TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut b = 0;
    while b < 128 {
        token[b as usize] = matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&'
            | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        b += 1;
    }
    token
};

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &[u8])]) -> Headers {
        let mut block = Vec::new();
        let mut table = Vec::new();
        for (name, value) in lines {
            let (name_span, value_span) =
                (Span::new(block.len(), name.len()), Span::new(block.len() + name.len(), value.len()));
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(value);
            table.extend_from_slice(&Entry { name: name_span, value: value_span }.encode());
        }
        let start = block.len();
        block.extend_from_slice(&table);
        Headers::from_block(block.into(), start, lines.len())
    }

    #[test]
    fn a_block_that_serves_again_shows_nothing_of_the_message_before() {
        let entry = |start, len| Entry { name: Span::new(start, 1), value: Span::new(start + 1, len) }.encode();
        let before = Headers::copied(b"a1b2c3", &[entry(0, 1), entry(2, 1), entry(4, 1)]);
        assert_eq!(before.len(), 3);
        let address = before.block.as_ptr();
        drop(before);
        let headers = Headers::copied(b"b9", &[entry(0, 1)]);
        assert_eq!(headers.block.as_ptr(), address, "it serves again");
        let lines: Vec<_> = headers.iter().collect();
        assert_eq!(lines, [("b", &b"9"[..])]);
        assert_eq!((headers.len(), headers.get("b"), headers.get("c")), (1, Some("9"), None));
        assert_eq!(headers.text(), b"b9");
        assert_eq!(format!("{:?}", headers.clone()), "{\"b\": \"9\"}");
    }

    #[test]
    fn names_are_found_in_any_case_and_lines_keep_their_order() {
        let headers = headers(&[("X-A", b"1"), ("b", b"2"), ("x-a", b"3")]);
        assert_eq!(headers.get("X-a"), Some("1"));
        assert_eq!(headers.get("c"), None);
        let all: Vec<&[u8]> = headers.get_all("x-A").collect();
        assert_eq!(all, [b"1", b"3"]);
        let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["X-A", "b", "x-a"]);
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn a_value_that_is_not_utf8_is_there_as_bytes_only() {
        let headers = headers(&[("a", b"\xff")]);
        assert_eq!(headers.get("a"), None);
        assert_eq!(headers.get_bytes("a"), Some(&b"\xff"[..]));
        assert!(headers.contains("A"));
        let error = headers.get_str("a").unwrap_err();
        assert_eq!(error.status(), Some(http::StatusCode::BAD_REQUEST));
        assert_eq!(headers.get_str("b").unwrap(), None);
    }

    #[test]
    fn a_member_that_is_not_utf8_takes_no_other_with_it() {
        let headers = headers(&[("Accept-Encoding", b"\xff;q=1, gzip"), ("x", b""), ("accept-encoding", b"br\xe4,br")]);
        let items: Vec<&[u8]> = headers.list("accept-encoding").collect();
        assert_eq!(items, [&b"\xff;q=1"[..], b"gzip", b"br\xe4", b"br"]);
        assert!(headers.has_token("accept-encoding", "gzip"));
        assert!(headers.has_token("accept-encoding", "BR"));
    }

    #[test]
    fn a_comma_in_a_quoted_string_separates_nothing() {
        let list = |value: &'static [u8]| -> Vec<String> {
            let headers = headers(&[("a", value)]);
            headers.list("a").map(|item| item.escape_ascii().to_string().replace('\\', "")).collect()
        };
        assert_eq!(list(b"\"a,b\", W/\"c,\xff\"\t,, d"), ["\"a,b\"", "W/\"c,xff\"", "d"]);
        assert_eq!(list(b"x=\"a\\\",b\",c"), ["x=\"a\",b\"", "c"]);
        // Unless nothing closes it.
        assert_eq!(list(b"\"a, b, c"), ["\"a", "b", "c"]);
        assert_eq!(list(b"a, \"b\\\", c"), ["a", "\"b\"", "c"]);
        assert_eq!(list(b"\"a\", \""), ["\"a\"", "\""]);
        assert_eq!(list(b""), [""; 0]);
        assert_eq!(list(b" , ,\t"), [""; 0]);
    }

    #[test]
    fn tokens_are_looked_for_in_all_lines_of_a_list() {
        let headers = headers(&[("Connection", b"x,, Keep-Alive"), ("connection", b"\tclose ,y")]);
        assert!(headers.has_token("connection", "keep-alive"));
        assert!(headers.has_token("connection", "close"));
        assert!(!headers.has_token("connection", "keep"));
        assert!(!headers.has_token("other", "close"));
    }

    #[test]
    fn conversion_keeps_every_line() {
        let headers = headers(&[("A", b"1"), ("B", b"\xe4"), ("a", b"2")]);
        let map = headers.to_header_map();
        let values: Vec<&[u8]> = map.get_all("a").iter().map(|v| v.as_bytes()).collect();
        assert_eq!(values, [b"1", b"2"]);
        assert_eq!(map["b"].as_bytes(), b"\xe4");
    }

    #[test]
    fn no_headers_are_a_valid_set() {
        let headers = Headers::default();
        assert!(headers.is_empty());
        assert_eq!(headers.get("a"), None);
        assert_eq!(format!("{headers:?}"), "{}");
    }
}
