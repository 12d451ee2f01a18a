//! Writes request heads, for clients and gateways.

use http::Method;

use super::{authority::is_authority, encode::append_content_length, framing::BodyFraming, target};
use crate::{Error, Result, field_lines::check_header, headers::trim_ows, span::Span};

/// What a request's head says besides the lines that its sender chooses.
#[derive(Clone, Copy, Debug)]
pub struct RequestStart<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target in the form that the method and the receiver call for (RFC 9112 3.2), percent-encoded.
    pub target: &'a str,
    /// The value of Host: the authority of the target's URI, without userinfo.
    pub host: &'a str,
    /// How the body will be framed. `Length(0)` rather than `None` for an empty body of a POST or PUT (RFC 9110 8.6).
    pub body: BodyFraming,
    /// Whether the connection is to be kept; in HTTP/1.1 only the opposite has to be said.
    pub keep_alive: bool,
}

/// Appends the head of an HTTP/1.1 request to `out`, with `lines` behind the lines that belong to the encoder.
///
/// A line `Upgrade` or `TE` is named in Connection, without which it would be passed on by a gateway or count for nothing
/// (RFC 9110 7.8 and 10.1.4).
///
/// # Errors
///
/// [`Error::InvalidHeader`] for what no server that reads strictly would accept, and what could be read as more than one
/// request: a target or a host with other characters than belong there, a name that is no token, a value with a control
/// character, and a line that belongs to the encoder (Host, Connection, Content-Length, Transfer-Encoding). `out` is as it
/// was then.
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
    // Positions within a head have 16 bits; no server takes a target this long.
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
    // Host comes first: RFC 9110 7.2 asks for it, so that a recipient can route before it has read the rest.
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

/// What Connection says.
struct ConnectionOptions {
    close: bool,
    upgrade: bool,
    te: bool,
}

impl ConnectionOptions {
    /// Takes in the name of a line, unless the line belongs to the encoder.
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
