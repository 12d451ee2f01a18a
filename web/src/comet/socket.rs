//! Delivery by WebSocket.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use super::{delivery::Delivery, subscription::Subscription, update::Update};
use crate::{
    error::Result,
    exchange::Exchange,
    websocket::{CloseCode, Message, PreparedMessage, WebSocket, WebSocketOptions, WebSocketSender},
};

/// What comes in.
pub(super) trait OnMessage: AsyncFnMut(&WebSocketSender, Message) -> Result<()> + 'static {}

impl<F: AsyncFnMut(&WebSocketSender, Message) -> Result<()> + 'static> OnMessage for F {}

/// Makes the connection a WebSocket that a channel speaks to.
#[inline]
pub(super) fn upgrade(
    delivery: &Delivery,
    exchange: &mut Exchange,
    options: &WebSocketOptions,
    on_message: impl OnMessage,
) -> Result<()> {
    // Nobody is counted as present who asks for something else.
    exchange.can_be_websocket(options)?;
    let cursor: Option<String> = exchange.query_opt("cursor")?;
    let is_new = cursor.is_none();
    let subscription = delivery.subscribe(cursor.as_deref())?;
    exchange.upgrade_websocket(options, async move |socket| serve(socket, subscription, is_new, on_message).await)
}

/// Whatever comes first: a message of the channel, or one of the client.
enum Next {
    Update(Option<Update>),
    Incoming(Option<Message>),
}

async fn serve(
    mut socket: WebSocket,
    mut subscription: Subscription,
    mut is_new: bool,
    mut on_message: impl OnMessage,
) -> Result<()> {
    loop {
        // A client that has no cursor gets one as soon as it is known.
        if is_new && let Some(cursor) = subscription.cursor() {
            is_new = false;
            socket.send(format!("{{\"cursor\":\"{cursor}\"}}")).await?;
        }
        match next(&mut socket, &mut subscription).await? {
            // Waiting here is the back-pressure: what the client has not taken stays in the history.
            Next::Update(Some(Update::Message(message))) => socket.send_prepared(message.frame()).await?,
            Next::Update(Some(update)) => socket.send_prepared(&notice(&update, &subscription)).await?,
            Next::Update(None) => return socket.close(CloseCode::POLICY_VIOLATION, "too slow"),
            Next::Incoming(Some(message)) => on_message(&socket, message).await?,
            Next::Incoming(None) => return Ok(()),
        }
    }
}

async fn next(socket: &mut WebSocket, subscription: &mut Subscription) -> Result<Next> {
    let mut incoming = pin!(socket.receive());
    poll_fn(|cx| {
        if let Poll::Ready(update) = subscription.poll_next(cx) {
            return Poll::Ready(Ok(Next::Update(update)));
        }
        incoming.as_mut().poll(cx).map_ok(Next::Incoming)
    })
    .await
}

/// What is said in place of messages.
#[cold]
fn notice(update: &Update, subscription: &Subscription) -> PreparedMessage {
    let cursor = subscription.cursor().map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
    PreparedMessage::new(match update {
        Update::Lagged { missed: Some(missed) } => {
            format!("{{\"cursor\":{cursor},\"lagged\":true,\"missed\":{missed}}}")
        }
        Update::Lagged { missed: None } => format!("{{\"cursor\":{cursor},\"lagged\":true}}"),
        _ => format!("{{\"cursor\":{cursor},\"reset\":true}}"),
    })
}
