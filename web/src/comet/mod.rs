//! The comet kit: named channels whose messages reach clients by long poll, server-sent events or WebSocket, without one being
//! lost between two connections. Feature `comet`.
//!
//! * A [`Hub`] has channels by name. [`Hub::publish`] sends a message, and [`Hub::subscribe`] receives.
//! * A [`Cursor`] is a place in the messages of a channel. A client comes back with its last one, on any way, and goes on where
//!   it was.
//! * A [`Delivery`] brings a channel to the client of an exchange: [`long_poll`](Delivery::long_poll),
//!   [`event_stream`](Delivery::event_stream), and `websocket` with the feature of that name.
//! * A [`Broker`](broker::Broker) is what carries messages between hubs; [the default one](broker::MemoryBroker) has one hub
//!   alone.
//!
//! # What a client is told
//!
//! Each message of the channel, in order, once. If that cannot be, it is told so: *lagged* when messages fell out of the
//! [history](HubOptions::history) before it came to read them, *reset* when the channel has begun a new life since it was here.
//! In both cases its picture of the channel has a hole. It gets what is still there, and asks the application for the rest.
//!
//! # Messages
//!
//! A message is JSON, so that pages read the same on all ways. It is serialised once, when it is published. What is sent of it is
//! made once for each way, when the first client of that way receives it, and shared by all.
//!
//! # Costs
//!
//! A channel takes about half a kilobyte and its messages. A subscriber is a place in the channel, of 56 bytes and 32 more while
//! it waits: it has no queue and no task. An event stream takes some 240 bytes beyond its connection, a WebSocket as much as one
//! that echoes, a long poll 80 beyond any other request that waits. A message wakes all waiting subscribers, and each receives
//! it in its own task.
//!
//! # What it is not for
//!
//! Messages that must never be lost, whatever happens: the history is bounded, and a client may stay away for too long. Keep
//! those in a database, and publish that there is something new.

pub mod broker;
mod channel;
mod cursor;
mod delivery;
mod events;
mod history;
mod hub;
mod long_poll;
mod message;
mod options;
mod presence;
#[cfg(feature = "websocket")]
mod socket;
mod subscription;
mod tables;
mod update;

pub use self::{
    cursor::{Cursor, ParseCursorError},
    delivery::Delivery,
    hub::{Hub, WeakHub},
    long_poll::LongPoll,
    message::{Message, Publication},
    options::HubOptions,
    presence::{Member, PresenceChange, PresenceEvent},
    subscription::{Start, Subscription},
    update::{SlowPolicy, Update},
};

/// What is longer than this is as good as for ever. The clocks cannot count all of a `Duration`.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 24 * 3600);
