//! HTTP/1.1 on the wire.

pub(crate) mod channel;
pub(crate) mod chunked;
pub(crate) mod connection;
pub(crate) mod encode;
pub(crate) mod facts;
pub(crate) mod head;
mod scan;
pub(crate) mod target;
mod usual;
