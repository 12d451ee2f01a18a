//! Encodes request heads, for clients and gateways.
//!
//! The encoder is as strict as the parser: what it appends is one request, and nothing in it can be read as two.

use http::Method;

use super::{authority::is_authority, encode::append_content_length, framing::BodyFraming, target};
use crate::{Error, Result, field_lines::check_header, headers::trim_ows, span::Span};

/// The start line of a request, and the facts from which the encoder makes the lines of its own.
#[derive(Clone, Copy, Debug)]
pub struct RequestStart<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, percent-encoded, in the form that the method and the receiver require (RFC 9112 3.2).
    pub target: &'a str,
    /// The value of the Host line: the authority of the target's URI, without userinfo.
    pub host: &'a str,
    /// How the body is framed. Use `Length(0)` rather than `None` for the empty body of a POST or PUT (RFC 9110 8.6).
    pub body: BodyFraming,
    /// Whether the connection is kept behind the answer. If not, `Connection: close` is sent; keeping it is the default of
    /// HTTP/1.1 and needs no line.
    pub keep_alive: bool,
}

/// Appends the head of an HTTP/1.1 request to `out`: the request line, Host, `lines` in their order, the framing, and
/// Connection if it is needed.
///
/// If `lines` has an `Upgrade` or a `TE`, Connection names it. Without that the line has no effect, and a gateway passes it
/// on (RFC 9110 7.8 and 10.1.4).
///
/// # Errors
///
/// [`Error::InvalidHeader`] for a target or a host with characters that do not belong there, for a name that is no token,
/// for a value with a control character, and for a line that belongs to the encoder: Host, Connection, Content-Length and
/// Transfer-Encoding. Each of these could be read as another request than was meant. `out` is unchanged then.
///
/// # Examples
///
/// ```
/// use httpserver::{Method, codec::{BodyFraming, RequestStart, encode_request_head}};
///
/// let start = RequestStart {
///     method: &Method::GET,
///     target: "/rooms?page=2",
///     host: "example.com",
///     body: BodyFraming::None,
///     keep_alive: true,
/// };
/// let mut out = Vec::new();
/// encode_request_head(&mut out, &start, [("Accept", "*/*")])?;
/// assert_eq!(out, b"GET /rooms?page=2 HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n");
/// # Ok::<_, httpserver::Error>(())
/// ```
pub fn encode_request_head<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    start: &RequestStart<'_>,
    lines: impl IntoIterator<Item = (N, V)>,
) -> Result<()> {
    let before = out.len();
    let appended = check_start(start).and_then(|()| append_head(out, start, lines));
    if appended.is_err() {
        out.truncate(before);
    }
    appended
}

#[inline]
fn check_start(start: &RequestStart<'_>) -> Result<()> {
    let target = start.target.as_bytes();
    // Positions within a head have 16 bits. No server accepts a target that long.
    if target.len() > usize::from(u16::MAX) || target::parse(target, Span::new(0, target.len()), start.method).is_err()
    {
        return Err(Error::InvalidHeader("malformed request target"));
    }
    if !is_authority(start.host.as_bytes()) {
        return Err(Error::InvalidHeader("malformed Host"));
    }
    Ok(())
}

fn append_head<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    start: &RequestStart<'_>,
    lines: impl IntoIterator<Item = (N, V)>,
) -> Result<()> {
    // RFC 9110 7.2 recommends Host as the first line: a recipient can route before it has read the others.
    for part in [start.method.as_str(), " ", start.target, " HTTP/1.1\r\nHost: ", start.host, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let mut options = ConnectionOptions { close: !start.keep_alive, upgrade: false, te: false };
    for (name, value) in lines {
        let (name, value) = (name.as_ref(), value.as_ref());
        check_header(name, value)?;
        options.note(name)?;
        append_line(out, name, trim_ows(value));
    }
    match start.body {
        BodyFraming::None => {}
        BodyFraming::Length(length) => append_content_length(out, length),
        BodyFraming::Chunked => append_line(out, b"Transfer-Encoding", b"chunked"),
    }
    options.append(out);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// The options that the Connection line names.
struct ConnectionOptions {
    close: bool,
    upgrade: bool,
    te: bool,
}

impl ConnectionOptions {
    /// Notes a line that Connection has to name.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidHeader`] for a line that belongs to the encoder.
    #[inline]
    fn note(&mut self, name: &[u8]) -> Result<()> {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if ["host", "connection", "content-length", "transfer-encoding"].into_iter().any(is) {
            return Err(Error::InvalidHeader("the line belongs to the encoder"));
        }
        self.upgrade |= is("upgrade");
        self.te |= is("te");
        Ok(())
    }

    #[inline]
    fn append(&self, out: &mut Vec<u8>) {
        let options = [(self.close, "close"), (self.upgrade, "Upgrade"), (self.te, "TE")];
        let mut separator = "Connection: ";
        for (_, option) in options.into_iter().filter(|(is_set, _)| *is_set) {
            out.extend_from_slice(separator.as_bytes());
            out.extend_from_slice(option.as_bytes());
            separator = ", ";
        }
        if separator == ", " {
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[inline]
fn append_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
