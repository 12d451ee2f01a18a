//! What carries messages between the hubs of several loops, processes and machines.

mod feed;
mod memory;
mod process;
mod published;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "redis")]
pub use self::redis::{RedisBroker, RedisOptions};
pub use self::{
    feed::{Depth, Feed},
    memory::MemoryBroker,
    process::{ProcessBroker, ProcessLog},
    published::Published,
};
use super::Publication;
use crate::jitter;

/// The log below a [`Hub`](super::Hub): it orders the messages of each channel, gives each its cursor, and feeds them to every
/// hub that has the channel.
///
/// A hub keeps the latest messages of a channel itself, and answers its clients out of that. So a broker delivers, and is not
/// asked again: there is one feed for each channel that a hub has, however many clients it has. All of it happens on the loop
/// of the hub: a broker that works on other threads comes back to it before it calls a [`Feed`].
///
/// # The contract
///
/// *Who allots ids.* The broker, when it takes a message into its log. All hubs see the same message with the same
/// [`Cursor`](super::Cursor), so a client may change from one hub to another with it.
///
/// *Order.* Within a channel, cursors of an epoch grow in the order of the log, and a feed delivers in that order, without
/// leaving one out. Channels have no order among each other. What one hub publishes to one channel, one call after the other,
/// comes in that order.
///
/// *One way.* A message reaches its own hub through the feed, as those of others do. [`publish`](Broker::publish) completes
/// when the message is in the log. The feed may deliver it before or after.
///
/// *The beginning.* A feed is silent until [`Feed::begin`] is called with the cursor in front of what is delivered from then on.
/// A broker with a history begins as far back as [`Feed::history`] says, so that clients may come back to any of its hubs: it
/// calls `begin` with the cursor of the message before those, and delivers them without letting the loop run in between, since
/// who subscribes to what is new begins behind all that is there. One without a history begins at its present.
///
/// *Reconnects.* A broker that has lost its connection goes on behind [`Feed::newest`]. It calls `begin` again with the cursor
/// behind which it goes on, before it delivers anything:
///
/// | that cursor is | then |
/// |---|---|
/// | where the hub stands, or earlier in the same epoch | nothing is missing, and nobody is told anything |
/// | later in the same epoch | messages have been lost, and all subscribers are told [`Lagged`](super::Update::Lagged) |
/// | of another epoch | the log has lost its memory, and all subscribers are told [`Reset`](super::Update::Reset) |
///
/// *Nothing twice.* A hub ignores what is delivered with a cursor that is not later than the newest it has. So a broker may
/// deliver again what it is not sure of, and must not give one message two cursors: one that repeats a publication after a lost
/// answer has to find out whether the first was taken, or say that it failed.
///
/// *When a channel goes.* After [`unsubscribe`](Broker::unsubscribe) the feed is closed, and what is delivered is dropped. The
/// same channel may be subscribed to again at once, with another feed.
///
/// *Epochs.* An epoch says that positions can be compared. A log that begins again at lower positions, or whose positions may
/// be given to other messages, needs another epoch, a random one. 0 is for logs whose ids are unique for ever, as those of
/// Redis Streams, which begin with the time.
///
/// # Examples
///
/// The whole of a broker that works within one hub:
///
/// ```
/// use std::{cell::RefCell, collections::HashMap};
/// use web::comet::{Cursor, Publication, broker::{Broker, Feed, Published}};
///
/// #[derive(Default)]
/// struct Numbered {
///     channels: RefCell<HashMap<String, (Feed, u64)>>,
/// }
///
/// impl Broker for Numbered {
///     fn publish(&self, channel: &str, publication: Publication) -> Published {
///         let mut channels = self.channels.borrow_mut();
///         let (feed, last) = channels.get_mut(channel).expect("it is not shared: the hub subscribes first");
///         *last += 1;
///         let (feed, cursor) = (feed.clone(), Cursor::new(1, (*last, 0)));
///         // The feed wakes tasks, which is foreign code.
///         drop(channels);
///         feed.deliver(cursor, publication);
///         Published::now(cursor)
///     }
///
///     fn subscribe(&self, feed: Feed) {
///         feed.begin(Cursor::new(1, (0, 0)));
///         self.channels.borrow_mut().insert(feed.channel().to_owned(), (feed, 0));
///     }
///
///     fn unsubscribe(&self, channel: &str) {
///         self.channels.borrow_mut().remove(channel);
///     }
///
///     fn is_shared(&self) -> bool {
///         false
///     }
/// }
/// ```
pub trait Broker: 'static {
    /// Takes a message into the log. The call begins it, and order is that of the calls; the result may be waited for.
    ///
    /// # Errors
    ///
    /// When the message is not in the log, or when that is not known; [`Error::Broker`](crate::Error::Broker) is made for it.
    fn publish(&self, channel: &str, publication: Publication) -> Published;

    /// Feeds a channel from now on. Called once for each channel of a hub, until `unsubscribe` is called for it.
    fn subscribe(&self, feed: Feed);

    /// Ends the feed of a channel that its hub has given up.
    fn unsubscribe(&self, channel: &str);

    /// Whether other hubs publish to the same log; true by default.
    ///
    /// If not, the history of a channel is the hub's alone: the hub has a channel before it publishes to it, and keeps it as long
    /// as there are messages. If so, the broker keeps the history, and a hub subscribes to the channels that have clients here. A
    /// cursor ahead of the hub's messages is then one of a hub that is ahead of this one, and is waited for.
    fn is_shared(&self) -> bool {
        true
    }
}

/// 48 bits are enough to tell lives apart, and short as text. Never 0, which is no epoch.
fn random_epoch() -> u64 {
    (jitter::random() >> 16) | 1 << 47
}
