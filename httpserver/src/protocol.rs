use std::fmt;

/// How a client speaks to this server: the scheme of the URL that it has used.
///
/// # Examples
///
/// ```
/// use httpserver::{Protocol, Request, Response, StatusCode};
///
/// async fn only_https(request: Request) -> httpserver::Result<Response> {
///     if request.protocol() == Protocol::Http {
///         let there = format!("https://{}{}", request.host().unwrap_or_default(), request.target());
///         let mut answer = Response::new(StatusCode::MOVED_PERMANENTLY);
///         answer.set_header("Location", there)?;
///         return Ok(answer);
///     }
///     Ok(Response::text("safe\n"))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// In plaintext, on the last stretch that is known of.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

impl Protocol {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Https => "https",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for Protocol {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Protocol {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
