//! The bodies the server programs answer with.

use serde::{Deserialize, Serialize};

/// The text of `GET /plaintext` and the message of `GET /json`.
pub const HELLO: &str = "Hello, World!";

/// The largest body `POST /echo` takes.
pub const ECHO_LIMIT: usize = 16 << 20;

/// The answer to `GET /json`, serialised for each request.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Message {
    /// What to say.
    pub message: &'static str,
}

/// The answer to `GET /allocations`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Allocations {
    /// Allocations and reallocations so far.
    pub allocations: u64,
    /// Bytes allocated and not yet freed.
    pub live_bytes: i64,
}

/// The answer to `GET /sizes`, in bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sizes {
    /// The future that serves one connection, the service's own future inside it.
    pub connection_future: usize,
}
