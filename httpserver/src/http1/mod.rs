//! HTTP/1.1 on the wire.
//!
//! The files lie in layers, and each uses those in front of its own alone:
//!
//! 1. characters and reasons: `scan`, `refusal`
//! 2. grammar: `authority`, `target`, `framing`, `chunked`
//! 3. what a head comes to: `request_head`, `response_head`
//! 4. collectors that the parsers fill: `request_headers`, `header_lines`
//! 5. parsers: `fast_path`, `request_parser`, `response_parser`, and `head_parser`, which repeats them
//! 6. encoders: `encode`, `encode_request`
//! 7. the server's side of a connection: `channel`, `connection`

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
