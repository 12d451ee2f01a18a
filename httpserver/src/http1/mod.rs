//! HTTP/1.1 on the wire: the codec, what both ends of a connection share, and the server's end.
//!
//! Each uses those before it in this order, and none behind: characters, the grammar of targets and framing, what a head
//! comes to, the parsers, the encoders, the connection, and the server's end of it.

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
mod scan;
