use std::time::Duration;

/// What a [`Hub`](super::Hub) keeps, and what it allows.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::comet::{Hub, HubOptions};
///
/// let hub = Hub::with_options(HubOptions::new().history(500, 1024 * 1024, Duration::from_secs(3600)));
/// ```
#[derive(Debug, Clone)]
pub struct HubOptions {
    pub(super) max_messages: usize,
    pub(super) max_bytes: usize,
    pub(super) max_age: Duration,
    pub(super) idle: Duration,
    pub(super) grace: Duration,
    pub(super) max_channels: usize,
    pub(super) max_name: usize,
    pub(super) max_message: usize,
    pub(super) max_subscribers: usize,
}

impl HubOptions {
    /// The defaults that each method names.
    #[inline]
    pub fn new() -> HubOptions {
        HubOptions {
            max_messages: 256,
            max_bytes: 256 * 1024,
            max_age: Duration::from_secs(300),
            idle: Duration::from_secs(60),
            grace: Duration::from_secs(10),
            max_channels: 100_000,
            max_name: 200,
            max_message: 64 * 1024,
            max_subscribers: 1_000_000,
        }
    }

    /// How much of its messages each channel keeps for those who come back: so many, so many bytes of data and keys, and none that are
    /// older. The latest message is kept whatever its size. By default 256 messages, 256 KiB and 5 minutes. Age is looked at
    /// every few seconds, not to the moment.
    #[inline]
    #[must_use]
    pub fn history(mut self, messages: usize, bytes: usize, age: Duration) -> Self {
        (self.max_messages, self.max_bytes, self.max_age) = (messages.max(1), bytes, age);
        self
    }

    /// How long a channel without messages and subscribers is kept; a minute by default. A client that comes back later finds
    /// another epoch and is told `Reset`, so it should be longer than what lies between two polls.
    #[inline]
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// How long a member counts as present after its last connection has ended: long enough for a page that is loaded again, and
    /// for the time between two polls. 10 s by default, and at most 100 years.
    #[inline]
    #[must_use]
    pub fn presence_grace(mut self, grace: Duration) -> Self {
        self.grace = grace.min(super::LONGEST);
        self
    }

    /// How many channels there may be; 100,000 by default. Beyond it, publishing to a new channel and subscribing to one are
    /// errors (503). A hub with a shared broker needs no channel to publish: there this is the limit for subscribing, and the
    /// broker has its own for what it keeps ([`ProcessLog::max_channels`](super::broker::ProcessLog::max_channels)).
    #[inline]
    #[must_use]
    pub fn max_channels(mut self, channels: usize) -> Self {
        self.max_channels = channels;
        self
    }

    /// The longest name of a channel, in bytes; 200 by default. An empty name and one with control characters are errors as
    /// well (400).
    #[inline]
    #[must_use]
    pub fn max_name(mut self, bytes: usize) -> Self {
        self.max_name = bytes;
        self
    }

    /// The longest message, in bytes of JSON and of its key; 64 KiB by default. A longer one is an error (413).
    #[inline]
    #[must_use]
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How many may subscribe to one channel at a time; a million by default. Another one is an error (503).
    #[inline]
    #[must_use]
    pub fn max_subscribers(mut self, subscribers: usize) -> Self {
        self.max_subscribers = subscribers;
        self
    }
}

impl Default for HubOptions {
    #[inline]
    fn default() -> Self {
        HubOptions::new()
    }
}
