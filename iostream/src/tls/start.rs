//! The beginning of TLS on a stream.

use std::{
    fmt,
    future::Future,
    io, mem,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::{ClientConnection, Connection, ServerConnection, pki_types::ServerName};

use super::{TlsAcceptor, TlsConnector, TlsInfo};
use crate::{
    Error, IOStream, Result,
    iostream::Inner,
    marks::Mark,
    transport::{Tls, Transport},
};

impl IOStream {
    /// Begins TLS as the server, at once. The future is done when the handshake is.
    ///
    /// The stream becomes one with TLS, with all its handles; nothing is sent or received in plaintext any more. For a
    /// protocol that begins with TLS, call it first. For one that changes over in the middle (STARTTLS), call it when the
    /// answer that allows it has been sent: await its write.
    ///
    /// Bytes that are buffered were sent before the handshake. They are taken as its beginning and never read as
    /// plaintext, so commands that somebody has injected there make the handshake fail. What a PROXY header was read from
    /// is allowed to have the handshake behind it.
    ///
    /// Dropping the future leaves the handshake to the reads and writes that follow, which wait for it. It has 10 s; see
    /// [`TlsAcceptor::handshake_timeout`].
    ///
    /// # Errors
    ///
    /// All of them come from the future. [`Error::NotIdle`] when a read is pending or a write has not left, with nothing
    /// changed. When the handshake fails, the stream is closed: [`Error::Tls`] when the peer has rejected us, is rejected,
    /// or speaks no TLS; [`Error::Closed`] when it has gone or took too long, for which [`Error::is_timed_out`] holds.
    ///
    /// # Examples
    ///
    /// A server that offers TLS and goes on in plaintext without:
    ///
    /// ```
    /// use iostream::{IOStream, tls::TlsAcceptor};
    ///
    /// async fn greet(stream: IOStream, tls: &TlsAcceptor) -> iostream::Result<()> {
    ///     let mut line = stream.read_until(b"\r\n").max_bytes(512).await?;
    ///     if line == "STARTTLS\r\n" {
    ///         stream.write("220 ready\r\n").await?;
    ///         stream.start_tls_server(tls).await?;
    ///         line = stream.read_until(b"\r\n").max_bytes(512).await?;
    ///     }
    ///     stream.write([b"you said ", &line[..]].concat()).await
    /// }
    /// ```
    pub fn start_tls_server(&self, acceptor: &TlsAcceptor) -> HandshakeFuture {
        let conn = ServerConnection::new(Arc::clone(acceptor.config()));
        self.start_tls(conn.map(Connection::Server).map_err(Error::tls), acceptor.timeout())
    }

    /// Begins TLS as the client, at once. The future is done when the handshake is: the server has proved to be
    /// `server_name`, a DNS name or an IP address.
    ///
    /// The stream becomes one with TLS, with all its handles. Dropping the future leaves the handshake to the reads and
    /// writes that follow, which wait for it. It has 10 s; see [`TlsConnector::handshake_timeout`].
    ///
    /// With TLS 1.3 a client is done before the server has looked at its certificate. A server that demands another one
    /// says so in the first read.
    ///
    /// # Errors
    ///
    /// As [`start_tls_server`](IOStream::start_tls_server). Besides, [`Error::NotIdle`] when received bytes are unread: the
    /// server could not have sent them as a part of the handshake, and they must not pass for an answer under TLS.
    /// [`Error::Tls`] when `server_name` can be none.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use iostream::{IOStream, tls::TlsConnector};
    ///
    /// # #[cfg(feature = "tls-ring")]
    /// # async fn example() -> iostream::Result<()> {
    /// let tls = TlsConnector::ring().system_roots()?.build()?;
    /// let stream = IOStream::connect("192.0.2.1:443".parse().expect("an address")).await?;
    /// stream.start_tls_client(&tls, "example.org").await?;
    /// stream.write("GET / HTTP/1.0\r\nHost: example.org\r\n\r\n").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_tls_client(&self, connector: &TlsConnector, server_name: &str) -> HandshakeFuture {
        let conn = client(connector, server_name);
        let conn = if self.buffered() > 0 && !self.is_closed() {
            Err(Error::NotIdle { reason: "bytes that came in plaintext are unread" })
        } else {
            conn
        };
        self.start_tls(conn, connector.timeout())
    }

    /// Waits for the handshake that [`start_tls_server`](IOStream::start_tls_server) or
    /// [`start_tls_client`](IOStream::start_tls_client) has begun. Done at once when it is over. Any number of tasks may wait.
    ///
    /// # Errors
    ///
    /// As [`start_tls_server`](IOStream::start_tls_server). [`Error::Io`] (`Unsupported`) when the stream has no TLS.
    pub fn wait_for_handshake(&self) -> HandshakeFuture {
        HandshakeFuture(State::Waiting(self.clone()))
    }

    /// What was negotiated. `None` when the stream has no TLS, its handshake is not over, or it is closed.
    ///
    /// Copies names and certificates: ask once for each connection.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.inner.transport.borrow().tls()?.with_connection(TlsInfo::new)?
    }

    /// Whether the stream speaks TLS, its handshake included. A stream that is closed does not.
    pub fn is_tls(&self) -> bool {
        self.inner.transport.borrow().tls().is_some()
    }

    fn start_tls(&self, conn: Result<Connection>, timeout: Duration) -> HandshakeFuture {
        match conn.and_then(|conn| self.inner.start_tls(conn, timeout)) {
            Ok(()) => self.wait_for_handshake(),
            Err(error) => HandshakeFuture(State::Failed(error)),
        }
    }
}

