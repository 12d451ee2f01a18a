//! Which pages a request may come from.
//!
//! The same-origin policy of browsers does not keep a page from sending forms to any server, nor from opening a WebSocket to
//! it, and the browser sends the user's cookies along (cross-site request forgery, cross-site WebSocket hijacking). What the
//! browser does is to name the page's origin, which a script cannot forge. So the server has to look at it.

/// The origins of pages that are let in. By default those of the server's own host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    #[cfg(feature = "websocket")]
    any: bool,
    /// In one spelling: lower case, with a port.
    allowed: Vec<(String, String, u16)>,
}

impl Origins {
    #[track_caller]
    #[inline]
    pub(crate) fn allow(&mut self, origin: &str) {
        let Some(parsed) = Origin::parse(origin) else {
            panic!("{origin:?} is not an origin: a scheme and a host, as in \"https://app.example.com\"");
        };
        self.allowed.push((parsed.scheme.to_ascii_lowercase(), parsed.host.to_ascii_lowercase(), parsed.port));
    }

    #[cfg(feature = "websocket")]
    #[inline]
    pub(crate) fn allow_any(&mut self) {
        self.any = true;
    }

    /// Whether this origin has been added, whatever the server's own is.
    #[inline]
    pub(crate) fn lists(&self, origin: &str) -> bool {
        Origin::parse(origin).is_some_and(|origin| self.is_listed(&origin))
    }

    #[inline]
    fn is_listed(&self, origin: &Origin<'_>) -> bool {
        self.allowed.iter().any(|(scheme, host, port)| origin.is(scheme, host, *port))
    }

    /// Whether a page of `origin` is let in by the server that the client calls `host`.
    #[inline]
    pub(crate) fn allows(&self, origin: &[u8], host: Option<&str>) -> bool {
        #[cfg(feature = "websocket")]
        if self.any {
            return true;
        }
        // `null`, the origin of sandboxed pages and of files, is no host's own, and does not parse.
        let Some(origin) = std::str::from_utf8(origin).ok().and_then(Origin::parse) else { return false };
        origin.is_of(host) || self.is_listed(&origin)
    }
}

/// An origin as a browser writes it (RFC 6454 6.2).
struct Origin<'o> {
    scheme: &'o str,
    /// With the brackets of an IPv6 address.
    host: &'o str,
    port: u16,
}

impl<'o> Origin<'o> {
    #[inline]
    fn parse(origin: &'o str) -> Option<Origin<'o>> {
        let (scheme, authority) = origin.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        if !is_scheme || authority.contains(['/', '@', '?', '#', ' ', ',']) {
            return None;
        }
        let default = default_port(scheme);
        let (host, port) = split_port(authority, default)?;
        Some(Origin { scheme, host, port })
    }

    /// Whether the page comes from the server itself. Not compared is the scheme: behind a proxy that ends TLS a server does
    /// not know its own. The port counts, and where it is left out it is that of the page's scheme.
    #[inline]
    fn is_of(&self, host: Option<&str>) -> bool {
        let Some((host, port)) = host.and_then(|host| split_port(host, default_port(self.scheme))) else {
            return false;
        };
        self.host.eq_ignore_ascii_case(host) && self.port == port
    }

    #[inline]
    fn is(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme) && self.host.eq_ignore_ascii_case(host) && self.port == port
    }
}

/// 0 for a scheme without one.
#[inline]
fn default_port(scheme: &str) -> u16 {
    match scheme {
        _ if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") => 80,
        _ if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") => 443,
        _ => 0,
    }
}

/// A host and a port; `None` when it is neither.
#[inline]
fn split_port(authority: &str, default: u16) -> Option<(&str, u16)> {
    // The colons of an IPv6 address are in front of a bracket.
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let (host, port) = match colon {
        None => (authority, default),
        Some(at) => match &authority[at + 1..] {
            "" => (&authority[..at], default),
            port if port.bytes().all(|byte| byte.is_ascii_digit()) => (&authority[..at], port.parse().ok()?),
            _ => return None,
        },
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(origins: &Origins, origin: &str, host: &str) -> bool {
        origins.allows(origin.as_bytes(), Some(host))
    }

    #[test]
    fn pages_of_the_same_host_and_port_are_allowed() {
        let origins = Origins::default();
        for (origin, host) in [
            ("http://example.com", "example.com"),
            ("https://example.com", "example.com"),
            ("HTTP://Example.COM", "eXample.com"),
            ("http://example.com", "example.com:80"),
            ("http://example.com:80", "example.com"),
            ("https://example.com", "example.com:443"),
            ("https://example.com:443", "example.com"),
            ("http://example.com:8080", "example.com:8080"),
            ("http://[::1]:8888", "[::1]:8888"),
            ("http://[::1]", "[::1]"),
            ("http://127.0.0.1:8888", "127.0.0.1:8888"),
            ("http://example.com:", "example.com"),
        ] {
            assert!(allows(&origins, origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn pages_of_others_are_not() {
        let origins = Origins::default();
        for (origin, host) in [
            ("http://example.com", "example.org"),
            ("http://example.com:8080", "example.com"),
            ("http://example.com", "example.com:8080"),
            ("http://example.com", "example.com:443"),
            ("https://example.com", "example.com:80"),
            ("http://example.com.evil.net", "example.com"),
            ("http://sub.example.com", "example.com"),
            ("http://evil.net/example.com", "example.com"),
            ("http://example.com@evil.net", "example.com"),
            ("http://evil.net?://example.com", "example.com"),
            ("http://example.com, http://evil.net", "example.com"),
            ("http://example.com http://evil.net", "example.com"),
            ("http://example.com:8x", "example.com"),
            ("http://example.com:99999", "example.com"),
            ("http://:80", "example.com"),
            ("http://", "example.com"),
            ("example.com", "example.com"),
            ("://example.com", "example.com"),
            ("null", "null"),
            ("null", "example.com"),
            ("", "example.com"),
            ("file://", "example.com"),
        ] {
            assert!(!allows(&origins, origin, host), "{origin} {host}");
        }
        assert!(!origins.allows(b"http://example.com", None));
        assert!(!origins.allows(b"http://ex\xffample.com", Some("example.com")));
    }

    #[test]
    fn a_list_names_scheme_host_and_port() {
        let mut origins = Origins::default();
        origins.allow("https://App.example.com");
        origins.allow("http://localhost:3000");
        for origin in ["https://app.example.com", "https://app.example.com:443", "http://LOCALHOST:3000"] {
            assert!(allows(&origins, origin, "example.com"), "{origin}");
        }
        for origin in ["http://app.example.com", "https://app.example.com:8443", "http://localhost", "null"] {
            assert!(!allows(&origins, origin, "example.com"), "{origin}");
        }
        // The server's own pages still may.
        assert!(allows(&origins, "http://example.com", "example.com"));
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn any_is_any() {
        let mut origins = Origins::default();
        origins.allow_any();
        assert!(allows(&origins, "null", "example.com") && origins.allows(b"\xff", None));
    }

    #[test]
    #[should_panic(expected = "is not an origin")]
    fn what_could_never_match_is_refused() {
        Origins::default().allow("app.example.com");
    }
}
