use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use super::{
    codec::{CloseCode, Message},
    core::{Core, Outgoing},
    prepared::PreparedMessage,
};
use crate::error::Result;

/// The sending half of a WebSocket: a handle that can be cloned, kept elsewhere and used while the
/// [`WebSocket`](super::WebSocket) receives. It belongs to its thread, as everything here.
///
/// # Sending
///
/// Messages leave in the order in which they were sent. Awaiting is the back-pressure: when the peer reads too slowly, what
/// [`WebSocketOptions::slow_reader`](super::WebSocketOptions::slow_reader) says happens, and by default `send` waits. What a
/// handler sends leaves when it waits for something, so that several small messages leave together; what any other task
/// sends leaves at once.
///
/// # Examples
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use web::{Application, Exchange, websocket::{PreparedMessage, WebSocketSender}};
///
/// type Room = Rc<RefCell<Vec<WebSocketSender>>>;
///
/// async fn chat(exchange: &mut Exchange, room: &Room) -> web::Result<()> {
///     let mut socket = exchange.websocket().await?;
///     room.borrow_mut().push(socket.sender());
///     while let Some(message) = socket.receive().await? {
///         let message = PreparedMessage::new(message);
///         room.borrow_mut().retain(WebSocketSender::is_open);
///         let members = room.borrow().clone();
///         for member in members {
///             // A member may leave at any time.
///             let _ = member.send_prepared(&message).await;
///         }
///     }
///     Ok(())
/// }
///
/// let room = Room::default();
/// let application = Application::new().get("/chat", async move |exchange: &mut Exchange| chat(exchange, &room).await);
/// ```
pub struct WebSocketSender {
    core: Rc<Core>,
}

impl WebSocketSender {
    #[inline]
    pub(super) fn new(core: Rc<Core>) -> WebSocketSender {
        WebSocketSender { core }
    }

    #[inline]
    pub(super) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// Sends a message: text from a `&str` or `String`, binary from a `&[u8]`, `Vec<u8>` or `Bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocketClosed`](crate::Error::WebSocketClosed) when the connection is closing or closed, also while this
    /// waits.
    ///
    /// # Cancel safety
    ///
    /// A future dropped while it waits has sent nothing. Otherwise the message is sent as a whole.
    #[inline]
    pub fn send(&self, message: impl Into<Message>) -> Send<'_> {
        Send { core: &self.core, item: Some(Outgoing::Message(message.into())) }
    }

    /// As [`send`](WebSocketSender::send), for a message that goes to many.
    ///
    /// # Errors
    ///
    /// As [`send`](WebSocketSender::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](WebSocketSender::send).
    #[inline]
    pub fn send_prepared(&self, message: &PreparedMessage) -> Send<'_> {
        Send { core: &self.core, item: Some(Outgoing::Prepared(message.clone())) }
    }

    /// As [`send`](WebSocketSender::send), for a message that makes an earlier one with the same `key` obsolete. With
    /// [`SlowReader::Coalesce`](super::SlowReader::Coalesce) it takes the place of that one if it still waits; otherwise the
    /// key means nothing.
    ///
    /// # Errors
    ///
    /// As [`send`](WebSocketSender::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](WebSocketSender::send).
    #[inline]
    pub fn send_keyed(&self, key: u64, message: impl Into<PreparedMessage>) -> Send<'_> {
        Send { core: &self.core, item: Some(Outgoing::Keyed(key, message.into())) }
    }

    /// Sends a value as JSON, in a message of text.
    ///
    /// # Errors
    ///
    /// As [`send`](WebSocketSender::send), and when the value cannot be serialised.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](WebSocketSender::send).
    #[cfg(feature = "json")]
    #[inline]
    pub async fn send_json<T: serde_core::Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.send(serde_json::to_string(value)?).await
    }

    /// Sends a ping with up to 125 bytes, besides those of the heartbeat. The peer answers with a pong, which
    /// [`WebSocketHandler::on_pong`](super::WebSocketHandler::on_pong) is told of.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocketClosed`](crate::Error::WebSocketClosed), and when the payload is too long.
    #[inline]
    pub fn ping(&self, payload: &[u8]) -> Result<()> {
        self.core.send_ping(payload)
    }

    /// Begins the closing handshake: messages that wait are sent before it, and nothing can be sent behind it. Returns at
    /// once; [`closed`](WebSocketSender::closed) waits for the end. Does nothing when the handshake has begun already.
    ///
    /// The peer has [`close_timeout`](super::WebSocketOptions::close_timeout) to answer. What it still sends before its
    /// answer can be received.
    ///
    /// # Errors
    ///
    /// When the code is one that is never sent ([`CloseCode::is_sendable`]), or the reason is longer than 123 bytes. Then
    /// nothing has happened.
    #[inline]
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) -> Result<()> {
        Ok(self.core.begin_close(code.into(), reason)?)
    }

    /// Waits until nothing more can be received: the peer's close frame has come, or the connection has ended otherwise.
    ///
    /// It is for tasks beside the one that receives. Where nobody receives, one message is read ahead and then nothing more: a
    /// close frame behind it is not seen. A handler that wants no messages drops what it receives.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    #[inline]
    pub fn closed(&self) -> impl Future<Output = ()> + use<'_> {
        poll_fn(|cx| if self.core.watch(cx.waker()) { Poll::Pending } else { Poll::Ready(()) })
    }

    /// Whether messages can be sent: neither side has begun to close.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.core.is_open()
    }

    /// Why the connection ended; `None` before that. The code of the peer's close frame, or [`CloseCode::NO_STATUS`] when
    /// it gave none; the code it was told when it broke the protocol; [`CloseCode::ABNORMAL`] when the connection ended
    /// without a close frame of the peer.
    #[inline]
    pub fn close_code(&self) -> Option<CloseCode> {
        self.core.end().map(|end| end.code)
    }

    /// The reason that the peer gave for closing; `None` before the end, and often empty.
    #[inline]
    pub fn close_reason(&self) -> Option<&str> {
        self.core.end().map(|end| end.reason.as_str())
    }

    /// The subprotocol that was agreed on.
    #[inline]
    pub fn subprotocol(&self) -> Option<&str> {
        self.core.subprotocol()
    }

    /// How many bytes wait for the peer, beside those that the kernel has taken.
    #[inline]
    pub fn queued(&self) -> usize {
        self.core.backlog()
    }
}

impl Clone for WebSocketSender {
    #[inline]
    fn clone(&self) -> Self {
        WebSocketSender { core: Rc::clone(&self.core) }
    }
}

impl Drop for WebSocketSender {
    #[inline]
    fn drop(&mut self) {
        Core::release(&self.core);
    }
}

/// Two are equal when they are handles of the same socket.
impl PartialEq for WebSocketSender {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.core, &other.core)
    }
}

impl Eq for WebSocketSender {}

impl fmt::Debug for WebSocketSender {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketSender")
            .field("open", &self.is_open())
            .field("close_code", &self.close_code())
            .finish_non_exhaustive()
    }
}

/// The future of [`WebSocketSender::send`].
#[must_use = "nothing is sent unless it is awaited"]
pub struct Send<'s> {
    core: &'s Core,
    /// Taken when it is sent.
    item: Option<Outgoing>,
}

impl Future for Send<'_> {
    type Output = Result<()>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Send { core, item } = &mut *self;
        core.poll_send(cx, item)
    }
}

impl fmt::Debug for Send<'_> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send").field("item", &self.item).finish_non_exhaustive()
    }
}
