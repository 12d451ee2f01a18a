//! WebSockets over pairs in memory, on a virtual clock where time matters, and over a few real sockets.

mod clients;
mod closing;
mod compressed;
mod handlers;
mod handshake;
mod heartbeat;
mod messages;
mod real_sockets;
mod slow_readers;
mod splits;
mod support;
