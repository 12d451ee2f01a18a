//! HTTP/1.1 on the wire.
//!
//! Each file uses those above it in this order, and none below: characters, the grammar of targets and framing, what a
//! head comes to, the parsers, the encoders, and the server's connection.

pub(crate) mod channel;
pub(crate) mod chunked;
pub(crate) mod connection;
pub(crate) mod encode;
pub(crate) mod encode_request;

mod authority;
mod fast_path;
pub(crate) mod framing;
pub(crate) mod head_parser;
mod header_lines;
pub(crate) mod refusal;
pub(crate) mod request_head;
mod request_headers;
pub(crate) mod request_parser;
pub(crate) mod response_head;
pub(crate) mod response_parser;
mod scan;
pub(crate) mod target;
