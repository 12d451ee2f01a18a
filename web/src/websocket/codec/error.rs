use std::{error::Error, fmt};

use super::CloseCode;

/// What a peer did that ends the connection. [`close_code`](ProtocolError::close_code) is what it has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame that the protocol forbids, for the reason given. 1002.
    Violation(&'static str),
    /// Text or the reason of a close frame that is not UTF-8. 1007.
    InvalidUtf8,
    /// A compressed message that does not decompress. 1007.
    InvalidCompression,
    /// A message, as sent or decompressed, of more than the limit. 1009.
    MessageTooBig {
        /// The limit in bytes.
        limit: usize,
    },
}

impl ProtocolError {
    /// The code for the close frame that ends the connection (RFC 6455 7.1.7).
    #[inline]
    pub fn close_code(self) -> CloseCode {
        match self {
            ProtocolError::Violation(_) => CloseCode::PROTOCOL_ERROR,
            ProtocolError::InvalidUtf8 | ProtocolError::InvalidCompression => CloseCode::INVALID_DATA,
            ProtocolError::MessageTooBig { .. } => CloseCode::MESSAGE_TOO_BIG,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::Violation(what) => f.write_str(what),
            ProtocolError::InvalidUtf8 => f.write_str("the text is not UTF-8"),
            ProtocolError::InvalidCompression => f.write_str("the compressed message is malformed"),
            ProtocolError::MessageTooBig { limit } => write!(f, "the message has more than {limit} bytes"),
        }
    }
}

impl Error for ProtocolError {}

/// A control frame that cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The payload of a ping or pong has more than 125 bytes, or the reason of a close frame more than 123.
    ControlTooLong {
        /// How many bytes it has.
        length: usize,
    },
    /// A code that may not stand in a close frame. See [`CloseCode::is_sendable`].
    InvalidCloseCode(CloseCode),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::ControlTooLong { length } => write!(f, "{length} bytes do not fit into a control frame"),
            EncodeError::InvalidCloseCode(code) => write!(f, "the close code {code} is never sent"),
        }
    }
}

impl Error for EncodeError {}
