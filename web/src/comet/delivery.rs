use std::{fmt, rc::Rc, time::Duration};

use httpserver::Bytes;

use super::{
    events,
    hub::Hub,
    long_poll::LongPoll,
    presence::Seat,
    subscription::{Start, Subscription},
    update::SlowPolicy,
};
#[cfg(feature = "websocket")]
use crate::websocket::{Message, WebSocketOptions, WebSocketSender};
use crate::{error::Result, event_stream::EventStreamOptions, exchange::Exchange};

/// Brings the messages of a channel to a client; made by [`Hub::deliver`].
///
/// There are three ways, and a client may change between them whenever it likes, because each gives it a cursor and takes those
/// of the others:
///
/// | way | the cursor comes | and is given |
/// |---|---|---|
/// | [`long_poll`](Delivery::long_poll) | in the query: `?cursor=…` | in the answer |
/// | [`event_stream`](Delivery::event_stream) | in `Last-Event-ID`, or else in the query | as the id of each event |
/// | `websocket`, with the feature of that name | in the query | in each message |
///
/// A client without a cursor begins with the present, or a bit [earlier](Delivery::latest). Text that is no cursor is taken for
/// one of another life.
#[must_use = "a delivery does nothing until it is given an exchange"]
pub struct Delivery {
    hub: Hub,
    channel: String,
    latest: usize,
    policy: SlowPolicy,
    member: Option<(Rc<str>, Option<Bytes>)>,
    pub(super) poll_wait: Duration,
    pub(super) events: EventStreamOptions,
}

impl Delivery {
    #[inline]
    pub(super) fn new(hub: Hub, channel: &str) -> Delivery {
        Delivery {
            hub,
            channel: channel.to_owned(),
            latest: 0,
            policy: SlowPolicy::DropOldest,
            member: None,
            poll_wait: Duration::from_secs(25),
            events: EventStreamOptions::new(),
        }
    }

    /// How many of the latest messages a client gets that comes without a cursor; none by default.
    #[inline]
    pub fn latest(mut self, messages: usize) -> Self {
        self.latest = messages;
        self
    }

    /// What happens when the client does not keep up; [`SlowPolicy::DropOldest`] by default. Of a long poll
    /// [`Coalesce`](SlowPolicy::Coalesce) alone means anything.
    #[inline]
    pub fn policy(mut self, policy: SlowPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Counts the client as a [member](Hub::members) of the channel while it is connected, and for the
    /// [grace](super::HubOptions::presence_grace) behind that. Several connections with the same id are one member.
    ///
    /// The id is the application's word for who it is: take it from the session, and not from what the client says.
    #[inline]
    pub fn member(mut self, id: &str) -> Self {
        let info = self.member.take().and_then(|(_, info)| info);
        self.member = Some((id.into(), info));
        self
    }

    /// [`member`](Delivery::member), with what others may know of it.
    ///
    /// # Errors
    ///
    /// When `info` cannot be serialised.
    #[inline]
    pub fn member_with<T: serde_core::Serialize + ?Sized>(mut self, id: &str, info: &T) -> Result<Self> {
        let info = serde_json::to_vec(info)?;
        self.member = Some((id.into(), Some(info.into())));
        Ok(self)
    }

    /// How long a poll waits for news before it is answered without any; 25 s by default, because some proxies cut what is
    /// silent for 30 s. Each poll waits up to a fifth less, by chance, so that clients which came together part.
    #[inline]
    pub fn poll_wait(mut self, wait: Duration) -> Self {
        self.poll_wait = wait;
        self
    }

    /// The options of an event stream.
    #[inline]
    pub fn event_options(mut self, options: EventStreamOptions) -> Self {
        self.events = options;
        self
    }

    /// Answers with the messages behind the client's cursor, or waits for the next.
    ///
    /// The answer is JSON, and never cached:
    ///
    /// ```json
    /// {"cursor":"beef.17","messages":["one","two"]}
    /// ```
    ///
    /// `cursor` is what the client asks with the next time, at once. It may hold more:
    ///
    /// * `"lagged":true` when messages have been missed, with `"missed":7` when their number is known; `messages` goes on behind
    ///   the gap;
    /// * `"reset":true` when the client's cursor is of another life of the channel; `messages` is what the channel has;
    /// * `"retry":2300` when the server drains: so many milliseconds, by chance, the client is to wait before it asks again.
    ///
    /// Without news it is answered after [`poll_wait`](Delivery::poll_wait), with no messages, and 200 like the others: a client
    /// has one kind of answer to read, and always a cursor. That is `null` only while a shared broker cannot be reached that has
    /// yet to begin with the channel. A poll without a cursor is answered at once, so that nothing can be
    /// lost before the first. So is HEAD.
    ///
    /// The handler is dropped when the client goes away while it waits.
    ///
    /// # Errors
    ///
    /// As [`Hub::subscribe`].
    #[inline]
    pub fn long_poll(self, exchange: &mut Exchange) -> LongPoll<'_> {
        LongPoll::new(self, exchange)
    }

