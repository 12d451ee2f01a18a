//! One member of `Sec-WebSocket-Extensions` (RFC 6455 9.1 and RFC 7692 7.1).

use std::{mem, str};

/// The parameters of permessage-deflate, as they were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    /// With or without a value.
    pub(super) client_max_window_bits: Option<Option<u8>>,
}

/// Why a member is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// An extension of another name.
    Other,
    /// A parameter that is unknown, repeated or out of range, or a member that is malformed.
    Malformed,
}

const NAME: &str = "permessage-deflate";

impl Parameters {
    #[inline]
    pub(super) fn parse(member: &[u8]) -> Result<Parameters, Unusable> {
        let member = str::from_utf8(member).map_err(|_| Unusable::Malformed)?;
        // A parameter's value is a token, also where it is quoted: no semicolon is ever part of one.
        let mut parts = member.split(';').map(trim);
        // Tokens of extensions are compared as they are everywhere: without regard to case.
        if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case(NAME)) {
            return Err(Unusable::Other);
        }
        let mut parameters = Parameters::default();
        for part in parts {
            parameters.add(part)?;
        }
        Ok(parameters)
    }

    #[inline]
    fn add(&mut self, part: &str) -> Result<(), Unusable> {
        let (name, bits) = match part.split_once('=') {
            Some((name, value)) => (trim(name), Some(window_bits(trim(value)).ok_or(Unusable::Malformed)?)),
            None => (part, None),
        };
        let is_new = match (name.to_ascii_lowercase().as_str(), bits) {
            ("server_no_context_takeover", None) => !mem::replace(&mut self.server_no_context_takeover, true),
            ("client_no_context_takeover", None) => !mem::replace(&mut self.client_no_context_takeover, true),
            ("server_max_window_bits", Some(bits)) => self.server_max_window_bits.replace(bits).is_none(),
            ("client_max_window_bits", bits) => self.client_max_window_bits.replace(bits).is_none(),
            _ => false,
        };
        if is_new { Ok(()) } else { Err(Unusable::Malformed) }
    }
}

#[inline]
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A number from 8 to 15 without leading zeros, as a token or as a quoted string of that.
#[inline]
fn window_bits(value: &str) -> Option<u8> {
    let text = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?.replace('\\', ""),
        None => value.to_owned(),
    };
    (8..=15).find(|bits| bits.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(member: &str) -> Result<Parameters, Unusable> {
        Parameters::parse(member.as_bytes())
    }

    #[test]
    fn all_parameters_are_read() {
        assert_eq!(parse("permessage-deflate"), Ok(Parameters::default()));
        let all = Parameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(8),
            client_max_window_bits: Some(Some(15)),
        };
        assert_eq!(
            parse(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8; \
                 client_max_window_bits=15"
            ),
            Ok(all)
        );
        let hint = Parameters { client_max_window_bits: Some(None), ..Parameters::default() };
        assert_eq!(parse("Permessage-Deflate ;\tclient_max_window_bits "), Ok(hint));
    }

    #[test]
    fn values_may_be_quoted() {
        for value in ["10", "\"10\"", "\"1\\0\""] {
            let parsed = parse(&format!("permessage-deflate; server_max_window_bits = {value}")).unwrap();
            assert_eq!(parsed.server_max_window_bits, Some(10), "{value}");
        }
    }

    #[test]
    fn what_is_unknown_repeated_or_out_of_range_is_malformed() {
        for parameters in [
            "foo",
            "foo=1",
            "",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits; client_max_window_bits=10",
            "client_max_window_bits; client_max_window_bits",
            "server_no_context_takeover=1",
            "client_no_context_takeover=10",
            "server_max_window_bits",
            "server_max_window_bits=",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+8",
            "server_max_window_bits=-8",
            "server_max_window_bits=10.0",
            "server_max_window_bits=\"10",
            "server_max_window_bits=\"",
            "server_max_window_bits=10=10",
            "client_max_window_bits=",
            "client_max_window_bits=0",
            "client_max_window_bits=100",
        ] {
            assert_eq!(parse(&format!("permessage-deflate; {parameters}")), Err(Unusable::Malformed), "{parameters}");
        }
        assert_eq!(Parameters::parse(b"permessage-deflate; \xff"), Err(Unusable::Malformed));
    }

    #[test]
    fn other_extensions_are_not_ours() {
        for member in ["", "x-webkit-deflate-frame", "permessage-deflate2; server_max_window_bits=10", "deflate"] {
            assert_eq!(parse(member), Err(Unusable::Other), "{member}");
        }
    }
}
