//! A load generator on one thread: epoll through nix, nothing of the layers it measures.
//!
//! A [`Session`] holds keep-alive connections to one server and sends [`Request`]s over them, as many at a time per connection
//! as its depth says; [`reconnect`] makes a connection per request. Every answer is checked: its status, its length, and the
//! body of an echo. An [`EchoSession`] does the same over WebSockets. [`Session::send_and_hold`] leaves requests unanswered,
//! for servers that park them.
//!
//! ```no_run
//! use benches::load::{Request, Session, Stop};
//!
//! let server = "127.0.0.1:8080".parse().unwrap();
//! let mut session = Session::open(server, 64, 1, Request::get("/plaintext"))?;
//! println!("{}", session.run(Stop::after_requests(100_000))?);
//! # Ok::<(), std::io::Error>(())
//! ```

mod answer;
mod echo;
mod reconnect;
mod request;
mod session;
mod totals;

pub use echo::EchoSession;
pub use reconnect::{fetch, reconnect};
pub use request::Request;
pub use session::Session;
pub use totals::{Stop, Totals};