fn client(connector: &TlsConnector, server_name: &str) -> Result<Connection> {
    let name = ServerName::try_from(server_name).map_err(|_| {
        let text = format!("{server_name:?} is neither a DNS name nor an IP address");
        Error::tls(io::Error::new(io::ErrorKind::InvalidInput, text))
    })?;
    let conn = ClientConnection::new(Arc::clone(connector.config()), name.to_owned());
    conn.map(Connection::Client).map_err(Error::tls)
}

/// The future of a handshake.
#[must_use = "await it for its errors, or drop it explicitly: the handshake goes on with the next read or write"]
pub struct HandshakeFuture(State);

enum State {
    Waiting(IOStream),
    Failed(Error),
}

impl Future for HandshakeFuture {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &self.0 {
            State::Waiting(stream) => stream.inner.poll_handshake(cx),
            State::Failed(error) => Poll::Ready(Err(error.clone())),
        }
    }
}

impl fmt::Debug for HandshakeFuture {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Waiting(_) => f.write_str("HandshakeFuture(waiting)"),
            State::Failed(error) => f.debug_tuple("HandshakeFuture").field(error).finish(),
        }
    }
}

impl Inner {
    /// Puts a session between the stream and its transport.
    fn start_tls(self: &Rc<Self>, conn: Connection, timeout: Duration) -> Result<()> {
        if self.is_closed() {
            return Err(self.closed_error());
        }
        if let Some(reason) = self.is_busy() {
            return Err(Error::NotIdle { reason });
        }
        if self.transport.borrow().is_one_way() {
            return Err(unsupported("TLS needs both directions, and the end of a pipe has one"));
        }
        let ioloop = self.ioloop().ok_or_else(|| self.closed_error())?;
        let stream = Rc::downgrade(self);
        let timer = ioloop.call_later(timeout, move || {
            if let Some(stream) = stream.upgrade() {
                stream.give_handshake_up(timeout);
            }
        });
        // What has come is the beginning of the handshake, or makes it fail.
        let received = mem::take(&mut *self.held.borrow_mut()).as_slice().to_vec();
        let carrier = self.transport.replace(Transport::Closed);
        let tls = Tls::new(ioloop, carrier, conn, received, timer);
        self.transport.replace(Transport::Other(Box::new(tls)));
        Ok(())
    }

    /// Why TLS cannot begin now.
    fn is_busy(&self) -> Option<&'static str> {
        match () {
            () if self.claimed.get() || self.parsing.get() => Some("a read is pending"),
            () if self.queue.borrow().as_ref().is_some_and(|queue| !queue.is_empty()) => {
                Some("not all that was written has been sent")
            }
            () if self.marks.has(Mark::WRITE_ENDED) => Some("its writing half has been shut down"),
            () if self.transport.try_borrow_mut().is_err() => Some("the call comes from within an operation of it"),
            () => None,
        }
    }

    fn poll_handshake(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let transport = self.transport.borrow();
        let result = match transport.tls() {
            Some(tls) => ready!(tls.poll_handshake(cx)),
            None if matches!(*transport, Transport::Closed) => {
                return Poll::Ready(Err(as_handshake_error(self.closed_error())));
            }
            None => return Poll::Ready(Err(unsupported("the stream has no TLS"))),
        };
        drop(transport);
        Poll::Ready(result.map_err(|error| as_handshake_error(self.fail(error))))
    }

    fn give_handshake_up(self: &Rc<Self>, timeout: Duration) {
        let text = format!("the TLS handshake has taken more than {timeout:?}");
        self.close(Some(Arc::new(io::Error::new(io::ErrorKind::TimedOut, text))));
    }
}

fn unsupported(reason: &str) -> Error {
    io::Error::new(io::ErrorKind::Unsupported, reason).into()
}

/// A stream that was closed because of what the peer has sent has no session to speak of: the handshake itself has failed.
fn as_handshake_error(error: Error) -> Error {
    match error {
        Error::Closed { cause: Some(cause) } if cause.kind() == io::ErrorKind::InvalidData => Error::Tls { cause },
        error => error,
    }
}
