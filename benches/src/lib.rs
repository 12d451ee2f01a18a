//! What the measuring programs of Waterspout share.
//!
//! * [`load`] is a small load generator: it drives any HTTP/1.1 server over keep-alive connections, pipelined or not, checks every
//!   answer, and can hold ten thousand connections open.
//! * [`budgets`] starts the programs `raw`, `bench-http` and `bench-web` one beside the other and measures what a request and a
//!   connection cost in each of them.
//! * [`comet`] holds clients that wait, publishes, and counts what arrives.
//! * [`soak`] is a server and all kinds of clients, for as long as one likes.
//! * [`counting_allocator`], [`files`] and [`options`] are what those programs have in common.
//!
//! ```text
//! cargo run --release -p benches --bin budgets             the whole table, as in docs/src/performance.md
//! cargo run --release -p benches --bin budgets -- --check  instruction counts only; fails when over the budget
//! cargo run --release -p benches --bin bench-web -- --port 8080
//! cargo run --release -p benches --bin load -- --url http://127.0.0.1:8080/plaintext --connections 64
//! cargo run --release -p benches --bin comet-load -- websocket --server 127.0.0.1:8080
//! cargo run --release -p benches --bin soak                ten minutes of hostile clients, and what is left of them
//! cargo bench -p benches --bench ioloop                    one layer by itself, with criterion
//! ```
//!
//! The load generator and the yardstick use nix alone and none of the layers, so that a mistake in a layer cannot hide itself.

pub mod budgets;
pub mod comet;
pub mod counting_allocator;
pub mod files;
pub mod gate;
pub mod load;
pub mod message;
pub mod options;
pub mod process;
pub mod soak;
