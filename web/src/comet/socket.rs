//! Delivery by WebSocket.

use std::{
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{delivery::Delivery, subscription::Subscription, update::Update};
use crate::{
    error::Result,
    exchange::Exchange,
    websocket::{CloseCode, Message, PreparedMessage, WebSocket, WebSocketOptions, WebSocketSender},
};

/// Makes the connection a WebSocket that a channel speaks to. What comes in is given to `on_message`, or dropped.
#[inline]
pub(super) fn upgrade<F: AsyncFn(&WebSocketSender, Message) -> Result<()> + 'static>(
    delivery: &Delivery,
    exchange: &mut Exchange,
    options: &WebSocketOptions,
    on_message: Option<F>,
) -> Result<()> {
    // Nobody is counted as present who asks for something else than a WebSocket.
    exchange.upgrade_websocket_to(options, |exchange| {
        let cursor: Option<String> = exchange.query_opt("cursor")?;
        let subscription = delivery.subscribe(cursor.as_deref())?;
        let (on_message, is_new) = (on_message.map(Rc::new), cursor.is_none());
        Ok(move |socket| Serving { socket, subscription, on_message, running: None, unsent: None, is_new })
    })
}

/// A socket that follows a channel. Written by hand, because there may be ten thousand: an async function would have room
/// for everything that it ever waits for.
struct Serving<F> {
    socket: WebSocket,
    subscription: Subscription,
    on_message: Option<Rc<F>>,
    /// The call of `on_message` that is under way.
    running: Option<Pin<Box<dyn Future<Output = Result<()>>>>>,
    /// What the client has no room for.
    unsent: Option<Box<PreparedMessage>>,
    /// It has no cursor, and gets one as soon as that is known.
    is_new: bool,
}

impl<F: AsyncFn(&WebSocketSender, Message) -> Result<()> + 'static> Future for Serving<F> {
    type Output = Result<()>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        // While one is pending, the task is woken for it, and the other has its turn all the same.
        if let Poll::Ready(end) = this.poll_outgoing(cx) {
            return Poll::Ready(end);
        }
        this.poll_incoming(cx)
    }
}

impl<F: AsyncFn(&WebSocketSender, Message) -> Result<()> + 'static> Serving<F> {
    /// Sends what the channel has. Ready when that ends the connection.
    #[inline]
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            // Waiting here is the back-pressure: what the client has not taken stays in the history.
            if let Some(unsent) = &self.unsent {
                ready!(pin!(self.socket.send_prepared(unsent)).poll(cx))?;
                self.unsent = None;
            }
            if self.is_new
                && let Some(cursor) = self.subscription.cursor()
            {
                self.is_new = false;
                self.unsent = Some(Box::new(PreparedMessage::new(format!("{{\"cursor\":\"{cursor}\"}}"))));
                continue;
            }
            let Some(update) = ready!(self.subscription.poll_next(cx)) else {
                return Poll::Ready(self.socket.close(CloseCode::POLICY_VIOLATION, "too slow"));
            };
            if let Update::Message(message) = update {
                // Nearly always there is room, and nothing to keep.
                if pin!(self.socket.send_prepared(message.frame())).poll(cx)?.is_pending() {
                    self.unsent = Some(Box::new(message.frame().clone()));
                }
            } else {
                self.unsent = Some(Box::new(notice(&update, &self.subscription)));
            }
        }
    }

    /// Takes what the client says, one message after the other. Ready at the end of the connection.
    #[inline]
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Some(running) = &mut self.running {
                ready!(running.as_mut().poll(cx))?;
                self.running = None;
            }
            let Some(message) = ready!(pin!(self.socket.receive()).poll(cx))? else { return Poll::Ready(Ok(())) };
            if let Some(on_message) = &self.on_message {
                let (on_message, sender) = (Rc::clone(on_message), self.socket.sender());
                self.running = Some(Box::pin(async move { on_message(&sender, message).await }));
            }
        }
    }
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
