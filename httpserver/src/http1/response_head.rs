//! What a response's head comes to.

use http::{Method, StatusCode, Version};

use super::framing::BodyFraming;
use crate::{Headers, span::Span};

/// The head of one response, as a client reads it.
///
/// Owns one allocation, as a request's head does.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status, 100 to 999.
    pub status: StatusCode,
    /// `HTTP_11` or `HTTP_10`; a higher minor version counts as 1.1 (RFC 9110 2.5).
    pub version: Version,
    /// The header lines.
    pub headers: Headers,
    /// How the end of the body is found.
    pub body: ResponseFraming,
    /// Whether the connection can be used again behind the body: the server lets it be kept, and the end of the body is
    /// found without closing it.
    pub keep_alive: bool,
    pub(super) reason: Span,
}

/// How the end of a response's body is found (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// As a request's. No body is what the answer to HEAD has, 1xx, 204 and 304, whatever their headers say about the
    /// length.
    Body(BodyFraming),
    /// Neither Content-Length nor chunks: the body ends where the connection does.
    UntilClose,
    /// What follows is not HTTP: a 101, or a 2xx to CONNECT (RFC 9110 9.3.6).
    Tunnel,
}

impl ResponseHead {
    /// The reason phrase as sent, which may be empty and is of no consequence (RFC 9112 4).
    pub fn reason(&self) -> &[u8] {
        &self.headers.text()[self.reason.range()]
    }

    /// Whether another response to the same request follows: 1xx, but for 101.
    pub fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

impl ResponseFraming {
    /// What status and method say about the body, whatever the header lines are; `None` if it is for those to say.
    pub(super) fn by_status(status: StatusCode, method: &Method) -> Option<ResponseFraming> {
        match status.as_u16() {
            101 => Some(ResponseFraming::Tunnel),
            // A client has to ignore Content-Length and Transfer-Encoding there.
            200..=299 if *method == Method::CONNECT => Some(ResponseFraming::Tunnel),
            100..=199 | 204 | 304 => Some(ResponseFraming::Body(BodyFraming::None)),
            _ if *method == Method::HEAD => Some(ResponseFraming::Body(BodyFraming::None)),
            _ => None,
        }
    }
}
