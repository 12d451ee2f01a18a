//! What a user writes: the calls that one message comes to.

use bytes::Bytes;

use super::HttpConnection;
use crate::{Body, Request, Result};

/// Makes a delegate for each request. Implemented for closures from an [`HttpConnection`] to one.
pub trait HttpServerConnectionDelegate: 'static {
    /// What is told of one request.
    type Message: HttpMessageDelegate;

    /// Called when the head of a request is complete. The answer goes through `connection`: dropped without an answer, the
    /// client gets a 500.
    fn start_request(&self, connection: HttpConnection) -> Self::Message;
}

impl<F, M> HttpServerConnectionDelegate for F
where
    F: Fn(HttpConnection) -> M + 'static,
    M: HttpMessageDelegate,
{
    type Message = M;

    #[inline]
    fn start_request(&self, connection: HttpConnection) -> M {
        self(connection)
    }
}

/// Is told of one request. See the [module](super) for the order of the calls.
pub trait HttpMessageDelegate: 'static {
    /// The head has come. `body` is what the calls below will bring: it may be given a [limit](Body::limit) and
    /// [time-outs](Body::set_timeout) of its own before its first byte is read. What is read of it here is not brought again.
    ///
    /// `request` has no body any more. It can be kept, and dropped; [`Request::cancel_on_disconnect`] and
    /// [`Request::client_gone`] are the ways to notice a client that leaves while its answer is being made.
    ///
    /// # Errors
    ///
    /// An error becomes the answer: its status, if it is the client's fault, and otherwise a 500.
    async fn headers_received(&mut self, request: Request, body: &mut Body) -> Result<()>;

    /// A piece of the body has come: 1 to 65,536 bytes. Drops it by default.
    ///
    /// # Errors
    ///
    /// As [`headers_received`](HttpMessageDelegate::headers_received).
    async fn data_received(&mut self, chunk: Bytes) -> Result<()> {
        let _ = chunk;
        Ok(())
    }

    /// The body is complete. The delegate is dropped when this returns; the answer may still be written by a task that has
    /// the [`HttpConnection`].
    ///
    /// # Errors
    ///
    /// As [`headers_received`](HttpMessageDelegate::headers_received).
    async fn finish(&mut self) -> Result<()>;

    /// It does not come to [`finish`](HttpMessageDelegate::finish). Nothing is called after this.
    fn on_connection_close(&mut self) {}
}
