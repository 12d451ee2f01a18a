//! Layer: web.
//!
//! A broker over PostgreSQL: the log is a table, and NOTIFY says that there is something new in it.
//!
//! `schema.sql` has the log itself: its tables, and the function that publishes. `connection.rs` connects over a stream of the
//! loop, without a runtime or a thread. `publisher.rs` writes over one connection, `reader.rs` reads over another one that
//! listens, and `channels.rs` is what the reader follows. `query.rs` has what they ask.

mod back_off;
mod channels;
mod connection;
mod failure;
mod options;
mod publisher;
mod query;
mod reader;

use std::{
    cell::{Cell, OnceCell},
    fmt,
    rc::Rc,
};

use web::{
    comet::{
        Publication,
        broker::{Broker, Feed, Published},
    },
    spawn,
    sync::{Event, Queue},
};

pub use self::options::PostgresOptions;
use self::{
    channels::Channels,
    failure::Failure,
    publisher::{Job, Publisher},
    reader::Reader,
};

/// A table of PostgreSQL as the [`Broker`] of a hub: the hubs of any number of processes and machines that use the same database
/// have the same messages.
///
/// * A message has an id, which grows within its channel in the order of the commits. It is the position of its cursor. The
///   epoch is that of the log: one that was dropped and made again has another.
/// * When a connection breaks it is made again, with growing pauses of up to 5 s. Then reading goes on where it was. What was
///   published in between is not lost as long as the log keeps it: see [`PostgresOptions::history`].
/// * A publication waits for a connection, 5 s by default, and then fails. One whose answer is lost is sent again with the same
///   token, by which the log knows it, so it is published once.
/// * Other programs publish by `SELECT waterspout.publish(channel, json)`, in their transactions.
///
/// PostgreSQL from version 13 on, in UTF-8. The user has to be allowed to create the schema, or somebody else has to have done so.
/// A pooler in between has to keep sessions.
///
/// # Costs
///
/// Two connections. A message takes a commit; those that wait at the same time share one. Every message wakes every process
/// that listens, whatever channels it has, so it suits some thousand messages a second.
pub struct PostgresBroker {
    shared: Rc<Shared>,
    /// Set when the tasks have been started, which needs a loop.
    started: OnceCell<()>,
}

/// What the broker and its two tasks know of each other.
struct Shared {
    options: PostgresOptions,
    channels: Channels,
    /// `None` wakes the publisher when the broker goes.
    jobs: Queue<Option<Job>>,
    /// Wakes the reader.
    news: Event,
    closed: Cell<bool>,
}

/// So many publications may wait for the server; more fail at once.
const MOST_JOBS: usize = 10_000;

impl PostgresBroker {
    fn new(options: PostgresOptions) -> PostgresBroker {
        let (channels, news, closed) = Default::default();
        let shared = Shared { options, channels, jobs: Queue::bounded(MOST_JOBS), news, closed };
        PostgresBroker { shared: Rc::new(shared), started: OnceCell::new() }
    }

    fn start(&self) {
        self.started.get_or_init(|| {
            drop(spawn(Publisher::new(self.shared.clone()).run()));
            drop(spawn(Reader::new(self.shared.clone()).run()));
        });
    }
}

impl Broker for PostgresBroker {
    fn publish(&self, channel: &str, publication: Publication) -> Published {
        self.start();
        let answer = Rc::new(Queue::bounded(1));
        let job = Job::new(channel, &publication, self.shared.options.publish_timeout, answer.clone());
        if self.shared.jobs.try_put(Some(job)).is_err() {
            return Published::failed(Failure::TooMany.into_error());
        }
        // The publisher answers every job, also when the broker has gone.
        Published::later(async move { answer.get().await.map_err(Failure::into_error) })
    }

    fn subscribe(&self, feed: Feed) {
        self.start();
        self.shared.channels.insert(feed);
        self.shared.news.set();
    }

    fn unsubscribe(&self, channel: &str) {
        self.shared.channels.remove(channel);
    }
}

impl Drop for PostgresBroker {
    fn drop(&mut self) {
        self.shared.closed.set(true);
        self.shared.news.set();
        // If there is no room, the publisher does not sleep, and sees that the broker has gone.
        let _ = self.shared.jobs.try_put(None);
    }
}

impl fmt::Debug for PostgresBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresBroker")
    }
}
