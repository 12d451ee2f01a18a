use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_channel::Sender;

use super::{RedisBroker, entry::Id, failure::Failure, publisher::PublishJob};
use crate::{
    comet::{LONGEST, Publication},
    error::Result,
    jitter,
};

/// Which server a [`RedisBroker`] uses, and how.
///
/// All hubs that share messages should have the same options.
#[derive(Clone)]
pub struct RedisOptions {
    pub(super) client: redis::Client,
    pub(super) prefix: Arc<str>,
    pub(super) max_messages: usize,
    pub(super) expire_after: Duration,
    pub(super) publish_timeout: Duration,
}

impl RedisOptions {
    /// A server by its URL: `redis://user:password@host:port/database`, or `redis+unix:///path`. With the default prefix
    /// `waterspout:`, and the other defaults that the methods name.
    ///
    /// # Errors
    ///
    /// When it is no such URL.
    #[inline]
    pub fn new(url: &str) -> Result<RedisOptions> {
        let client = redis::Client::open(url).map_err(|error| Failure::NoUrl(Arc::new(error)).into_error())?;
        Ok(RedisOptions {
            client,
            prefix: "waterspout:".into(),
            max_messages: 1000,
            expire_after: Duration::from_secs(3600),
            publish_timeout: Duration::from_secs(5),
        })
    }

    /// What all keys begin with. Applications that share a server have different ones.
    #[inline]
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many messages of a channel the server keeps at least, and after how much silence it forgets the channel. 1,000 and an
    /// hour by default. It keeps some more than so many, because that is cheaper.
    ///
    /// This bounds how long a hub may be without its server and how far back the clients of a hub may come that has just been
    /// started. Those who come later are told that they have missed something.
    #[inline]
    #[must_use]
    pub fn history(mut self, messages: usize, silence: Duration) -> Self {
        (self.max_messages, self.expire_after) = (messages.max(1), silence.clamp(Duration::from_secs(1), LONGEST));
        self
    }

    /// How long a publication waits for a connection; 5 s by default, and at most 100 years.
    #[inline]
    #[must_use]
    pub fn publish_timeout(mut self, wait: Duration) -> Self {
        self.publish_timeout = wait.min(LONGEST);
        self
    }

    /// The broker. It connects in the background: a server that cannot be reached now may be reached later.
    ///
    /// # Errors
    ///
    /// When its threads cannot be started.
    #[inline]
    pub fn connect(self) -> Result<RedisBroker> {
        RedisBroker::start(self)
    }

    /// The key of a channel's stream.
    pub(super) fn key(&self, channel: &str) -> String {
        [&*self.prefix, channel].concat()
    }

    /// A key that no channel has, because their names have no control characters.
    pub(super) fn control_key(&self) -> String {
        format!("{}\u{1}{:016x}", self.prefix, jitter::random())
    }

    pub(super) fn publication(
        &self,
        channel: &str,
        publication: Publication,
        reply: Sender<std::result::Result<Id, Failure>>,
    ) -> PublishJob {
        PublishJob {
            stream: self.key(channel),
            data: publication.data,
            key: publication.key.map(|key| key.to_string()),
            deadline: Instant::now() + self.publish_timeout,
            reply,
        }
    }
}

/// The URL may have a password, and is not shown.
impl fmt::Debug for RedisOptions {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_duration_is_no_limit() {
        let options = RedisOptions::new("redis://127.0.0.1").expect("an URL").publish_timeout(Duration::MAX);
        let options = options.history(10, Duration::MAX);
        let years = 365 * 24 * 3600;
        let publication = Publication::new("text".into());
        let job = options.publication("news", publication, async_channel::bounded(1).0);
        assert!(job.deadline.duration_since(Instant::now()).as_secs() > 99 * years);
        // What Redis counts in: it refuses what does not fit.
        assert!(i64::try_from(options.expire_after.as_millis()).is_ok_and(|millis| millis > 99_000 * years as i64));
    }
}
