use std::{ops::RangeInclusive, time::Duration};

use crate::jitter;

/// How an [`EventStream`](super::EventStream) is kept open, and when its client comes back.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::event_stream::EventStreamOptions;
///
/// let options = EventStreamOptions::new()
///     .keep_alive(Duration::from_secs(25))
///     .retry(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct EventStreamOptions {
    pub(super) retry: Option<Duration>,
    pub(super) timing: Timing,
}

/// What a stream has to remember of the options, in few bytes. In milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// 0 when silence is not broken.
    keep_alive: u32,
    drain_retry: (u32, u32),
}

impl EventStreamOptions {
    /// A comment after 15 s of silence, no `retry` at the beginning, and one between 1 and 5 s when the server drains.
    #[inline]
    pub fn new() -> EventStreamOptions {
        EventStreamOptions { retry: None, timing: Timing { keep_alive: 15_000, drain_retry: (1000, 5000) } }
    }

    /// After how much silence a comment is sent. It keeps proxies from taking the connection for dead, which the quickest of
    /// them do after 30 s, and finds clients that have vanished. Zero sends none, and then a client that vanished without a
    /// word holds its stream until the next event.
    #[inline]
    #[must_use]
    pub fn keep_alive(mut self, silence: Duration) -> Self {
        // A shorter time than can be told is not none.
        self.timing.keep_alive = if silence.is_zero() { 0 } else { millis(silence).max(1) };
        self
    }

    /// How long the client waits before it reconnects after the connection broke. Browsers choose some seconds when they are
    /// not told.
    #[inline]
    #[must_use]
    pub fn retry(mut self, wait: Duration) -> Self {
        self.retry = Some(wait);
        self
    }

    /// How long clients wait before they reconnect when the server drains: each is told a random time out of this range, so
    /// that they do not all come back at once. The client keeps that time until it is told another, so set
    /// [`retry`](EventStreamOptions::retry) too if it matters.
    #[inline]
    #[must_use]
    pub fn drain_retry(mut self, wait: RangeInclusive<Duration>) -> Self {
        self.timing.drain_retry = (millis(*wait.start()), millis(*wait.end()));
        self
    }
}

#[cfg(feature = "comet")]
impl EventStreamOptions {
    /// What the client is told at the beginning, and what the stream remembers.
    #[inline]
    pub(crate) fn parts(&self) -> (Option<Duration>, Timing) {
        (self.retry, self.timing)
    }
}

impl Timing {
    #[inline]
    pub(super) fn keep_alive(self) -> Option<Duration> {
        (self.keep_alive > 0).then(|| Duration::from_millis(self.keep_alive.into()))
    }

    /// A random time that a client is to wait.
    #[inline]
    pub(super) fn drain_retry(self) -> Duration {
        let (least, most) = self.drain_retry;
        jitter::between(Duration::from_millis(least.into())..=Duration::from_millis(most.into()))
    }
}

/// Up to 49 days.
fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

impl Default for EventStreamOptions {
    #[inline]
    fn default() -> Self {
        EventStreamOptions::new()
    }
}
