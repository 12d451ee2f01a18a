use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    collections::{HashMap, VecDeque},
    fmt, mem,
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use httpserver::{
    Bytes,
    iostream::ioloop::{Ebb, IOLoop, on_ebb},
};

use super::{
    broker::{Broker, Feed, MemoryBroker, Published},
    channel::Channel,
    cursor::Cursor,
    delivery::Delivery,
    message::Publication,
    options::HubOptions,
    presence::{Leaving, Member, PresenceEvent},
    subscription::{Start, Subscription},
    tables,
};
use crate::error::{Error, Result};

/// Named channels of messages, for clients that wait for them by long poll, server-sent events or WebSocket.
///
/// Clones are the same hub. A hub belongs to one loop; a [`Broker`](super::broker::Broker) connects several.
///
/// A channel is there as soon as somebody publishes or subscribes to it. It goes when it has been without messages,
/// subscribers and members for a while ([`HubOptions::idle`]).
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, comet::Hub};
///
/// fn application() -> Application {
///     let hub = Hub::new();
///     let publisher = hub.clone();
///     Application::new()
///         .get("/rooms/{room}", async move |exchange: &mut Exchange| {
///             let room: String = exchange.path("room")?;
///             hub.deliver(&room).event_stream(exchange)
///         })
///         .post("/rooms/{room}", async move |exchange: &mut Exchange| {
///             let room: String = exchange.path("room")?;
///             let text: String = exchange.argument("text").await?;
///             let cursor = publisher.publish(&room, &text).await?;
///             exchange.write_text(cursor.to_string());
///             Ok(())
///         })
/// }
/// ```
#[derive(Clone)]
pub struct Hub {
    state: Rc<HubState>,
}

pub(super) struct HubState {
    options: Rc<HubOptions>,
    broker: Rc<dyn Broker>,
    channels: RefCell<HashMap<Rc<str>, Rc<Channel>>>,
    /// Of the first call, which is made where the hub is used.
    ioloop: OnceCell<IOLoop>,
    /// A timer for the next round of [`sweep`](HubState::sweep) is set.
    sweeping: Cell<bool>,
    /// Those whose grace is not over, in the order in which it will be.
    leaving: RefCell<VecDeque<Leaving>>,
    on_presence: RefCell<Option<PresenceHook>>,
}

type PresenceHook = Rc<dyn Fn(&PresenceEvent)>;

impl Hub {
    /// A hub of its own, with the default [`HubOptions`].
    #[inline]
    pub fn new() -> Hub {
        Hub::with_options(HubOptions::new())
    }

    /// A hub of its own.
    #[inline]
    pub fn with_options(options: HubOptions) -> Hub {
        Hub::with_broker(options, MemoryBroker::new())
    }

    /// A hub whose messages come through `broker`.
    #[inline]
    pub fn with_broker(options: HubOptions, broker: impl Broker) -> Hub {
        let state = Rc::new(HubState {
            options: Rc::new(options),
            broker: Rc::new(broker),
            channels: RefCell::default(),
            ioloop: OnceCell::new(),
            sweeping: Cell::new(false),
            leaving: RefCell::default(),
            on_presence: RefCell::default(),
        });
        let holder = Rc::downgrade(&state);
        on_ebb(holder);
        Hub { state }
    }

    /// Publishes `value`, as JSON, to everybody who has subscribed to `channel`, and to those who come back with a cursor
    /// from before. The message is given to the broker by this call; the future completes with its cursor, with the default
    /// broker at once.
    ///
    /// It is serialised here, once, and framed once for each way in which clients receive it. A publisher never waits for
    /// subscribers.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidChannel`], [`Error::MessageTooLarge`], [`Error::HubFull`]; when `value` cannot be serialised; and what
    /// the broker says.
    #[inline]
    pub fn publish<T: serde_core::Serialize + ?Sized>(&self, channel: &str, value: &T) -> Published {
        self.publish_with_key(channel, None, value)
    }

