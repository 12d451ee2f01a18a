//! The broker between the loops of one process.

mod inbox;
mod log;

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    fmt,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use httpserver::iostream::ioloop::{IOLoop, spawn, yield_now};

use self::{
    inbox::{Inbox, Letter},
    log::Log,
};
use super::{Broker, Feed, Published};
use crate::{
    comet::{Cursor, Publication, tables},
    error::Error,
};

/// The messages that the hubs of several threads share. Clones are the same log; it goes from thread to thread, and each makes a
/// [broker](ProcessLog::broker) of it for its hub.
///
/// A message is kept once, whatever the number of loops. Each loop that has subscribers gets it through a queue, and is woken for
/// it at most once, however many messages come before it has looked.
///
/// A channel is forgotten when it has neither messages nor hubs. Old messages are looked for when something is published or
/// somebody comes or goes, about once in an eighth of their age.
///
/// # Examples
///
/// ```no_run
/// use web::{
///     Application, Exchange, IOLoop, signal, threads,
///     comet::{Hub, HubOptions, broker::ProcessLog},
/// };
///
/// fn application(hub: Hub) -> Application {
///     Application::new().get("/news", async move |exchange: &mut Exchange| hub.deliver("news").event_stream(exchange))
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let end = signal::shutdown();
///     let log = ProcessLog::new();
///     // A server, a hub and a loop for each core.
///     let servers = threads::serve(0, 8888, move || {
///         let hub = Hub::with_broker(HubOptions::new(), log.broker());
///         Ok(application(hub).into_server())
///     })?;
///     // The main thread has a loop of its own, for signals alone.
///     IOLoop::current().run_sync(async {
///         end.await?;
///         servers.drain(std::time::Duration::from_secs(10)).await?;
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone)]
pub struct ProcessLog {
    log: Arc<Mutex<Log>>,
}

impl ProcessLog {
    /// An empty log that keeps 256 messages, 256 KiB of data and 5 minutes of each channel, as a hub does by default.
    #[inline]
    pub fn new() -> ProcessLog {
        ProcessLog::with_history(256, 256 * 1024, Duration::from_secs(300))
    }

    /// An empty log that keeps so many messages of each channel, so many bytes of their data, and none that are older. The latest
    /// message is kept whatever its size. More than the hubs keep is of no use to anybody.
    #[inline]
    pub fn with_history(messages: usize, bytes: usize, age: Duration) -> ProcessLog {
        ProcessLog { log: Arc::new(Mutex::new(Log::new(messages.max(1), bytes, age))) }
    }

    /// How many channels the log has at most; 100,000 by default, as a hub. Beyond it, publishing to a channel that has neither
    /// messages nor hubs is an error (503), so that nobody fills the memory by names that are ever new.
    #[must_use]
    pub fn max_channels(self, channels: usize) -> ProcessLog {
        self.lock().set_max_channels(channels);
        self
    }

    /// The broker of one hub, on this thread.
    #[inline]
    pub fn broker(&self) -> ProcessBroker {
        ProcessBroker { log: self.clone(), inbox: Arc::default(), feeds: Rc::default(), ioloop: OnceCell::new() }
    }

    /// Nothing that runs under the lock can panic half way.
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ProcessLog {
    #[inline]
    fn default() -> Self {
        ProcessLog::new()
    }
}

impl fmt::Debug for ProcessLog {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessLog").finish_non_exhaustive()
    }
}

/// A [`ProcessLog`] as the broker of one hub; made by [`ProcessLog::broker`]. It belongs to the loop that first uses it.
pub struct ProcessBroker {
    log: ProcessLog,
    inbox: Arc<Inbox>,
    feeds: Feeds,
    /// Set when the task that empties the inbox has been started.
    ioloop: OnceCell<IOLoop>,
}

type Feeds = Rc<RefCell<HashMap<Arc<str>, Feed>>>;

/// After so many messages others have their turn.
const BURST: usize = 256;

impl ProcessBroker {
    #[inline]
    fn ioloop(&self) -> &IOLoop {
        self.ioloop.get_or_init(|| {
            drop(spawn(deliver(self.inbox.clone(), self.feeds.clone())));
            IOLoop::current()
        })
    }
}

impl Broker for ProcessBroker {
    #[inline]
    fn publish(&self, channel: &str, publication: Publication) -> Published {
        let now = self.ioloop().turn_time();
        let taken = self.log.lock().publish(channel, publication, now);
        let Some((cursor, wakers)) = taken else {
            return Published::failed(Error::HubFull("too many channels with messages in the log"));
        };
        // Waking is foreign code, and others need the lock.
        wakers.into_iter().for_each(|waker| waker.wake());
        Published::now(cursor)
    }

    #[inline]
    fn subscribe(&self, feed: Feed) {
        let now = self.ioloop().turn_time();
        let (channel, letters) = self.log.lock().subscribe(feed.channel(), &self.inbox, now);
        let previous = self.feeds.borrow_mut().insert(channel, feed.clone());
        drop(previous);
        // What is published from now on comes through the inbox, and so behind these.
        letters.into_iter().for_each(|letter| letter.deliver(&feed));
    }

    #[inline]
    fn unsubscribe(&self, channel: &str) {
        let feed = tables::remove(&mut self.feeds.borrow_mut(), channel);
        drop(feed);
        let now = self.ioloop().turn_time();
        self.log.lock().unsubscribe(channel, &self.inbox, now);
    }
}

impl Drop for ProcessBroker {
    fn drop(&mut self) {
        let feeds = self.feeds.take();
        if let Some(ioloop) = self.ioloop.get() {
            let (mut log, now) = (self.log.lock(), ioloop.turn_time());
            feeds.keys().for_each(|channel| log.unsubscribe(channel, &self.inbox, now));
        }
        self.inbox.close();
    }
}

impl fmt::Debug for ProcessBroker {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessBroker").field("channels", &self.feeds.borrow().len()).finish_non_exhaustive()
    }
}

/// Passes on what comes, until the broker is dropped.
async fn deliver(inbox: Arc<Inbox>, feeds: Feeds) {
    while let Some(letters) = inbox.take().await {
        for (at, letter) in letters.into_iter().enumerate() {
            if at > 0 && at % BURST == 0 {
                yield_now().await;
            }
            // One that is late for a channel that has gone, or gone and come back, does no harm: its cursor is known already, or
            // is of another epoch.
            let feed = feeds.borrow().get(&letter.channel).cloned();
            if let Some(feed) = feed {
                letter.deliver(&feed);
            }
        }
    }
}

impl Letter {
    #[inline]
    fn deliver(self, feed: &Feed) {
        let cursor = Cursor::new(self.epoch, (self.number, 0));
        match self.message {
            Some(message) => _ = feed.deliver(cursor, message.into_publication()),
            None => feed.begin(cursor),
        }
    }
}
