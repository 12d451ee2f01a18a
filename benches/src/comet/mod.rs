//! A load tool for servers that push: it holds long polls, event streams or WebSockets, publishes, and counts what arrives.
//!
//! [`run`] starts worker processes, each with so many clients that its descriptors suffice, waits until all clients are there,
//! publishes numbered messages over HTTP, and asks the workers what became of them. Every client has to see every message
//! once and in order: [`Tally`] counts those that are lost, doubled or late, and how long each took.
//!
//! The server has to take `POST` of a message, and to deliver it as it is, in whatever it wraps around it. A message is JSON:
//! `{"n":17,"at":123456789,"pad":"xxx"}`, with its number and the time when it was sent. Where the server tells a cursor, as
//! `"cursor":"..."` or as the id of an event, the client returns it when it comes back: as the argument `cursor`, or as
//! `Last-Event-ID`.
//!
//! The tool uses nix and none of the layers, so that a mistake in a layer cannot hide itself.

mod client;
mod coordinator;
mod crowd;
mod dial;
mod histogram;
mod message;
mod options;
mod publisher;
mod report;
mod seen;
mod tally;
mod wire;
mod worker;

pub use coordinator::run;
pub use crowd::Crowd;
pub use histogram::Histogram;
pub use options::{Kind, Options};
pub use report::Report;
pub use tally::Tally;
pub use worker::work;
