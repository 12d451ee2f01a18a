use std::net::SocketAddr;

use http::{Method, Version};

use crate::{
    Body, Error, Limits, Protocol, Request, Result,
    client_info::BuiltClient,
    field_lines::check_header,
    http1::{framing::BodyFraming, request_parser::parse_request_head},
};

/// Makes a [`Request`] that comes from no connection; see [`Request::builder`].
///
/// What was given is checked by [`build`](RequestBuilder::build), by the same parser that reads from connections: a
/// service is never shown a request that no client could have sent.
///
/// # Examples
///
/// ```
/// use httpserver::{Method, Request};
///
/// let request = Request::builder()
///     .method(Method::POST)
///     .target("/rooms?kind=quiet")
///     .header("Content-Type", "text/plain")
///     .body("a new room")
///     .build()?;
/// assert_eq!((request.path(), request.query()), ("/rooms", Some("kind=quiet")));
/// assert_eq!(request.headers().get("content-length"), Some("10"));
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RequestBuilder {
    method: Method,
    target: String,
    version: Version,
    /// As they will be parsed.
    lines: Vec<u8>,
    has_host: bool,
    has_length: bool,
    body: Body,
    client: BuiltClient,
    /// The first mistake made; told by `build`.
    error: Option<Error>,
}

impl RequestBuilder {
    #[inline]
    pub(crate) fn new() -> RequestBuilder {
        RequestBuilder {
            method: Method::GET,
            target: "/".to_owned(),
            version: Version::HTTP_11,
            lines: Vec::new(),
            has_host: false,
            has_length: false,
            body: Body::empty(),
            client: BuiltClient::default(),
            error: None,
        }
    }

    /// Sets the method; GET by default.
    #[inline]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets the target, in one of the four forms of RFC 9112 3.2; `/` by default.
    #[inline]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    /// Sets the version, HTTP/1.1 (the default) or HTTP/1.0. Others count as HTTP/1.1.
    #[inline]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Adds a header line. Without a `Host` line `build` adds one: the host of the target if it names one, `localhost`
    /// otherwise. If there is a body, it also adds the line that tells its length.
    #[inline]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        match check_header(name.as_bytes(), value) {
            Ok(()) => self.push_line(name, value),
            Err(error) => drop(self.error.get_or_insert(error)),
        }
        self
    }

    /// Sets the body; none by default.
    #[inline]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets what [`Request::peer_addr`] and [`Request::remote_ip`] return.
    #[inline]
    pub fn peer_addr(mut self, peer: SocketAddr) -> Self {
        self.client.peer = Some(peer);
        self
    }

    /// Sets what [`Request::protocol`] returns; [`Protocol::Http`] by default.
    #[inline]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.client.protocol = protocol;
        self
    }

    /// Makes the request.
    ///
    /// # Errors
    ///
    /// What a server would answer to such a request, mostly [`Error::BadRequest`]; [`Error::InvalidHeader`] for a header
    /// line that could not be sent.
    #[inline]
    pub fn build(mut self) -> Result<Request> {
        if let Some(error) = self.error {
            return Err(error);
        }
        // White space and line ends would begin another part of the head.
        if self.target.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(Error::BadRequest("malformed request target"));
        }
        if !self.has_host {
            let host = self.host_of_target().to_owned();
            self.push_line("Host", host.as_bytes());
        }
        if !self.has_length && !self.body.is_end() {
            match self.body.content_length() {
                Some(length) => self.push_line("Content-Length", length.to_string().as_bytes()),
                None => self.push_line("Transfer-Encoding", b"chunked"),
            }
        }
        let version = if self.version == Version::HTTP_10 { "1.0" } else { "1.1" };
        let mut head = format!("{} {} HTTP/{version}\r\n", self.method, self.target).into_bytes();
        head.extend_from_slice(&self.lines);
        head.extend_from_slice(b"\r\n");
        let limits = Limits::default().max_body(u64::MAX);
        // It ends with an empty line, so it is complete or refused.
        let (_, head) = parse_request_head(&head, &limits)?.ok_or(Error::BadRequest("incomplete request head"))?;
        let known = self.body.content_length();
        if let BodyFraming::Length(announced) = head.body()
            && known.is_some_and(|length| length != announced)
        {
            return Err(Error::BadRequest("Content-Length is not that of the body"));
        }
        Ok(Request::built(head, self.body, self.client))
    }

    /// The Host that goes with the target: RFC 9112 3.2 wants one in any case, equal to that of the target if it has one.
    #[inline]
    fn host_of_target(&self) -> &str {
        if self.method == Method::CONNECT {
            return &self.target;
        }
        match self.target.split_once("://") {
            Some((scheme, rest)) if !scheme.starts_with('/') => rest.split(['/', '?']).next().unwrap_or_default(),
            _ => "localhost",
        }
    }

    #[inline]
    fn push_line(&mut self, name: &str, value: &[u8]) {
        self.has_host |= name.eq_ignore_ascii_case("host");
        self.has_length |=
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding");
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value);
        self.lines.extend_from_slice(b"\r\n");
    }
}
