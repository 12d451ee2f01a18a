//! What a request's head comes to.

use http::{Method, Version};

use super::{
    conn::Flag,
    framing::{BodyFraming, FramingKind},
    request_method::RequestMethod,
    target::{Target, TargetForm},
};
use crate::{Headers, span::Span};

/// The head of one request.
///
/// Owns one allocation: a copy of the head as it came, with the positions of the header lines behind it.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method, if it is [`RequestMethod::Other`]. Beside it and not within, because that is one byte then. First, because it
    /// is dropped first: behind the headers the destructor would have to keep where it is.
    pub(super) other_method: Option<Box<Method>>,
    /// `HTTP_11` or `HTTP_10`; a higher minor version counts as 1.1 (RFC 9110 2.5).
    pub version: Version,
    /// The header lines.
    pub headers: Headers,
    /// Whether the client lets the connection be kept.
    pub keep_alive: bool,
    /// What the client wants to hear before it sends the body.
    pub expect: Expect,
    /// Whether the client asks for another protocol: an Upgrade line, `Connection: upgrade`, and HTTP/1.1.
    pub upgrade: bool,
    pub(super) framing: FramingKind,
    /// Of the body, if that is [`FramingKind::Length`].
    pub(super) length: u64,
    pub(super) method: RequestMethod,
    /// The target taken apart. Only `target` makes one, so its parts lie within the text.
    pub(super) target: Target,
    /// The authority of the target if it has one, else the Host line; empty without either (HTTP/1.0).
    pub(super) host: Span,
}

/// The Expect header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Absent, or `100-continue` in HTTP/1.0, where it has to be ignored (RFC 9110 10.1.1).
    None,
    /// `100-continue`.
    Continue,
    /// Anything else: to be answered 417.
    Other,
}

impl RequestHead {
    /// The method, of any name.
    #[inline]
    pub fn method(&self) -> &Method {
        self.method.get(self.other_method.as_deref())
    }

    /// What the method says to the connection.
    #[inline(always)]
    pub(super) fn method_flags(&self) -> Flag {
        Flag::of_method(self.method)
    }

    /// Whether the method is CONNECT, at the cost of a comparison.
    #[inline]
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self.method, RequestMethod::Connect)
    }

    /// Whether a body is announced, which may be empty.
    #[inline]
    pub(super) fn has_body(&self) -> bool {
        self.framing != FramingKind::None
    }

    /// How the body is framed.
    #[inline]
    pub fn body(&self) -> BodyFraming {
        match self.framing {
            FramingKind::None => BodyFraming::None,
            FramingKind::Length => BodyFraming::Length(self.length),
            FramingKind::Chunked => BodyFraming::Chunked,
        }
    }

    /// The target as sent.
    pub fn target(&self) -> &str {
        self.text(self.target.whole)
    }

    /// Which of the four forms the target has.
    pub fn form(&self) -> TargetForm {
        self.target.form
    }

    /// The path of the target, percent-encoded as sent; `*` for the asterisk form, empty for CONNECT.
    pub fn path(&self) -> &str {
        ascii(self.path_bytes())
    }

    /// [`path`](RequestHead::path) as bytes.
    #[inline]
    pub fn path_bytes(&self) -> &[u8] {
        match self.bytes(self.target.path) {
            b"" => self.path_of_no_bytes(),
            path => path,
        }
    }

    /// `http://host` without a path means the root, but for OPTIONS the server itself (RFC 9112 3.2.4).
    #[cold]
    fn path_of_no_bytes(&self) -> &'static [u8] {
        match self.target.form {
            TargetForm::Absolute if *self.method() == Method::OPTIONS && self.target.query().is_none() => b"*",
            TargetForm::Absolute => b"/",
            _ => b"",
        }
    }

    /// What follows the `?` of the target, not decoded. `Some("")` for a question mark with nothing behind it.
    pub fn query(&self) -> Option<&str> {
        self.target.query().map(|span| self.text(span))
    }

    /// [`query`](RequestHead::query) as bytes; empty when there is none.
    #[inline]
    pub(crate) fn query_bytes(&self) -> &[u8] {
        self.target.query().map_or(&[], |span| self.bytes(span))
    }

    /// The authority of the target if it has one, else the value of Host. Never empty.
    pub fn host(&self) -> Option<&str> {
        (!self.host.is_empty()).then(|| self.text(self.host))
    }

    /// A part of the target, or the host.
    fn text(&self, span: Span) -> &str {
        ascii(self.bytes(span))
    }

    #[inline]
    fn bytes(&self, span: Span) -> &[u8] {
        &self.headers.text()[span.range()]
    }
}

/// A part of the target: only ASCII passes the checks of `target`, so the default is never taken.
fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_small() {
        let size = size_of::<RequestHead>();
        assert!(size <= 64, "{size} bytes");
    }
}
