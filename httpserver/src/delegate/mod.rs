//! Requests as a series of calls, as Tornado's `HTTPServerConnectionDelegate` and `HTTPMessageDelegate` have it.
//!
//! A [`Service`](crate::Service) is one function from a request to an answer, and reads the body when it likes. A delegate is
//! told instead: the head has come, a piece of the body has come, the end has come. That suits code that passes messages on
//! as they come, and code that is moved here from Tornado. Both run on the same engine.
//!
//! # The order of calls
//!
//! 1. [`start_request`](HttpServerConnectionDelegate::start_request), when a head is complete. Tornado calls it before the
//!    first byte; here a connection that waits for a request has no delegate, and takes no memory for one.
//! 2. [`headers_received`](HttpMessageDelegate::headers_received), once.
//! 3. [`data_received`](HttpMessageDelegate::data_received), for each piece of the body. The next piece is received when
//!    the call has returned: that is the back-pressure. Not called any more once the answer is finished.
//! 4. Exactly one of [`finish`](HttpMessageDelegate::finish), at the end of the body, and
//!    [`on_connection_close`](HttpMessageDelegate::on_connection_close), when it does not come to that: the client has
//!    left, the body is malformed, too long or too slow, one of the calls above has failed or panicked, or the answer was
//!    finished before the body.
//!
//! # The answer
//!
//! A delegate owns the [`HttpConnection`] that it was started with, and may answer at any time, from any of the calls or
//! from a task of its own later on: [`write_headers`](HttpConnection::write_headers) once,
//! [`write`](HttpConnection::write) as often as it likes, [`finish`](HttpConnection::finish) once. An error that a call
//! returns is the answer, if none has begun; otherwise the connection ends, so that the client sees the answer to be
//! incomplete.
//!
//! # Examples
//!
//! Counts what it is sent:
//!
//! ```
//! use httpserver::{
//!     Body, Bytes, HttpServer, IOLoop, IOStream, Request, Response, Result,
//!     delegate::{DelegateService, HttpConnection, HttpMessageDelegate},
//! };
//!
//! struct Count {
//!     connection: HttpConnection,
//!     length: usize,
//! }
//!
//! impl HttpMessageDelegate for Count {
//!     async fn headers_received(&mut self, _request: Request, _body: &mut Body) -> Result<()> {
//!         Ok(())
//!     }
//!
//!     async fn data_received(&mut self, chunk: Bytes) -> Result<()> {
//!         self.length += chunk.len();
//!         Ok(())
//!     }
//!
//!     async fn finish(&mut self) -> Result<()> {
//!         self.connection.write_headers(Response::text(format!("{} bytes\n", self.length)))
//!     }
//! }
//!
//! let server = HttpServer::new(DelegateService::new(|connection| Count { connection, length: 0 }));
//! let addr = server.listen(("127.0.0.1", 0))?.local_addr();
//! let answer = IOLoop::current().run_sync(async {
//!     let client = IOStream::connect(addr).await?;
//!     client.write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello").await?;
//!     client.read_until_close().await
//! })?;
//! assert!(answer.ends_with(b"\r\n\r\n5 bytes\n"));
//! # Ok::<_, httpserver::Error>(())
//! ```

mod connection;
mod message;
mod service;

pub use self::{
    connection::HttpConnection,
    message::{HttpMessageDelegate, HttpServerConnectionDelegate},
    service::DelegateService,
};
