//! Layer: web.
//!
//! The task that reads.

use std::{
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio_postgres::{Row, Statement, types::ToSql};
use web::{
    comet::{Publication, broker::Feed},
    sleep, timeout,
};

use super::{
    Shared,
    back_off::BackOff,
    channels::Due,
    connection::{Connection, answered},
    failure::Error,
    publisher::cursor,
    query,
};

pub struct Reader {
    shared: Rc<Shared>,
    /// Of the log as it was read last.
    epoch: Option<i64>,
    back_off: BackOff,
}

struct Session {
    connection: Connection,
    read: Statement,
    begin: Statement,
}

/// So many channels are read by one query.
const BATCH: usize = 32;

/// So many messages of each.
const MESSAGES: i64 = 100;

/// The most of a channel that a hub begins with.
const MOST_HISTORY: usize = 10_000;

/// How often it looks without having been told: a connection that was cut without a word says nothing either.
const ROUND: Duration = Duration::from_secs(15);

impl Reader {
    pub fn new(shared: Rc<Shared>) -> Reader {
        Reader { shared, epoch: None, back_off: BackOff::default() }
    }

    /// Reads until the broker has gone.
    pub async fn run(mut self) {
        while !self.shared.closed.get() {
            if let Err(error) = self.follow().await {
                log::warn!("PostgreSQL: {error}; connecting again");
                sleep(self.back_off.next()).await;
            }
        }
    }

    /// Reads over one connection. Ends without an error when the broker has gone.
    async fn follow(&mut self) -> Result<(), Error> {
        let session = Session::open(&self.shared).await?;
        // It listens: from now on it is told of everything, and what came before is read now.
        let mut next_round = Instant::now();
        while !self.shared.closed.get() {
            self.shared.news.clear();
            if next_round <= Instant::now() {
                self.shared.channels.mark("");
                self.tidy(&session).await?;
                next_round = Instant::now() + ROUND.min(self.shared.options.max_age / 4);
            }
            loop {
                let due = self.shared.channels.take_due(BATCH);
                if due.is_empty() {
                    break;
                }
                self.read(&session, due).await?;
            }
            if session.connection.is_closed() {
                return Err(Error::Silent);
            }
            self.back_off.reset();
            // The next round comes when the time is over.
            let _ = timeout(next_round.saturating_duration_since(Instant::now()), self.shared.news.wait()).await;
        }
        Ok(())
    }

    async fn tidy(&self, session: &Session) -> Result<(), Error> {
        session.follow(&self.shared.channels.names()).await?;
        answered(session.connection.client().execute(query::TIDY, &[])).await.map(drop)
    }

    async fn read(&mut self, session: &Session, due: Vec<Due>) -> Result<(), Error> {
        let (known, new): (Vec<Due>, Vec<Due>) = due.into_iter().partition(|due| due.position.is_some());
        if !new.is_empty() {
            session.follow(&new.iter().map(|due| due.name.to_string()).collect::<Vec<_>>()).await?;
        }
        for due in new {
            self.begin(session, &due).await?;
        }
        if !known.is_empty() {
            self.advance(session, known).await?;
        }
        Ok(())
    }

    /// Begins a channel with as much of what there is as clients may ask for.
    async fn begin(&mut self, session: &Session, due: &Due) -> Result<(), Error> {
        let Some(feed) = self.shared.channels.feed(due) else { return Ok(()) };
        let depth = feed.history();
        let most = depth.messages.min(MOST_HISTORY) as i64;
        let bytes = i64::try_from(depth.bytes).unwrap_or(i64::MAX);
        let age = depth.age.as_millis() as f64;
        let parameters: [&(dyn ToSql + Sync); 4] = [&&*due.name, &most, &bytes, &age];
        let rows = answered(session.connection.client().query(&session.begin, &parameters)).await?;
        let Some(first) = rows.first() else { return Err(Error::Empty) };
        let (epoch, dropped) = (first.get(0), first.get(1));
        self.learn_epoch(epoch);
        // In front of the oldest that is delivered.
        let cut: Option<i64> =
            rows.iter().find(|row| row.get::<_, Option<&str>>(4).is_none()).and_then(|row| row.get(2));
        let begin = cut.unwrap_or(dropped);
        let newest = first.get::<_, Option<i64>>(2).unwrap_or(dropped);
        self.shared.channels.advance(due, newest.max(begin), false);
        let Some(feed) = self.shared.channels.feed(due) else { return Ok(()) };
        feed.begin(cursor(epoch, begin));
        let messages = rows.iter().take_while(|row| row.get::<_, Option<&str>>(4).is_some()).collect::<Vec<_>>();
        for row in messages.into_iter().rev() {
            deliver(&feed, epoch, row.get(2), row.get(4), row.get(3));
        }
        Ok(())
    }

    /// Delivers what came since channels were read.
    async fn advance(&mut self, session: &Session, due: Vec<Due>) -> Result<(), Error> {
        let names: Vec<&str> = due.iter().map(|due| &*due.name).collect();
        let positions: Vec<i64> = due.iter().map(|due| due.position.unwrap_or_default()).collect();
        let parameters: [&(dyn ToSql + Sync); 3] = [&names, &positions, &MESSAGES];
        let rows = answered(session.connection.client().query(&session.read, &parameters)).await?;
        let Some(first) = rows.first() else { return Err(Error::Empty) };
        if self.learn_epoch(first.get(1)) {
            return Ok(());
        }
        let mut by_channel: HashMap<i64, Vec<Row>> = HashMap::new();
        rows.into_iter().for_each(|row| by_channel.entry(row.get(0)).or_default().push(row));
        for (number, due) in (1..).zip(due) {
            self.take_in(&due, &by_channel.remove(&number).unwrap_or_default());
        }
        Ok(())
    }

    /// Delivers the messages of one channel.
    fn take_in(&self, due: &Due, rows: &[Row]) {
        let (Some(first), Some(position)) = (rows.first(), due.position) else { return };
        let Some(feed) = self.shared.channels.feed(due) else { return };
        let (epoch, dropped): (i64, i64) = (first.get(1), first.get(2));
        let newest: Option<i64> = rows.last().and_then(|row| row.get(3));
        let is_full = rows.len() as i64 == MESSAGES;
        self.shared.channels.advance(due, newest.unwrap_or(position).max(dropped), is_full);
        if dropped > position {
            // Some of what had to be read is not there any more.
            feed.begin(cursor(epoch, dropped));
        }
        for row in rows {
            if let Some(id) = row.get(3) {
                deliver(&feed, epoch, id, row.get(4), row.get(5));
            }
        }
    }

    /// Whether the log is another one than before. Then all channels begin again.
    fn learn_epoch(&mut self, epoch: i64) -> bool {
        let is_another = self.epoch.replace(epoch).is_some_and(|before| before != epoch);
        if is_another {
            self.shared.channels.begin_again();
        }
        is_another
    }
}

impl Session {
    async fn open(shared: &Rc<Shared>) -> Result<Session, Error> {
        let told = shared.clone();
        let heard = move |name: Option<&str>| {
            if let Some(name) = name {
                told.channels.mark(name);
            }
            told.news.set();
        };
        let connection = Connection::open(&shared.options, heard).await?;
        let client = connection.client();
        answered(client.batch_execute(query::LISTEN)).await?;
        let (read, begin) =
            (answered(client.prepare(query::READ)).await?, answered(client.prepare(query::BEGIN)).await?);
        Ok(Session { connection, read, begin })
    }

    /// It is tried again soon, so somebody who is in the way does not matter.
    async fn follow(&self, names: &[String]) -> Result<(), Error> {
        match answered(self.connection.client().execute(query::FOLLOW, &[&names])).await {
            Err(error) if error.is_lock() => Ok(()),
            result => result.map(drop),
        }
    }
}

fn deliver(feed: &Feed, epoch: i64, id: i64, data: &str, key: Option<&str>) {
    // One that the hub has already is dropped by it.
    feed.deliver(cursor(epoch, id), Publication::new(data.to_owned().into()).with_key(key));
}
