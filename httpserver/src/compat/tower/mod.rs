//! Services of [tower](https://docs.rs/tower), and so whole applications of axum, on our server. With the feature `tower`.
//!
//! [`TowerService`] turns a `tower::Service` into a [`Service`](crate::Service) of this crate. It runs on the loop's thread,
//! inside the connection's own task, and need not be `Send`.
//!
//! The request's body is given as a [`RequestBody`], which is `Send`, because frameworks ask for that. It may be read on
//! another thread. The client's bytes cross to it through a channel that holds one piece: reading begins when the service
//! first asks for some, so a client that waits for `100 Continue` is not told to go on before, and a reader that is slow
//! slows its client down.
//!
//! # What is not there
//!
//! A service that needs tokio's timers, sockets or tasks needs a runtime of tokio beside the loop: keep one with a thread of
//! its own, and its `enter` guard on the loop's thread. Upgrades (WebSocket) by hyper's `OnUpgrade` do not work; use
//! [`Request::upgrade`](crate::Request::upgrade) for those.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, extract::Path, routing::get};
//! use httpserver::{HttpServer, IOLoop, Request, Service, tower::TowerService};
//!
//! async fn hello(Path(name): Path<String>) -> String {
//!     format!("Hello, {name}\n")
//! }
//!
//! let service = TowerService::new(Router::new().route("/hello/{name}", get(hello)));
//!
//! // `HttpServer::new(service).listen(("127.0.0.1", 8888))?` would serve it. This asks it without a socket.
//! let request = Request::builder().target("/hello/axum").build()?;
//! let response = IOLoop::current().run_sync(async {
//!     service.call(request).await.body_mut().bytes(100).await
//! })?;
//! assert_eq!(response, "Hello, axum\n");
//! # Ok::<_, httpserver::Error>(())
//! ```

mod request_body;
mod service;

pub use self::{request_body::RequestBody, service::TowerService};