    /// [`publish`](Hub::publish) with a key, by which messages can be [coalesced](super::SlowPolicy::Coalesce): the name of
    /// what has changed, where only its latest state matters.
    ///
    /// # Errors
    ///
    /// As [`publish`](Hub::publish).
    #[inline]
    pub fn publish_with_key<T: serde_core::Serialize + ?Sized>(
        &self,
        channel: &str,
        key: Option<&str>,
        value: &T,
    ) -> Published {
        match serde_json::to_vec(value) {
            Ok(json) => self.give(channel, key, json.into()),
            Err(error) => Published::failed(error),
        }
    }

    /// Publishes a text that is JSON already.
    ///
    /// # Errors
    ///
    /// As [`publish`](Hub::publish), and when it is no JSON.
    #[inline]
    pub fn publish_json(&self, channel: &str, key: Option<&str>, json: impl Into<Bytes>) -> Published {
        let json = json.into();
        // Others put it into JSON of their own.
        match serde_json::from_slice::<serde_core::de::IgnoredAny>(&json) {
            Ok(_) => self.give(channel, key, json),
            Err(error) => Published::failed(error),
        }
    }

    /// Delivers a channel to the client of an exchange, in one of three ways; see [`Delivery`].
    #[inline]
    pub fn deliver(&self, channel: &str) -> Delivery {
        Delivery::new(self.clone(), channel)
    }

    /// Receives the messages of `channel` from `start` on.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidChannel`], and [`Error::HubFull`] when there are too many channels, or subscribers to this one.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{IOLoop, comet::{Hub, Start, Update}};
    ///
    /// # IOLoop::current().run_sync(async {
    /// let hub = Hub::new();
    /// let first = hub.publish("news", "one").await?;
    /// hub.publish("news", "two").await?;
    /// let mut news = hub.subscribe("news", Start::After(first))?;
    /// let Some(Update::Message(message)) = news.next().await else { panic!("there is one") };
    /// assert_eq!(message.data(), "\"two\"");
    /// assert_eq!(news.cursor(), Some(message.cursor()));
    /// # Ok::<_, web::Error>(())
    /// # }).unwrap();
    /// ```
    #[inline]
    pub fn subscribe(&self, channel: &str, start: Start) -> Result<Subscription> {
        let channel = self.channel(channel)?;
        if channel.subscribers.get() >= self.state.options.max_subscribers {
            return Err(Error::HubFull("too many subscribers to a channel"));
        }
        Ok(Subscription::new(channel, start, self.state.broker.is_shared()))
    }

    /// The cursor of who has seen all messages of `channel`: for a page that is given a state and is to follow what changes
    /// it. Take it before the state is read. `None` while the channel's broker has not begun; with the default one there is
    /// always one.
    ///
    /// # Errors
    ///
    /// As [`subscribe`](Hub::subscribe).
    #[inline]
    pub fn cursor(&self, channel: &str) -> Result<Option<Cursor>> {
        let channel = self.channel(channel)?;
        channel.used.set(channel.now());
        Ok(channel.newest())
    }

    /// Who is present in `channel`, in no order: the members that the deliveries of this hub have
    /// [named](Delivery::member). Those whose grace is not over are among them.
    #[inline]
    pub fn members(&self, channel: &str) -> Vec<Member> {
        self.known(channel).map(|channel| channel.list_members()).unwrap_or_default()
    }

    /// Has `hook` told of every member that comes and goes, in place of what was told before. It is the place to publish it to
    /// those who want to know.
    ///
    /// With many members think of what that costs: a message to all for each that comes. Where thousands come back at once,
    /// publish the count a few times a second instead.
    ///
    /// A hook that keeps a clone of the hub keeps it for ever; the example keeps what goes with the hub.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::comet::{Hub, PresenceChange};
    ///
    /// let hub = Hub::new();
    /// let lobby = hub.downgrade();
    /// hub.on_presence(move |event| {
    ///     let joined = event.change == PresenceChange::Joined;
    ///     if let Some(hub) = lobby.upgrade() {
    ///         // What the broker says of it is of no interest here.
    ///         let _ = hub.publish(&event.channel, &(&*event.member.id, joined));
    ///     }
    /// });
    /// ```
    #[inline]
    pub fn on_presence(&self, hook: impl Fn(&PresenceEvent) + 'static) {
        let previous = self.state.on_presence.replace(Some(Rc::new(hook)));
        drop(previous);
    }

