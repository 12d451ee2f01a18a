//! WebSockets in Tornado's manner: a method for each thing that may happen.

use std::{future::Future, rc::Rc};

use httpserver::StatusCode;

use super::{
    codec::{CloseCode, Message},
    core::Received,
    handshake::{Handshake, check_origin, offered_subprotocols},
    options::WebSocketOptions,
    sender::WebSocketSender,
    socket::WebSocket,
};
use crate::{
    error::{HttpError, Result},
    exchange::Exchange,
    handler::Handler,
};

/// A kind of WebSocket, in the manner of Tornado's class of that name.
///
/// One object serves all connections (`&self`), so it holds what they share: the room, a counter. What belongs to one
/// connection is its [`Session`](WebSocketHandler::Session), which [`prepare`](WebSocketHandler::prepare) makes of the
/// request. The request itself is gone when the connection is open, so an idle connection is little more than its session.
///
/// A connection runs `prepare`, then [`open`](WebSocketHandler::open), then [`on_message`](WebSocketHandler::on_message) for
/// each message, one after the other, and in the end [`on_close`](WebSocketHandler::on_close), exactly once if `prepare`
/// returned a session and the handshake was sent. The next message is read when the method has returned: a slow method slows
/// its client down.
///
/// An error of `prepare` is the answer to the request. One of `open` or `on_message` closes the connection with 1011, as a
/// panic does.
///
/// # Examples
///
/// ```
/// use std::cell::RefCell;
/// use web::{Application, Exchange, websocket::{Message, PreparedMessage, WebSocketHandler, WebSocketSender}};
///
/// #[derive(Default)]
/// struct Chat { members: RefCell<Vec<WebSocketSender>> }
///
/// impl WebSocketHandler for Chat {
///     /// The member's name.
///     type Session = String;
///
///     async fn prepare(&self, exchange: &mut Exchange) -> web::Result<String> {
///         exchange.query("name")
///     }
///
///     async fn open(&self, name: &mut String, socket: &WebSocketSender) -> web::Result<()> {
///         self.members.borrow_mut().push(socket.clone());
///         socket.send(format!("Welcome, {name}")).await
///     }
///
///     async fn on_message(&self, name: &mut String, _: &WebSocketSender, message: Message) -> web::Result<()> {
///         let line = PreparedMessage::new(format!("{name}: {}", message.as_text().unwrap_or("(binary)")));
///         let members = self.members.borrow().clone();
///         for member in members {
///             let _ = member.send_prepared(&line).await;
///         }
///         Ok(())
///     }
///
///     fn on_close(&self, _: String, socket: &WebSocketSender) {
///         self.members.borrow_mut().retain(|member| member != socket);
///     }
/// }
///
/// let application = Application::new().websocket("/chat", Chat::default());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `WebSocketHandler`",
    note = "an `async fn` that calls `exchange.websocket()` is added with `Application::get`"
)]
pub trait WebSocketHandler: Sized + 'static {
    /// What belongs to one connection.
    type Session: 'static;

    /// Decides whether the client may connect, and makes the session. Runs behind the checks of the handshake, and before
    /// its answer: headers and cookies that are set here are sent with it.
    ///
    /// # Errors
    ///
    /// An error is the answer, and the connection stays with HTTP.
    fn prepare(&self, exchange: &mut Exchange) -> impl Future<Output = Result<Self::Session>>;

    /// Runs when the connection is open.
    ///
    /// # Errors
    ///
    /// Closes the connection with 1011, and is logged.
    async fn open(&self, session: &mut Self::Session, socket: &WebSocketSender) -> Result<()> {
        let _ = (session, socket);
        Ok(())
    }

    /// Runs for each message.
    ///
    /// # Errors
    ///
    /// Closes the connection with 1011, and is logged.
    fn on_message(
        &self,
        session: &mut Self::Session,
        socket: &WebSocketSender,
        message: Message,
    ) -> impl Future<Output = Result<()>>;

    /// Runs when the connection has ended, for whatever reason, with [`close_code`](WebSocketSender::close_code) and
    /// [`close_reason`](WebSocketSender::close_reason) in `socket` if the peer gave them. Nothing can be sent any more.
    fn on_close(&self, session: Self::Session, socket: &WebSocketSender) {
        let _ = (session, socket);
    }

    /// Runs for each ping. It has been answered.
    fn on_ping(&self, session: &mut Self::Session, socket: &WebSocketSender, payload: &[u8]) {
        let _ = (session, socket, payload);
    }

    /// Runs for each pong: those to [`WebSocketSender::ping`], and those to pings of the heartbeat, whose payload is empty.
    fn on_pong(&self, session: &mut Self::Session, socket: &WebSocketSender, payload: &[u8]) {
        let _ = (session, socket, payload);
    }

    /// Chooses among the subprotocols that the client offers, in the order of its preference; an empty list when it offers
    /// none. By default the first one that [`options`](WebSocketHandler::options) name. One that the client does not offer is
    /// answered by 500, because every client would end the connection.
    fn select_subprotocol(&self, exchange: &Exchange, offered: &[&str]) -> Option<String> {
        let _ = exchange;
        let options = self.options();
        let known = &options.settings().subprotocols;
        offered.iter().find(|offer| known.iter().any(|known| known == *offer)).map(|&offer| offer.to_owned())
    }

    /// Whether a page of `origin` may connect. Not asked for a client that names none, which is no browser. By default those
    /// of the server's own host, and those that [`options`](WebSocketHandler::options) allow. False is answered by 403.
    fn check_origin(&self, exchange: &Exchange, origin: &str) -> bool {
        self.options().settings().origins.allows(origin.as_bytes(), exchange.request().host())
    }

    /// The options of all connections. Called for each, so return a clone of what was made once.
    fn options(&self) -> WebSocketOptions {
        WebSocketOptions::new()
    }
}

