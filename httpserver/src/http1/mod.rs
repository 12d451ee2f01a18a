//! HTTP/1.1 on the wire: the codec, what both ends of a connection share, and the server's end.
//!
//! The files lie in layers, and each uses those in front of its own alone:
//!
//! 1. characters and reasons: `scan`, `refusal`
//! 2. grammar: `authority`, `target`, `framing`, `chunked`
//! 3. what a head comes to: `request_head` with `request_method`, `response_head`
//! 4. collectors that the parsers fill: `request_headers`, `header_lines`
//! 5. parsers: `fast_path`, `request_parser`, `response_parser`, and `head_parser`, which repeats them
//! 6. encoders: `encode`, `encode_request`
//! 7. `conn`: what both ends of a connection share
//! 8. `server`: the server's end
//!
//! A request passes through them once. `conn` receives the bytes, `head_parser` finds the head and `request_parser`
//! judges it, `framing` says where the body ends, `chunked` takes chunks apart as the service reads, and `encode`
//! writes the answer, which `conn` sends. `server` calls each of them in turn; its front page has the order.
//!
//! The codec (1 to 6) does no I/O: it works on slices and appends to vectors. So the same code serves connections,
//! built requests, the benches and the fuzz targets.

pub(crate) mod chunked;
pub(crate) mod conn;
pub(crate) mod encode;
pub(crate) mod encode_request;
pub(crate) mod framing;
pub(crate) mod head_parser;
pub(crate) mod refusal;
pub(crate) mod request_head;
pub(crate) mod request_parser;
pub(crate) mod response_head;
pub(crate) mod response_parser;
pub(crate) mod server;
pub(crate) mod target;

mod authority;
mod fast_path;
mod header_lines;
mod request_headers;
mod request_method;
mod scan;