    /// A handle that does not keep the hub.
    #[inline]
    pub fn downgrade(&self) -> WeakHub {
        WeakHub { state: Rc::downgrade(&self.state) }
    }

    /// How many channels there are.
    #[inline]
    pub fn channels(&self) -> usize {
        self.state.channels.borrow().len()
    }

    /// How many have subscribed to `channel` at the moment, polls that wait included.
    #[inline]
    pub fn subscribers(&self, channel: &str) -> usize {
        self.known(channel).map_or(0, |channel| channel.subscribers.get())
    }

    /// Checks a message and gives it to the broker.
    #[inline]
    fn give(&self, channel: &str, key: Option<&str>, data: Bytes) -> Published {
        let limit = self.state.options.max_message;
        if data.len() + key.map_or(0, str::len) > limit {
            return Published::failed(Error::MessageTooLarge { limit });
        }
        let ready = match self.state.broker.is_shared() {
            true => self.check_name(channel),
            // Its history is kept here, for those who come.
            false => self.channel(channel).map(drop),
        };
        match ready {
            Ok(()) => self.state.broker.publish(channel, Publication::new(data).with_key(key)),
            Err(error) => Published::failed(error),
        }
    }

    #[inline]
    fn known(&self, name: &str) -> Option<Rc<Channel>> {
        self.state.channels.borrow().get(name).cloned()
    }

    /// The channel, made if there is none.
    #[inline]
    pub(super) fn channel(&self, name: &str) -> Result<Rc<Channel>> {
        if let Some(channel) = self.known(name) {
            return Ok(channel);
        }
        self.check_name(name)?;
        let state = &self.state;
        let name: Rc<str> = name.into();
        let channel = Rc::new(Channel::new(Rc::clone(&name), Rc::clone(&state.options), state.ioloop().clone()));
        {
            let mut channels = state.channels.borrow_mut();
            if channels.len() >= state.options.max_channels {
                return Err(Error::HubFull("too many channels"));
            }
            channels.insert(name, Rc::clone(&channel));
        }
        state.broker.subscribe(Feed::new(&channel));
        state.start_sweeping();
        Ok(channel)
    }

    #[inline]
    fn check_name(&self, name: &str) -> Result<()> {
        if name.is_empty() {
            Err(Error::InvalidChannel("its name is empty"))
        } else if name.len() > self.state.options.max_name {
            Err(Error::InvalidChannel("its name is too long"))
        } else if name.contains(char::is_control) {
            Err(Error::InvalidChannel("a control character in its name"))
        } else {
            Ok(())
        }
    }

    #[inline]
    pub(super) fn state(&self) -> &Rc<HubState> {
        &self.state
    }
}

impl HubState {
    fn ioloop(&self) -> &IOLoop {
        self.ioloop.get_or_init(IOLoop::current)
    }

    /// Tells the application of a member.
    #[inline]
    pub(super) fn tell(&self, event: PresenceEvent) {
        let hook = self.on_presence.borrow().clone();
        if let Some(hook) = hook {
            hook(&event);
        }
    }

    /// Begins a grace. All are equally long, so they end in the order in which they began.
    #[inline]
    pub(super) fn leave(self: &Rc<Self>, leaving: Leaving) {
        let due = leaving.due;
        self.leaving.borrow_mut().push_back(leaving);
        if self.leaving.borrow().len() == 1 {
            self.call_at(due, HubState::end_graces);
        }
    }

