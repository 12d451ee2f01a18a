//! The header of RFC 7239.

use std::{borrow::Cow, net::IpAddr};

use super::node::parse_node;
use crate::{Headers, headers::is_token_byte};

/// What one proxy says; the two of its parameters that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'h> {
    node: Option<Cow<'h, [u8]>>,
    proto: Option<Cow<'h, [u8]>>,
}

impl<'h> Element<'h> {
    /// The address of whom the proxy was connected from, unless it is unknown or hidden.
    #[inline]
    pub(super) fn node(&self) -> Option<IpAddr> {
        parse_node(self.node.as_deref()?)
    }

    #[inline]
    pub(super) fn proto(self) -> Option<Cow<'h, [u8]>> {
        self.proto
    }
}

/// The elements of all lines, in order. `None` when one is malformed: a client that begins a string and does not end it
/// would otherwise swallow what a proxy adds behind it.
#[inline]
pub(super) fn elements(headers: &Headers) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    for line in headers.get_all("forwarded") {
        Scanner { rest: line }.read_line(&mut elements)?;
    }
    Some(elements)
}

struct Scanner<'h> {
    rest: &'h [u8],
}

impl<'h> Scanner<'h> {
    #[inline]
    fn read_line(&mut self, elements: &mut Vec<Element<'h>>) -> Option<()> {
        loop {
            let mut element = Element::default();
            let mut is_empty = true;
            // Pairs with semicolons between them; any of them may be missing.
            loop {
                self.skip_spaces();
                if !matches!(self.rest.first(), None | Some(b',' | b';')) {
                    self.read_pair(&mut element)?;
                    self.skip_spaces();
                    is_empty = false;
                }
                if !self.take(b';') {
                    break;
                }
            }
            // RFC 9110 5.6.1: empty elements of a list are ignored.
            if !is_empty {
                elements.push(element);
            }
            if !self.take(b',') {
                return self.rest.is_empty().then_some(());
            }
        }
    }

    #[inline]
    fn read_pair(&mut self, element: &mut Element<'h>) -> Option<()> {
        let name = self.take_while(is_token_byte)?;
        if !self.take(b'=') {
            return None;
        }
        let value = if self.take(b'"') { self.read_quoted()? } else { Cow::Borrowed(self.take_while(is_bare)?) };
        let place = match name {
            name if name.eq_ignore_ascii_case(b"for") => &mut element.node,
            name if name.eq_ignore_ascii_case(b"proto") => &mut element.proto,
            _ => return Some(()),
        };
        // RFC 7239 4: no parameter twice.
        place.replace(value).is_none().then_some(())
    }

    /// The rest of a quoted string (RFC 9110 5.6.4).
    #[inline]
    fn read_quoted(&mut self) -> Option<Cow<'h, [u8]>> {
        let plain = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if self.rest[plain] == b'"' {
            let (value, rest) = self.rest.split_at(plain);
            self.rest = &rest[1..];
            return Some(value.into());
        }
        let mut value = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(value.into()),
                b'\\' => value.push(self.next()?),
                byte => value.push(byte),
            }
        }
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(is_there)..];
        is_there
    }

    #[inline]
    fn take_while(&mut self, belongs: fn(u8) -> bool) -> Option<&'h [u8]> {
        let length = self.rest.iter().position(|&byte| !belongs(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0).then_some(taken)
    }

    #[inline]
    fn skip_spaces(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }
}

/// What may stand outside of quotes. An address with a colon has to be quoted by RFC 7239, and often is not.
#[inline]
fn is_bare(byte: u8) -> bool {
    is_token_byte(byte) || matches!(byte, b':' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<Vec<(Option<String>, Option<String>)>> {
        let mut elements = Vec::new();
        Scanner { rest: line.as_bytes() }.read_line(&mut elements)?;
        let text = |value: Option<Cow<'_, [u8]>>| value.map(|value| String::from_utf8(value.into_owned()).unwrap());
        Some(elements.into_iter().map(|element| (text(element.node), text(element.proto))).collect())
    }

    fn element(node: &str, proto: &str) -> (Option<String>, Option<String>) {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (text(node), text(proto))
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (line, elements) in [
            (r#"for="_gazonk""#, vec![element("_gazonk", "")]),
            (r#"For="[2001:db8:cafe::17]:4711""#, vec![element("[2001:db8:cafe::17]:4711", "")]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec![element("192.0.2.60", "http")]),
            ("for=192.0.2.43, for=198.51.100.17", vec![element("192.0.2.43", ""), element("198.51.100.17", "")]),
            (
                r#"for=192.0.2.43, for="[2001:db8:cafe::17]""#,
                vec![element("192.0.2.43", ""), element("[2001:db8:cafe::17]", "")],
            ),
            ("for=192.0.2.43,for=unknown;by=_x", vec![element("192.0.2.43", ""), element("unknown", "")]),
        ] {
            assert_eq!(parsed(line), Some(elements), "{line}");
        }
    }

    #[test]
    fn what_is_optional_may_be_missing() {
        for (line, elements) in [
            ("", vec![]),
            (" , ,", vec![]),
            (";;", vec![]),
            (",for=a,", vec![element("a", "")]),
            ("by=b", vec![element("", "")]),
            (" for=a ; proto=http\t,\tfor=b", vec![element("a", "http"), element("b", "")]),
            (r#"for="a\"\\b,;""#, vec![element(r#"a"\b,;"#, "")]),
            (r#"for="""#, vec![(Some(String::new()), None)]),
        ] {
            assert_eq!(parsed(line), Some(elements), "{line}");
        }
    }

    #[test]
    fn what_is_malformed_says_nothing() {
        for line in [
            "for",
            "for=",
            "=a",
            "for =a",
            "for= a",
            "for=a b",
            "for=a;for=b",
            r#"for="a"#,
            r#"for="a\"#,
            r#"for="a"b"#,
            r#"for=1.2.3.4;x=", for=203.0.113.7"#,
            r#"for=1.2.3.4;x=", for="[2001:db8::1]:4711""#,
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }
}
