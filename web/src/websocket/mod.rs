//! WebSockets (RFC 6455). Feature `websocket`.
//!
//! [`codec`] turns bytes into messages and messages into bytes, and does no I/O.

pub mod codec;

pub use codec::{CloseCode, CloseFrame, Message};
