use std::{fmt, str};

use super::ProtocolError;

/// Why a connection was closed: a number with a meaning (RFC 6455 7.4 and the IANA registry).
///
/// # Examples
///
/// ```
/// use web::websocket::CloseCode;
///
/// assert_eq!(CloseCode::GOING_AWAY.as_u16(), 1001);
/// assert!(CloseCode::from(4000).is_sendable()); // 4000 to 4999 are free for applications
/// assert!(!CloseCode::ABNORMAL.is_sendable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// A server goes down, or a browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// A message of a kind that this endpoint does not take, such as binary where it wants text.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// Stands for a close frame without a code. Never sent.
    pub const NO_STATUS: CloseCode = CloseCode(1005);
    /// Stands for a connection that broke without a close frame. Never sent.
    pub const ABNORMAL: CloseCode = CloseCode(1006);
    /// A message whose content is malformed, such as text that is not UTF-8.
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// A message that offends a rule of the application, when no other code fits.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// A message that is too big.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);
    /// A client misses an extension in the server's answer. Sent by clients only.
    pub const MISSING_EXTENSION: CloseCode = CloseCode(1010);
    /// A server met a condition that it did not expect.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// The service restarts; the client may connect again after a random delay.
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// The service is overloaded.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// A gateway got an invalid answer from upstream.
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);
    /// Stands for a TLS handshake that failed. Never sent.
    pub const TLS_HANDSHAKE: CloseCode = CloseCode(1015);

    /// The number.
    #[inline]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether it may stand in a close frame: a registered code that is no stand-in, or one of libraries (3000 to 3999) and
    /// applications (4000 to 4999). All others are a protocol error where they are received (RFC 6455 7.4.2).
    #[inline]
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    #[inline]
    fn from(code: u16) -> CloseCode {
        CloseCode(code)
    }
}

impl From<CloseCode> for u16 {
    #[inline]
    fn from(code: CloseCode) -> u16 {
        code.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The content of a close frame that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// Why.
    pub code: CloseCode,
    /// More about it, for logs: at most 123 bytes, and empty more often than not.
    pub reason: String,
}

impl CloseFrame {
    /// The payload of a close frame: nothing, or a code and text (RFC 6455 5.5.1).
    #[inline]
    pub(super) fn parse(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
        if payload.is_empty() {
            return Ok(None);
        }
        let Some((code, reason)) = payload.split_first_chunk() else {
            return Err(ProtocolError::Violation("a close frame with half a code"));
        };
        let code = CloseCode(u16::from_be_bytes(*code));
        if !code.is_sendable() {
            return Err(ProtocolError::Violation("a close frame with a code that is never sent"));
        }
        let reason = str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?.to_owned();
        Ok(Some(CloseFrame { code, reason }))
    }
}
