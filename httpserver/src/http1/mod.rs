//! HTTP/1.1 on the wire: the codec, what both ends of a connection share, and the server's end.

pub(crate) mod chunked;
pub(crate) mod conn;
pub(crate) mod encode;
pub(crate) mod facts;
pub(crate) mod head;
mod scan;
pub(crate) mod server;
pub(crate) mod target;
mod usual;
