use std::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    codec::Message,
    core::{Core, Received},
    sender::WebSocketSender,
};
use crate::error::Result;

/// A WebSocket, of a server's handler or of a client. It receives, and is a [`WebSocketSender`] besides.
///
/// # Receiving
///
/// Pings are answered, and what the peer sends in pieces is put together, whatever the handler waits for meanwhile. One
/// message is read ahead of the handler; then nothing more is read, and TCP slows the peer down.
///
/// # The end
///
/// When the handler returns, the socket is closed: with 1000, or with 1011 after an error or a panic. When the last handle is
/// dropped before that, with 1000. When the peer closes, it is answered by itself, `receive` returns `None`, and `send` fails.
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange};
///
/// async fn echo(exchange: &mut Exchange) -> web::Result<()> {
///     let mut socket = exchange.websocket().await?;
///     while let Some(message) = socket.receive().await? {
///         socket.send(message).await?;
///     }
///     Ok(())
/// }
///
/// let application = Application::new().get("/ws", echo);
/// ```
pub struct WebSocket {
    sender: WebSocketSender,
}

impl WebSocket {
    #[inline]
    pub(super) fn new(core: Rc<Core>) -> WebSocket {
        WebSocket { sender: WebSocketSender::new(core) }
    }

    /// Waits for the next message. `None` when the connection has ended in order: the peer has closed it, or has answered
    /// our close frame. [`close_code`](WebSocketSender::close_code) says why.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocketProtocol`](crate::Error::WebSocketProtocol) when the peer has broken the protocol, or has sent a
    /// message that is too long. It has been told so. [`Error::ClientGone`](crate::Error::ClientGone) when the connection
    /// ended without a close frame, or the peer was silent for too long. A handler that passes them on with `?` ends quietly.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    #[inline]
    pub fn receive(&mut self) -> Receive<'_> {
        Receive { core: self.sender.core(), waits: false }
    }

    /// A handle for sending, to be kept elsewhere.
    #[inline]
    pub fn sender(&self) -> WebSocketSender {
        self.sender.clone()
    }

    /// The next message, ping or pong.
    #[inline]
    pub(super) fn receive_any(&mut self) -> ReceiveAny<'_> {
        ReceiveAny { core: self.sender.core(), waits: false }
    }
}

impl Deref for WebSocket {
    type Target = WebSocketSender;

    #[inline]
    fn deref(&self) -> &WebSocketSender {
        &self.sender
    }
}

impl fmt::Debug for WebSocket {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("open", &self.is_open())
            .field("close_code", &self.close_code())
            .finish_non_exhaustive()
    }
}

/// The future of [`WebSocket::receive`].
#[must_use = "futures do nothing unless awaited"]
pub struct Receive<'s> {
    core: &'s Core,
    /// Somebody is to look after the input when this is dropped.
    waits: bool,
}

impl Future for Receive<'_> {
    type Output = Result<Option<Message>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.waits = true;
        let received = ready!(self.core.poll_receive(cx, false));
        self.waits = false;
        Poll::Ready(received.map(|received| match received {
            Some(Received::Message(message)) => Some(message),
            _ => None,
        }))
    }
}

impl Drop for Receive<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.waits {
            self.core.stop_receiving();
        }
    }
}

impl fmt::Debug for Receive<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receive")
    }
}

/// The future of [`WebSocket::receive_any`].
pub(super) struct ReceiveAny<'s> {
    core: &'s Core,
    waits: bool,
}

impl Future for ReceiveAny<'_> {
    type Output = Result<Option<Received>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.waits = true;
        let received = ready!(self.core.poll_receive(cx, true));
        self.waits = false;
        Poll::Ready(received)
    }
}

impl Drop for ReceiveAny<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.waits {
            self.core.stop_receiving();
        }
    }
}