/// A [`WebSocketHandler`] as what a route has.
pub(crate) struct Upgrading<H>(pub(crate) Rc<H>);

impl<H: WebSocketHandler> Handler for Upgrading<H> {
    #[inline]
    async fn handle(&self, exchange: &mut Exchange) -> Result<()> {
        let handler = &self.0;
        exchange.check_open()?;
        let mut handshake = Handshake::check(exchange.request())?;
        check_origin(exchange, |origin| {
            // What is not text is no origin of a page's.
            handler.check_origin(exchange, std::str::from_utf8(origin).unwrap_or_default())
        })?;
        let offered = offered_subprotocols(exchange.headers())?;
        let selected = handler.select_subprotocol(exchange, &offered);
        if selected.as_ref().is_some_and(|selected| !offered.contains(&selected.as_str())) {
            return Err(HttpError::new(StatusCode::INTERNAL_SERVER_ERROR)
                .log("select_subprotocol returned a subprotocol that the client does not offer")
                .into());
        }
        handshake.agreement.subprotocol = selected;
        let options = handler.options();
        handshake.select_extensions(exchange.request(), options.settings());
        let session = handler.prepare(exchange).await?;
        let live = Live { handler: Rc::clone(handler), session: Some(session), socket: None };
        exchange.finish_with_websocket(handshake, &options, move |socket| run(live, socket))
    }
}

/// Calls the methods in turn.
#[inline]
async fn run<H: WebSocketHandler>(mut live: Live<H>, mut socket: WebSocket) -> Result<()> {
    live.socket = Some(socket.sender());
    let Live { handler, session: Some(session), socket: Some(sender) } = &mut live else { return Ok(()) };
    handler.open(session, sender).await?;
    while let Some(received) = socket.receive_any().await? {
        match received {
            Received::Message(message) => handler.on_message(session, sender, message).await?,
            Received::Ping(payload) => handler.on_ping(session, sender, &payload),
            Received::Pong(payload) => handler.on_pong(session, sender, &payload),
        }
    }
    Ok(())
}

/// A connection that `on_close` has not been called for. It is called when this is dropped: also when the connection's task
/// is, and by a panic.
struct Live<H: WebSocketHandler> {
    handler: Rc<H>,
    session: Option<H::Session>,
    /// Absent before the connection is open; then there is nothing to close.
    socket: Option<WebSocketSender>,
}

impl<H: WebSocketHandler> Drop for Live<H> {
    #[inline]
    fn drop(&mut self) {
        if let (Some(session), Some(socket)) = (self.session.take(), &self.socket) {
            // Only an error and a panic come here before either side has begun to close. The code may be sent.
            let _ = socket.close(CloseCode::INTERNAL_ERROR, "");
            self.handler.on_close(session, socket);
        }
    }
}
