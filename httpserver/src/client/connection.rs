use std::{fmt, future::poll_fn, rc::Rc, time::Duration};

use iostream::IOStream;

use super::{ClientResponse, conn::ClientConn};
use crate::{Error, Limits, Request, Result};

/// A client's end of one HTTP/1.1 connection, for one request after the other.
///
/// # Limits
///
/// These [`Limits`] apply, with their defaults but for one:
///
/// | limit | of a response | otherwise |
/// |---|---|---|
/// | `max_head`, `max_headers` | the head | [`Error::BadResponse`] |
/// | `max_body` | the body, which may be read as a stream | [`Error::BadResponse`] |
/// | `header_timeout` | from the end of the request to the end of the head; **60 s** by default | [`Error::ServerTimeout`] |
/// | `body_timeout`, `min_body_rate`, `rate_grace`, `request_timeout` | the body, while it is waited for | [`Error::ServerTimeout`] |
/// | `write_timeout`, `min_write_rate` | how slowly the server takes the request | [`Error::ServerTimeout`] |
///
/// At most 16 interim responses (1xx) may come, and are passed over. To limit a whole exchange, put
/// [`timeout`](crate::timeout) around it.
pub struct Connection {
    conn: Rc<ClientConn>,
}

/// How long a server may take for the head of a response: it may have to work for it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

impl Connection {
    /// A connection over a stream on which nothing has been sent.
    #[inline]
    pub fn new(stream: IOStream) -> Connection {
        Connection::with_limits(stream, Limits::default().header_timeout(HEAD_TIMEOUT))
    }

    /// [`new`](Connection::new) with other limits.
    #[inline]
    pub fn with_limits(stream: IOStream, limits: Limits) -> Connection {
        Connection { conn: Rc::new(ClientConn::new(stream, limits)) }
    }

    /// Sends a request and returns its response as soon as the head has come. The rest of the request's body goes on being
    /// sent while the response's body is read.
    ///
    /// The request is sent as it is, but for the lines about its own connection, which are made anew (RFC 9110 7.6.1): a proxy
    /// can pass on what it has received. An `Upgrade` goes along if `Connection` names it, and a `TE` that is `trailers` alone,
    /// since nothing else could be read here. Its target should be the path, or a whole URL if the server is a proxy. The body
    /// is sent with its length if that is known, and in chunks otherwise; trailers follow chunks. With
    /// `Expect: 100-continue` it waits until the server wants it, at most for a second.
    ///
    /// When a server answers before it has all of the request, sending goes on, unless the answer is an error that
    /// ends the connection. A response that has come to its end breaks off what is left of the request, and the connection.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyTaken`] when the connection cannot be used again: see [`is_reusable`](Connection::is_reusable).
    /// [`Error::InvalidHeader`] when the request cannot be sent; the connection can be used all the same.
    ///
    /// Otherwise the connection is closed. The error is one of the request's own body; or [`Error::BadResponse`] for a response
    /// that is malformed, ambiguous or too large, [`Error::ServerTimeout`], or [`Error::Stream`] when the connection ends or
    /// breaks. A kept connection may have been closed by the server at the very moment when the request was sent: a request
    /// that may be repeated can be sent again on another one (RFC 9112 9.3.1).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped future closes the connection.
    pub async fn send(&mut self, request: Request) -> Result<ClientResponse> {
        if !self.conn.is_reusable() {
            return Err(Error::AlreadyTaken("the connection to the server"));
        }
        let guard = CloseOnDrop(&self.conn);
        poll_fn(|cx| std::task::Poll::Ready(self.conn.check_silence(cx))).await?;
        let mut wait = match self.conn.begin(request) {
            Ok(wait) => wait,
            Err(error) => {
                guard.disarm();
                return Err(error);
            }
        };
        let response = poll_fn(|cx| self.conn.poll_response(cx, &mut wait)).await?;
        guard.disarm();
        Ok(response)
    }

    /// Whether another request can be sent: the response before has been read to its end, both ends have let the connection be
    /// kept, and the server is not known to have closed it.
    #[inline]
    pub fn is_reusable(&self) -> bool {
        self.conn.is_reusable()
    }

    /// Closes the connection. A response that is being read ends with an error.
    #[inline]
    pub fn close(&self) {
        self.conn.close();
    }

    /// The stream below: for its addresses, for example. Whoever reads from it or writes to it breaks the connection.
    #[inline]
    pub fn stream(&self) -> &IOStream {
        self.conn.stream()
    }
}

/// Closes the connection unless the exchange came to a response.
struct CloseOnDrop<'c>(&'c Rc<ClientConn>);

impl CloseOnDrop<'_> {
    #[inline]
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for CloseOnDrop<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Connection {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("reusable", &self.is_reusable()).finish_non_exhaustive()
    }
}
