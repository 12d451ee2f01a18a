//! Requests to other servers, over a stream that is connected already. Feature `client`.
//!
//! [`Connection`] is one end of one HTTP/1.1 connection: it sends a [`Request`](crate::Request), and returns a
//! [`ClientResponse`] when the head has come. Both bodies are streams with back-pressure, and the rest of the request goes
//! on being sent while the response is read. The connection is kept for the next request where both ends allow it.
//!
//! It is made for proxies, tests and as the base of a client. It opens no connections, keeps no pool, follows no redirects,
//! stores no cookies and decompresses nothing. [`IOStream::connect`](crate::IOStream::connect) and
//! [`TcpClient`](crate::iostream::TcpClient), with TLS if wanted, make the streams.
//!
//! # Strictness
//!
//! Responses are parsed by the same rules as requests: see [`Error::BadResponse`](crate::Error::BadResponse). A response that
//! two programs could read differently is refused, the connection ends, and so does one on which bytes arrive that no
//! request asked for.
//!
//! # Examples
//!
//! A client and its server on one loop:
//!
//! ```
//! use httpserver::{HttpServer, IOLoop, IOStream, Method, Request, client::Connection};
//!
//! let server = HttpServer::new(async |mut request: Request| request.bytes().await).listen(("127.0.0.1", 0))?;
//! let text = IOLoop::current().run_sync(async {
//!     let mut connection = Connection::new(IOStream::connect(server.local_addr()).await?);
//!     let request = Request::builder().method(Method::POST).target("/echo").body("hello").build()?;
//!     let mut response = connection.send(request).await?;
//!     assert_eq!(response.status(), 200);
//!     response.body_mut().bytes(1000).await
//! })?;
//! assert_eq!(text, "hello");
//! # Ok::<_, httpserver::Error>(())
//! ```

mod conn;
mod connection;
mod response;
mod upload;

pub use connection::Connection;
pub use response::ClientResponse;
