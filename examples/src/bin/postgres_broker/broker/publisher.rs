//! Layer: web.
//!
//! The task that writes.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use tokio_postgres::{Statement, types::ToSql};
use web::{
    comet::{Cursor, Publication},
    sleep,
    sync::Queue,
};

use super::{
    Shared,
    back_off::{BackOff, random},
    connection::{Connection, answered},
    failure::{Error, Failure},
    query,
};

/// A message to be published.
pub struct Job {
    channel: String,
    data: String,
    key: Option<String>,
    /// The same for every attempt, by which the log knows it.
    token: String,
    /// How long it waits.
    deadline: Instant,
    answer: Rc<Queue<Result<Cursor, Failure>>>,
}

pub struct Publisher {
    shared: Rc<Shared>,
    session: Option<Session>,
    back_off: BackOff,
}

struct Session {
    connection: Connection,
    publish: Statement,
    /// What is sent in this session gets a larger id.
    largest: i64,
}

/// Why messages were not published, as far as is known.
enum Trouble {
    NotSent(Error),
    /// They may have been taken, with ids that are larger.
    Sent(Error, i64),
}

/// So many publications share a transaction.
const BATCH: usize = 256;

impl Job {
    pub fn new(
        channel: &str,
        publication: &Publication,
        wait: Duration,
        answer: Rc<Queue<Result<Cursor, Failure>>>,
    ) -> Job {
        Job {
            channel: channel.to_owned(),
            data: String::from_utf8_lossy(&publication.data).into_owned(),
            key: publication.key.as_deref().map(str::to_owned),
            token: format!("{:016x}{:016x}", random(), random()),
            deadline: Instant::now() + wait,
            answer,
        }
    }

    fn answer(&self, result: Result<Cursor, Failure>) {
        // It is the only answer, so there is room.
        let _ = self.answer.try_put(result);
    }
}

impl Publisher {
    pub fn new(shared: Rc<Shared>) -> Publisher {
        Publisher { shared, session: None, back_off: BackOff::default() }
    }

    /// Works until the broker has gone and all that it was given is done.
    pub async fn run(mut self) {
        while let Some(batch) = self.next_batch().await {
            self.work(batch, None).await;
        }
    }

    async fn next_batch(&self) -> Option<Vec<Job>> {
        let jobs = &self.shared.jobs;
        if self.shared.closed.get() && jobs.is_empty() {
            return None;
        }
        let mut batch: Vec<Job> = jobs.get().await.into_iter().collect();
        while batch.len() < BATCH
            && let Some(job) = jobs.try_get()
        {
            batch.extend(job);
        }
        Some(batch)
    }

    /// Publishes `batch`, or tells why not. With `sent_after` it may have been published, with ids that are larger.
    async fn work(&mut self, mut batch: Vec<Job>, mut sent_after: Option<i64>) {
        while !batch.is_empty() {
            let error = match self.attempt(&batch, sent_after).await {
                Ok(cursors) => {
                    self.back_off.reset();
                    return batch.iter().zip(cursors).for_each(|(job, cursor)| job.answer(Ok(cursor)));
                }
                Err(Trouble::Sent(error, _)) if error.is_refusal() => {
                    return self.refuse(batch, error, sent_after).await;
                }
                Err(Trouble::Sent(error, largest)) => {
                    sent_after = sent_after.or(Some(largest));
                    error
                }
                Err(Trouble::NotSent(error)) => error,
            };
            let failure = match sent_after {
                Some(_) => Failure::Unknown(Rc::new(error)),
                None => Failure::NotConnected(Rc::new(error)),
            };
            self.give_up(&mut batch, failure).await;
        }
    }

    /// Sends them. A session that has failed is given up, with whatever went on in it.
    async fn attempt(&mut self, batch: &[Job], sent_after: Option<i64>) -> Result<Vec<Cursor>, Trouble> {
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::open(&self.shared).await.map_err(Trouble::NotSent)?,
        };
        let result = session.publish(batch, sent_after).await;
        let result = result.map_err(|error| Trouble::Sent(error, session.largest));
        if !session.connection.is_closed() && !matches!(&result, Err(Trouble::Sent(error, _)) if !error.is_refusal()) {
            self.session = Some(session);
        }
        result
    }

    /// One of them cannot be published, and with it none of the transaction was. The others are not to suffer.
    async fn refuse(&mut self, batch: Vec<Job>, error: Error, sent_after: Option<i64>) {
        if batch.len() > 1 {
            for job in batch {
                Box::pin(self.work(vec![job], sent_after)).await;
            }
        } else {
            let is_untold = error.is_untold();
            let failure = if is_untold { Failure::Unknown } else { Failure::Refused }(Rc::new(error));
            batch.iter().for_each(|job| job.answer(Err(failure.clone())));
        }
    }

    /// Takes those out that do not wait any longer, and pauses for the others.
    async fn give_up(&mut self, batch: &mut Vec<Job>, failure: Failure) {
        let (now, is_closed) = (Instant::now(), self.shared.closed.get());
        batch.extract_if(.., |job| is_closed || job.deadline <= now).for_each(|job| job.answer(Err(failure.clone())));
        if let Some(last) = batch.iter().map(|job| job.deadline).max() {
            sleep(self.back_off.next().min(last - now)).await;
        }
    }
}

impl Session {
    async fn open(shared: &Shared) -> Result<Session, Error> {
        let connection = Connection::open(&shared.options, |_| {}).await?;
        let publish = answered(connection.client().prepare(query::PUBLISH)).await?;
        let largest = answered(connection.client().query_one(query::LARGEST, &[])).await?.get(0);
        Ok(Session { connection, publish, largest })
    }

    /// The cursor of each message.
    async fn publish(&self, batch: &[Job], sent_after: Option<i64>) -> Result<Vec<Cursor>, Error> {
        let column = |of: fn(&Job) -> &str| batch.iter().map(of).collect::<Vec<&str>>();
        let (channels, data, tokens) = (column(|job| &job.channel), column(|job| &job.data), column(|job| &job.token));
        let keys: Vec<Option<&str>> = batch.iter().map(|job| job.key.as_deref()).collect();
        let parameters: [&(dyn ToSql + Sync); 5] = [&channels, &data, &keys, &tokens, &sent_after];
        let mut rows = answered(self.connection.client().query(&self.publish, &parameters)).await?;
        if rows.len() < batch.len() {
            return Err(Error::Empty);
        }
        rows.sort_by_key(|row| row.get::<_, i64>(0));
        Ok(rows.iter().map(|row| cursor(row.get(2), row.get(1))).collect())
    }
}

/// The cursor of a message.
pub fn cursor(epoch: i64, id: i64) -> Cursor {
    Cursor::new(epoch as u64, (id as u64, 0))
}
