use std::borrow::Cow;

use crate::error::{Error, Result};

/// The URL of a WebSocket (RFC 6455 3), taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WebSocketUrl<'u> {
    pub(super) is_secure: bool,
    /// With the brackets of an IPv6 address.
    host: &'u str,
    pub(super) port: u16,
    /// Path and query, perhaps without a path.
    target: &'u str,
}

impl<'u> WebSocketUrl<'u> {
    /// # Errors
    ///
    /// [`Error::WebSocketHandshake`] for what is not the URL of a WebSocket.
    #[inline]
    pub(super) fn parse(url: &'u str) -> Result<WebSocketUrl<'u>> {
        let failure = |what| Err(Error::WebSocketHandshake(what));
        let Some((scheme, rest)) = url.split_once("://") else { return failure("the URL has no scheme") };
        // WHATWG lets the schemes of HTTP stand for those of WebSockets.
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return failure("the URL is neither ws nor wss"),
        };
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return failure("the URL has a character that has to be percent-encoded");
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if target.contains('#') {
            return failure("the URL of a WebSocket has no fragment");
        }
        if authority.contains('@') {
            return failure("credentials go into a header, not into the URL");
        }
        // The colons of an IPv6 address are in front of a bracket.
        let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let default = if is_secure { 443 } else { 80 };
        let (host, port) = match colon {
            None => (authority, Some(default)),
            Some(at) => (&authority[..at], parse_port(&authority[at + 1..], default)),
        };
        let Some(port) = port else { return failure("the URL has an invalid port") };
        let is_bracketed = host.len() > 2 && host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || !is_bracketed && host.contains(['[', ']', ':']) {
            return failure("the URL has no valid host");
        }
        Ok(WebSocketUrl { is_secure, host, port, target })
    }

    /// The host as a resolver wants it.
    #[inline]
    pub(super) fn host_name(&self) -> &'u str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The host as the Host header wants it: with the port, unless that is the usual one.
    #[inline]
    pub(super) fn authority(&self) -> String {
        match (self.is_secure, self.port) {
            (false, 80) | (true, 443) => self.host.to_owned(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// What is asked for.
    #[inline]
    pub(super) fn target(&self) -> Cow<'u, str> {
        match self.target.starts_with('/') {
            true => Cow::Borrowed(self.target),
            false => Cow::Owned(format!("/{}", self.target)),
        }
    }
}

#[inline]
fn parse_port(port: &str, default: u16) -> Option<u16> {
    match port {
        "" => Some(default),
        _ if !port.bytes().all(|byte| byte.is_ascii_digit()) => None,
        _ => port.parse().ok().filter(|port| *port != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, host, port, authority, target) in [
            ("ws://example.com", "example.com", 80, "example.com", "/"),
            ("ws://example.com/", "example.com", 80, "example.com", "/"),
            ("WSS://Example.com/a/b?c=d", "Example.com", 443, "Example.com", "/a/b?c=d"),
            ("ws://example.com?a=b", "example.com", 80, "example.com", "/?a=b"),
            ("ws://example.com:8080/a", "example.com", 8080, "example.com:8080", "/a"),
            ("wss://example.com:80", "example.com", 80, "example.com:80", "/"),
            ("wss://example.com:443", "example.com", 443, "example.com", "/"),
            ("ws://example.com:/a", "example.com", 80, "example.com", "/a"),
            ("ws://[::1]/a", "::1", 80, "[::1]", "/a"),
            ("https://[::1]:8443", "::1", 8443, "[::1]:8443", "/"),
            ("http://127.0.0.1:1?x", "127.0.0.1", 1, "127.0.0.1:1", "/?x"),
        ] {
            let parsed = WebSocketUrl::parse(url).unwrap();
            assert_eq!(
                (parsed.host_name(), parsed.port, parsed.authority().as_str()),
                (host, port, authority),
                "{url}"
            );
            assert_eq!(parsed.target(), target, "{url}");
            let is_secure = url.to_lowercase().starts_with("wss") || url.starts_with("https");
            assert_eq!(parsed.is_secure, is_secure, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_websocket_is_refused() {
        for url in [
            "example.com",
            "ftp://example.com",
            "ws:example.com",
            "ws://",
            "ws:///a",
            "ws://:80",
            "ws://example.com/a#b",
            "ws://example.com#b",
            "ws://user@example.com",
            "ws://user:secret@example.com/",
            "ws://example.com:0",
            "ws://example.com:65536",
            "ws://example.com:x",
            "ws://example.com:+80",
            "ws://example.com/a b",
            "ws://example.com/\r\nHost: evil",
            "ws://exämple.com/",
            "ws://::1/",
            "ws://[]/",
            "ws://[::1/",
        ] {
            assert!(matches!(WebSocketUrl::parse(url), Err(Error::WebSocketHandshake(_))), "{url}");
        }
    }
}
