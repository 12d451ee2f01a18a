//! The broker between processes and machines, over Redis Streams. Feature `redis`.
//!
//! The crate `redis` blocks, so two threads talk to the server: one reads ([`reader`]) and one writes ([`publisher`]). What they
//! have for the loop comes through one channel, and wakes the loop once for a batch.

mod entry;
mod failure;
mod options;
mod publisher;
mod reader;
mod shared;
mod stream;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    fmt, io,
    rc::Rc,
    sync::{Arc, mpsc},
    thread,
};

use async_channel::Receiver;
use httpserver::iostream::ioloop::spawn;

pub use self::options::RedisOptions;
use self::{
    failure::Failure,
    publisher::{Job, Publisher},
    reader::Reader,
    shared::{Change, Shared},
    stream::Delivery,
};
use super::{Broker, Feed, Published};
use crate::{
    comet::{Cursor, Publication, tables},
    error::{Error, Result},
};

/// Redis Streams as the [`Broker`] of a hub: the hubs of any number of processes and machines that use the same server and prefix
/// have the same messages.
///
/// * Each channel is a stream, the key of which is the [prefix](RedisOptions::prefix) and the channel's name. An entry has the
///   fields `data`, which is JSON, and `key` if the message has one. Other programs may add such entries by `XADD`; entries of
///   another kind are skipped.
/// * The id of an entry is the [`Cursor`] of its message, so a client may go on at any of the hubs.
/// * When the connection breaks it is made again, with growing pauses of up to 5 s. Then reading goes on where it was. What was
///   published in between is not lost as long as the server kept it: see [`RedisOptions::history`].
/// * A publication waits for a connection, 5 s by default, and then fails. One that was sent when the connection broke fails with
///   an error that says that it may have been taken; it is not repeated, because that could publish it twice.
///
/// Redis or Valkey from version 5 on, no cluster: all streams are read by one command. The server's clock allots the ids.
///
/// # Costs
///
/// Two threads and two connections. Each read names all channels of the hub, so it suits some thousands of them. A message takes a
/// round trip to the server; many published at once share one.
///
/// # Examples
///
/// ```no_run
/// use web::comet::{Hub, HubOptions, broker::RedisOptions};
///
/// let broker = RedisOptions::new("redis://127.0.0.1/")?.prefix("chat:").connect()?;
/// let hub = Hub::with_broker(HubOptions::new(), broker);
/// # Ok::<_, web::Error>(())
/// ```
pub struct RedisBroker {
    shared: Arc<Shared>,
    jobs: mpsc::SyncSender<Job>,
    deliveries: Receiver<Delivery>,
    feeds: Feeds,
    next_life: Cell<u64>,
    /// Set when the task that passes deliveries on has been started.
    started: OnceCell<()>,
}

/// The feed of each channel. A channel that has gone and come back has another life, so that what was read for the first is not
/// taken for the second's.
type Feeds = Rc<RefCell<HashMap<Arc<str>, (u64, Feed)>>>;

/// So many publications may wait for the server; more fail at once.
const MOST_JOBS: usize = 10_000;

/// So many deliveries may wait for the loop; then reading waits.
const MOST_DELIVERIES: usize = 64;

impl RedisBroker {
    fn start(options: RedisOptions) -> Result<RedisBroker> {
        let shared = Arc::new(Shared::new(options));
        let (jobs, queue) = mpsc::sync_channel(MOST_JOBS);
        let (sender, deliveries) = async_channel::bounded(MOST_DELIVERIES);
        let publisher = Publisher::new(shared.clone(), queue);
        let reader = Reader::new(shared.clone(), sender);
        start_thread("redis-publish", move || publisher.run())?;
        start_thread("redis-read", move || reader.run())?;
        let (feeds, next_life, started) = Default::default();
        Ok(RedisBroker { shared, jobs, deliveries, feeds, next_life, started })
    }

    /// Has the reader look at what has changed. When the queue is full the publisher does so behind what it has in hand.
    fn change(&self, change: Change) {
        self.shared.change(change);
        let _ = self.jobs.try_send(Job::Nudge);
    }
}

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let started: io::Result<_> = thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(drop).map_err(|error| Error::Broker(Box::new(error)))
}

impl Broker for RedisBroker {
    #[inline]
    fn publish(&self, channel: &str, publication: Publication) -> Published {
        let (reply, answer) = async_channel::bounded(1);
        let job = self.shared.options.publication(channel, publication, reply);
        if self.jobs.try_send(Job::Publish(job)).is_err() {
            return Published::failed(Failure::TooMany.into_error());
        }
        Published::later(async move {
            // The publisher answers each job, and goes only when the broker is dropped.
            match answer.recv().await.unwrap_or(Err(Failure::Closed)) {
                Ok(id) => Ok(Cursor::new(0, id)),
                Err(failure) => Err(failure.into_error()),
            }
        })
    }

    #[inline]
    fn subscribe(&self, feed: Feed) {
        self.started.get_or_init(|| drop(spawn(deliver(self.deliveries.clone(), self.feeds.clone()))));
        let (channel, life) = (Arc::<str>::from(feed.channel()), self.next_life.get());
        self.next_life.set(life + 1);
        let depth = feed.history();
        let previous = self.feeds.borrow_mut().insert(channel.clone(), (life, feed));
        drop(previous);
        self.change(Change::Subscribe { channel, life, depth });
    }

    #[inline]
    fn unsubscribe(&self, channel: &str) {
        let removed = tables::remove(&mut self.feeds.borrow_mut(), channel);
        if let Some((life, _)) = removed {
            // What is read for it until the reader looks is dropped.
            self.shared.change(Change::Unsubscribe { channel: channel.into(), life });
        }
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        self.shared.close();
        self.deliveries.close();
        // Has the reader look, which then ends. The publisher ends when it has done what it was given.
        let _ = self.jobs.try_send(Job::Nudge);
    }
}

impl fmt::Debug for RedisBroker {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBroker").field("channels", &self.feeds.borrow().len()).finish_non_exhaustive()
    }
}

/// Passes on what was read, until the broker is dropped.
async fn deliver(deliveries: Receiver<Delivery>, feeds: Feeds) {
    while let Ok(delivery) = deliveries.recv().await {
        let feed = match feeds.borrow().get(&delivery.channel) {
            Some((life, feed)) if *life == delivery.life => feed.clone(),
            _ => continue,
        };
        if let Some(id) = delivery.begin {
            feed.begin(Cursor::new(0, id));
        }
        for message in delivery.messages {
            feed.deliver(Cursor::new(0, message.id), Publication::new(message.data).with_key(message.key.as_deref()));
        }
    }
}