    fn end_graces(self: &Rc<Self>) {
        // Also when the hook panics: else nobody would leave any more.
        let _next = NextGraces(self);
        let now = self.ioloop().turn_time();
        loop {
            let next = {
                let mut leaving = self.leaving.borrow_mut();
                if leaving.front().is_some_and(|next| next.due <= now) { leaving.pop_front() } else { None }
            };
            let Some(next) = next else { break };
            if let Some(event) = next.finish() {
                self.tell(event);
            }
        }
    }

    /// Looks after the channels from time to time, as long as there are any.
    fn start_sweeping(self: &Rc<Self>) {
        if !self.sweeping.replace(true) {
            let next = self.ioloop().turn_time() + self.sweep_interval();
            self.call_at(next, HubState::sweep);
        }
    }

    /// Often enough for what the limits of time promise, and not more than once a second: a round visits all channels.
    fn sweep_interval(&self) -> Duration {
        let HubOptions { max_age, idle, .. } = *self.options;
        (max_age.min(idle) / 8).clamp(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// Drops old messages, and channels that nobody needs.
    fn sweep(self: &Rc<Self>) {
        self.sweeping.set(false);
        let now = self.ioloop().turn_time();
        // Dropping a message or a channel may run anything, so nothing is borrowed then.
        let all: Vec<_> = self.channels.borrow().values().cloned().collect();
        for channel in all {
            channel.trim(now);
            if self.is_idle(&channel, now) {
                let gone = self.channels.borrow_mut().remove(&channel.name);
                drop(gone);
                self.broker.unsubscribe(&channel.name);
            }
        }
        let is_empty = {
            let mut channels = self.channels.borrow_mut();
            let few = channels.len() * 2;
            channels.shrink_to(few);
            channels.is_empty()
        };
        if !is_empty {
            self.start_sweeping();
        }
    }

    fn is_idle(&self, channel: &Channel, now: Instant) -> bool {
        channel.subscribers.get() == 0
            && channel.members.borrow().is_none()
            && (self.broker.is_shared() || !channel.has_messages())
            && now.saturating_duration_since(channel.used.get()) >= self.options.idle
    }

    /// Does not keep the hub.
    fn call_at(self: &Rc<Self>, when: Instant, call: fn(&Rc<HubState>)) {
        let state = Rc::downgrade(self);
        self.ioloop().call_at(when, move || {
            if let Some(state) = state.upgrade() {
                call(&state);
            }
        });
    }
}

/// Has the graces looked at again when the next of them is over.
struct NextGraces<'h>(&'h Rc<HubState>);

impl Drop for NextGraces<'_> {
    #[inline]
    fn drop(&mut self) {
        let due = self.0.leaving.borrow().front().map(|next| next.due);
        match due {
            Some(due) => self.0.call_at(due, HubState::end_graces),
            // Thousands may have left at once.
            None => self.0.leaving.borrow_mut().shrink_to(64),
        }
    }
}

impl Ebb for HubState {
    /// A burst may have been subscribers or the members of a channel.
    #[inline]
    fn ebb(&self) -> Box<dyn Any> {
        let all: Vec<_> = self.channels.borrow().values().cloned().collect();
        let of_channels: Vec<_> = all.iter().map(|channel| channel.move_ahead()).collect();
        let channels = tables::move_ahead(&mut self.channels.borrow_mut());
        let leaving = {
            let mut leaving = self.leaving.borrow_mut();
            let ahead = leaving.drain(..).collect();
            mem::replace(&mut *leaving, ahead)
        };
        Box::new((all, of_channels, channels, leaving))
    }
}

/// A [`Hub`] that is not kept; see [`Hub::downgrade`].
#[derive(Clone)]
pub struct WeakHub {
    state: Weak<HubState>,
}

impl WeakHub {
    /// The hub, if it is still there.
    #[inline]
    pub fn upgrade(&self) -> Option<Hub> {
        self.state.upgrade().map(|state| Hub { state })
    }
}

impl Default for Hub {
    #[inline]
    fn default() -> Self {
        Hub::new()
    }
}

impl fmt::Debug for Hub {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("channels", &self.channels()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WeakHub {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakHub")
    }
}
