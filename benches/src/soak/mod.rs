//! A server that lives through good, slow, broken and hostile clients, and has nothing left of them afterwards.
//!
//! `server` is the process that is watched, `clients` are those that it serves, `state` is what is read of the process
//! before and behind.

pub mod clients;
pub mod server;
pub mod state;
