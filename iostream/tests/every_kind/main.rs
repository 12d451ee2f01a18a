//! What every kind of stream does: TCP, Unix sockets, pipes, memory, custom transports, and TLS over them.

#[path = "../common/mod.rs"]
mod common;
mod ends;
mod limits;
mod reads;
mod servers;
mod timeouts;
mod writes;
