//! The thread that reads.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_channel::Sender;
use httpserver::iostream::ioloop::Printable;
use redis::{Connection, RedisResult, cmd};

use super::{
    entry::{Id, Row, id_text, parse_id},
    shared::{BackOff, Change, Shared},
    stream::{Delivery, Stream},
};

pub(super) struct Reader {
    shared: Arc<Shared>,
    deliveries: Sender<Delivery>,
    /// By key.
    streams: HashMap<String, Stream>,
    /// The last entry of the control stream.
    told: Id,
    back_off: BackOff,
}

/// How long the server waits for an entry before it says that there is none. Also how long a change goes unnoticed if the other
/// connection cannot tell of it.
const WAIT: Duration = Duration::from_secs(5);

/// A server that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// So many entries of each stream are read at a time.
const BATCH: usize = 500;

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, deliveries: Sender<Delivery>) -> Reader {
        let (streams, told, back_off) = Default::default();
        Reader { shared, deliveries, streams, told, back_off }
    }

    /// Reads until the broker has gone.
    pub(super) fn run(mut self) {
        while !self.shared.is_closed() {
            if let Err(error) = self.read() {
                log::warn!("Redis: {}; connecting again", Printable::display(&error));
                self.shared.pause(self.back_off.next());
            }
        }
    }

    /// Reads over one connection. Ends without an error when the broker has gone.
    fn read(&mut self) -> RedisResult<()> {
        let mut connection = self.shared.options.client.get_connection_with_timeout(CONNECT_TIMEOUT)?;
        connection.set_read_timeout(Some(SILENCE))?;
        connection.set_write_timeout(Some(SILENCE))?;
        let mut unattached: Vec<String> = self.streams.keys().cloned().collect();
        while let Some(changes) = self.shared.take_changes() {
            // What is known is attached by the next connection, when this one fails.
            changes.into_iter().for_each(|change| unattached.extend(self.apply(change)));
            for key in unattached.drain(..) {
                self.attach(&mut connection, &key)?;
            }
            self.read_once(&mut connection)?;
            self.back_off.reset();
        }
        Ok(())
    }

    /// The key of a stream that has to be attached.
    fn apply(&mut self, change: Change) -> Option<String> {
        match change {
            Change::Subscribe { channel, life, depth } => {
                let stream = Stream::new(channel, life, depth, &self.shared.options);
                let key = stream.key().to_owned();
                self.streams.insert(key.clone(), stream);
                Some(key)
            }
            Change::Unsubscribe { channel, life } => {
                let key = self.shared.options.key(&channel);
                if self.streams.get(&key).is_some_and(|stream| stream.life == life) {
                    self.streams.remove(&key);
                }
                None
            }
        }
    }

    fn attach(&mut self, connection: &mut Connection, key: &str) -> RedisResult<()> {
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        match stream.attach(connection, &self.shared.options) {
            Ok(delivery) => {
                if let Some(delivery) = delivery {
                    self.deliver(delivery);
                }
                Ok(())
            }
            // Somebody else's key. Every read would fail with it, and so for all other channels.
            Err(error) if error.code() == Some("WRONGTYPE") => {
                log::error!("Redis: {} is no stream, so nothing is heard of its channel", Printable::text(key));
                self.streams.remove(key);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for entries of any stream, and delivers them.
    fn read_once(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(BATCH).arg("BLOCK").arg(WAIT.as_millis() as u64).arg("STREAMS");
        read.arg(&self.shared.control);
        self.streams.keys().for_each(|key| _ = read.arg(key));
        read.arg(id_text(self.told));
        self.streams.values().for_each(|stream| _ = read.arg(id_text(stream.last())));
        let replies: Option<Vec<(String, Vec<Row>)>> = read.query(connection)?;
        for (key, rows) in replies.unwrap_or_default() {
            if let Some(stream) = self.streams.get_mut(&key) {
                let delivery = stream.advance(rows)?;
                self.deliver(delivery);
            } else if let Some((id, _)) = rows.last() {
                self.told = parse_id(id)?;
            }
        }
        Ok(())
    }

    /// Waits while the loop has enough to do. Fails only when the broker has gone, which `read` sees.
    fn deliver(&self, delivery: Delivery) {
        let _ = self.deliveries.send_blocking(delivery);
    }
}
