//! The thread that writes.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use async_channel::Sender;
use httpserver::Bytes;
use redis::{Connection, Pipeline, RedisResult};

use super::{
    entry::{DATA, Id, KEY, parse_id},
    failure::Failure,
    shared::{BackOff, Shared},
};

/// What the broker wants done.
pub(super) enum Job {
    Publish(PublishJob),
    /// Look whether the reader is to be told of something.
    Nudge,
}

pub(super) struct PublishJob {
    pub(super) stream: String,
    pub(super) data: Bytes,
    pub(super) key: Option<String>,
    /// How long it waits for a connection.
    pub(super) deadline: Instant,
    pub(super) reply: Sender<Result<Id, Failure>>,
}

pub(super) struct Publisher {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Job>,
    /// With the time of its last answer.
    connection: Option<(Connection, Instant)>,
    back_off: BackOff,
}

/// A connection that was silent for so long is tried first: it may have been cut, and what is sent over such a one fails.
const IDLE: Duration = Duration::from_secs(1);

/// So many publications share a round trip.
const BATCH: usize = 256;

/// For connecting, and for each answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The control stream lives so long after each entry; it has been read by then, or is not waited for.
const CONTROL_EXPIRES: Duration = Duration::from_secs(60);

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Job>) -> Publisher {
        Publisher { shared, queue, connection: None, back_off: BackOff::default() }
    }

    /// Works until the broker has gone and all that it was given is done.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.queue.recv() {
            let jobs = [first].into_iter().chain(self.queue.try_iter()).take(BATCH);
            let batch = jobs.filter_map(|job| match job {
                Job::Publish(job) => Some(job),
                Job::Nudge => None,
            });
            let batch = batch.collect();
            self.work(batch);
        }
    }

    fn work(&mut self, mut batch: Vec<PublishJob>) {
        let Some(mut connection) = self.usable_connection().or_else(|| self.connect(&mut batch)) else { return };
        match self.send(&mut connection, &batch) {
            Ok(results) => {
                self.connection = Some((connection, Instant::now()));
                for (job, result) in batch.iter().zip(results) {
                    let id = result.and_then(|id| parse_id(&id));
                    job.answer(id.map_err(|error| Failure::Refused(Arc::new(error))));
                }
            }
            // It may have arrived, so it is not sent again.
            Err(error) => answer_all(&batch, &Failure::Unknown(Arc::new(error))),
        }
    }

    /// The connection there is, if it still works as far as can be told.
    fn usable_connection(&mut self) -> Option<Connection> {
        let (mut connection, used) = self.connection.take()?;
        let works = used.elapsed() < IDLE || redis::cmd("PING").exec(&mut connection).is_ok();
        works.then_some(connection)
    }

    /// A connection, waited for as long as the last of the jobs does. Those that do not wait any more are taken out.
    fn connect(&mut self, batch: &mut Vec<PublishJob>) -> Option<Connection> {
        loop {
            let error = match self.try_connect() {
                Ok(connection) => {
                    self.back_off.reset();
                    return Some(connection);
                }
                Err(error) => Failure::NotConnected(Arc::new(error)),
            };
            let retry = Instant::now() + self.back_off.next();
            loop {
                let now = Instant::now();
                let is_over = |job: &mut PublishJob| job.deadline <= now || self.shared.is_closed();
                answer_all(&batch.extract_if(.., is_over).collect::<Vec<_>>(), &error);
                if retry <= now && !batch.is_empty() {
                    break;
                }
                self.shared.pause(next_look(batch, retry)?.saturating_duration_since(now));
            }
        }
    }

    fn try_connect(&self) -> RedisResult<Connection> {
        let connection = self.shared.options.client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        Ok(connection)
    }

    /// Sends all at once. The id of each, or why the server refused it.
    fn send(&self, connection: &mut Connection, batch: &[PublishJob]) -> RedisResult<Vec<RedisResult<String>>> {
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        batch.iter().for_each(|job| self.add(&mut pipeline, job));
        // Taken here, behind the jobs that it came with: a failure loses nothing, because the reader then looks by itself.
        if self.shared.take_untold() {
            let control = &*self.shared.control;
            pipeline.cmd("XADD").arg(control).arg("MAXLEN").arg(1).arg("*").arg("look").arg(1).ignore();
            pipeline.cmd("PEXPIRE").arg(control).arg(CONTROL_EXPIRES.as_millis() as u64).ignore();
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        pipeline.query(connection)
    }

    fn add(&self, pipeline: &mut Pipeline, job: &PublishJob) {
        let options = &self.shared.options;
        pipeline.cmd("XADD").arg(&job.stream).arg("MAXLEN").arg("~").arg(options.max_messages).arg("*");
        pipeline.arg(DATA).arg(&job.data[..]);
        if let Some(key) = &job.key {
            pipeline.arg(KEY).arg(key);
        }
        pipeline.cmd("PEXPIRE").arg(&job.stream).arg(options.expire_after.as_millis() as u64).ignore();
    }
}

impl PublishJob {
    fn answer(&self, result: Result<Id, Failure>) {
        // Nobody may wait for it any more.
        let _ = self.reply.try_send(result);
    }
}

/// When there is something to do: a job gives up, or the next attempt is due. `None` when nobody waits any more.
fn next_look(batch: &[PublishJob], retry: Instant) -> Option<Instant> {
    let first = batch.iter().map(|job| job.deadline).min()?;
    Some(first.min(retry))
}

fn answer_all(jobs: &[PublishJob], failure: &Failure) {
    jobs.iter().for_each(|job| job.answer(Err(failure.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(deadline: Instant) -> PublishJob {
        let (reply, _answer) = async_channel::bounded(1);
        PublishJob { stream: String::new(), data: Bytes::new(), key: None, deadline, reply }
    }

    #[test]
    fn no_publication_waits_longer_than_it_should_because_of_others_or_of_a_long_pause() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let batch = [job(now + 3 * second), job(now + 2 * second), job(now + 4 * second)];
        assert_eq!(next_look(&batch, now + 9 * second), Some(now + 2 * second));
        assert_eq!(next_look(&batch, now + second), Some(now + second));
        assert_eq!(next_look(&[], now + second), None);
    }
}
