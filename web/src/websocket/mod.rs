//! WebSockets (RFC 6455). Feature `websocket`.
//!
//! A handler becomes a WebSocket by [`Exchange::websocket`](crate::Exchange::websocket), and goes on with the
//! [`WebSocket`] that this returns. [`WebSocketHandler`] is the same in Tornado's manner, with a method for each thing that
//! may happen. Both stand on one engine, which answers pings, sends its own, closes in order, and keeps slow peers from
//! filling the memory. [`codec`] turns bytes into messages and messages into bytes, and does no I/O.
//!
//! # What a connection costs
//!
//! A WebSocket that waits has one task and no buffers. What it holds beside that is up to how it was begun:
//!
//! | begun by | keeps |
//! |---|---|
//! | [`WebSocketHandler`], [`Exchange::upgrade_websocket`](crate::Exchange::upgrade_websocket) | what the handler keeps |
//! | [`Exchange::websocket`](crate::Exchange::websocket) | the exchange too, with the request and its headers: some 900 bytes more |
//!
//! # Security
//!
//! A WebSocket is opened with the user's cookies by whatever page the user visits, so the page's origin is checked: see
//! [`WebSocketOptions::allow_origin`]. Whether a client may connect at all is decided before the handshake, like any other
//! request: in a wrap, in [`WebSocketHandler::prepare`], or in the handler before it calls `websocket`.

pub mod codec;

mod agreement;
mod client;
mod core;
mod exchange;
mod handler;
mod handshake;
mod options;
mod prepared;
mod sender;
mod socket;
mod upgrade;
mod url;

#[cfg(feature = "deflate")]
pub use self::codec::DeflateOptions;
pub use self::{
    client::{Connect, connect},
    codec::{CloseCode, CloseFrame, Message},
    handler::WebSocketHandler,
    options::{SlowReader, WebSocketOptions},
    prepared::PreparedMessage,
    sender::{Send, WebSocketSender},
    socket::{Receive, WebSocket},
};
pub(crate) use self::{handler::Upgrading, upgrade::Slot};