    /// Answers with a stream of server-sent events, one for each message: its data is the message, its id the cursor.
    ///
    /// Two events have names, for which a page has to listen: `lagged`, whose data is `{"missed":7}` or `{"missed":null}`, and
    /// `reset`. What follows is as for [`long_poll`](Delivery::long_poll). At the beginning the client is told an id, so that it
    /// can come back before the first message.
    ///
    /// The answer is complete for the handler, which returns: the stream is the hub's, and holds nothing of the handler. So
    /// [`on_finish`](crate::RequestHandler::on_finish) runs at its beginning, and the access log has it then. It is kept open and
    /// ended as those of [`Exchange::event_stream`] are.
    ///
    /// # Errors
    ///
    /// As [`Hub::subscribe`] and [`Exchange::event_stream`].
    #[inline]
    pub fn event_stream(self, exchange: &mut Exchange) -> Result<()> {
        events::answer(self, exchange)
    }

    /// Makes the connection a WebSocket, which gets a text message of JSON for each message of the channel:
    ///
    /// ```json
    /// {"cursor":"beef.17","data":"one"}
    /// ```
    ///
    /// Others have no `data`: `{"cursor":…}` is the first for a client that came without a cursor;
    /// `{"cursor":…,"lagged":true,"missed":7}` and `{"cursor":…,"reset":true}` say what they do for
    /// [`long_poll`](Delivery::long_poll). A client comes back with its last cursor in the query, after a random time if the
    /// socket was closed with 1001: the server drains.
    ///
    /// What the client sends is dropped; [`websocket_with`](Delivery::websocket_with) takes it. The handler is complete with this
    /// call, and nothing of it is kept. A client that reads too slowly holds up its own socket alone, and falls behind in the
    /// history. With [`SlowPolicy::Disconnect`] it is closed with 1008.
    ///
    /// # Errors
    ///
    /// As [`Hub::subscribe`] and [`Exchange::websocket`].
    #[cfg(feature = "websocket")]
    #[inline]
    pub fn websocket(self, exchange: &mut Exchange) -> Result<()> {
        let dropped = None::<fn(&WebSocketSender, Message) -> std::future::Ready<Result<()>>>;
        super::socket::upgrade(&self, exchange, &WebSocketOptions::new(), dropped)
    }

    /// [`websocket`](Delivery::websocket) with other options, and with what the client sends given to `on_message`, one message
    /// after the other. The channel is delivered meanwhile. An error ends the connection.
    ///
    /// # Errors
    ///
    /// As [`websocket`](Delivery::websocket).
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Exchange, comet::Hub, websocket::{Message, WebSocketOptions, WebSocketSender}};
    ///
    /// async fn chat(exchange: &mut Exchange, hub: &Hub) -> web::Result<()> {
    ///     let publisher = hub.clone();
    ///     let on_message = async move |_: &WebSocketSender, message: Message| {
    ///         if let Some(text) = message.as_text() {
    ///             publisher.publish("chat", text).await?;
    ///         }
    ///         Ok(())
    ///     };
    ///     hub.deliver("chat").latest(50).websocket_with(exchange, &WebSocketOptions::new(), on_message)
    /// }
    /// ```
    #[cfg(feature = "websocket")]
    #[inline]
    pub fn websocket_with(
        self,
        exchange: &mut Exchange,
        options: &WebSocketOptions,
        on_message: impl AsyncFn(&WebSocketSender, Message) -> Result<()> + 'static,
    ) -> Result<()> {
        super::socket::upgrade(&self, exchange, options, Some(on_message))
    }

    /// A subscription behind `cursor`, as it came from the client.
    #[inline]
    pub(super) fn subscribe(&self, cursor: Option<&str>) -> Result<Subscription> {
        let start = match cursor {
            Some(text) => text.parse().map_or(Start::Unknown, Start::After),
            None => Start::Latest(self.latest),
        };
        let subscription = self.hub.subscribe(&self.channel, start)?.policy(self.policy);
        let seat = match &self.member {
            Some((id, info)) => {
                let channel = self.hub.channel(&self.channel)?;
                Some(Seat::take(self.hub.state(), &channel, Rc::clone(id), info.clone()))
            }
            None => None,
        };
        Ok(subscription.with_seat(seat))
    }
}

impl fmt::Debug for Delivery {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("channel", &self.channel).finish_non_exhaustive()
    }
}
