//! The stream of one channel, as the reader follows it.

use std::sync::Arc;

use redis::{Connection, RedisResult, cmd};

use super::{
    entry::{BEGIN, Id, ReadMessage, Row, after, before, id_text, message, parse_id},
    options::RedisOptions,
};
use crate::comet::broker::Depth;

pub(super) struct Stream {
    pub(super) channel: Arc<str>,
    pub(super) life: u64,
    depth: Depth,
    key: String,
    /// Where reading goes on; `None` before it has begun.
    last: Option<Id>,
}

/// What was read, for the loop.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) channel: Arc<str>,
    pub(super) life: u64,
    /// Behind which the messages begin.
    pub(super) begin: Option<Id>,
    pub(super) messages: Vec<ReadMessage>,
}

/// The most of a stream that a hub begins with.
const MOST_HISTORY: usize = 10_000;

impl Stream {
    pub(super) fn new(channel: Arc<str>, life: u64, depth: Depth, options: &RedisOptions) -> Stream {
        let key = options.key(&channel);
        Stream { channel, life, depth, key, last: None }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn last(&self) -> Id {
        self.last.unwrap_or_default()
    }

    /// Finds the place to go on from, over a new connection or for a new channel. What is to be delivered first.
    ///
    /// Servers drop the oldest entries first. So as long as there is one that this reader has seen already, or the mark it made,
    /// none behind it is missing.
    pub(super) fn attach(
        &mut self,
        connection: &mut Connection,
        options: &RedisOptions,
    ) -> RedisResult<Option<Delivery>> {
        if let Some(last) = self.last {
            let oldest: Vec<Row> =
                cmd("XRANGE").arg(&self.key).arg("-").arg("+").arg("COUNT").arg(1).query(connection)?;
            if let Some((id, _)) = oldest.first()
                && parse_id(id)? <= last
            {
                return Ok(None);
            }
        }
        self.begin(connection, options).map(Some)
    }

    /// Takes in what was read behind `last`.
    pub(super) fn advance(&mut self, rows: Vec<Row>) -> RedisResult<Delivery> {
        let mut messages = Vec::with_capacity(rows.len());
        for (id, fields) in rows {
            let id = parse_id(&id)?;
            self.last = Some(id);
            messages.extend(message(id, &fields));
        }
        Ok(self.delivery(None, messages))
    }

    /// Begins with as much of what there is as clients may ask for.
    fn begin(&mut self, connection: &mut Connection, options: &RedisOptions) -> RedisResult<Delivery> {
        let (seconds, micros): (u64, u64) = cmd("TIME").query(connection)?;
        let now = seconds * 1000 + micros / 1000;
        let most = self.depth.messages.min(MOST_HISTORY);
        let mut newest = self.newest(connection, most + 1)?;
        if newest.is_empty() {
            self.last = Some(self.mark(connection, options)?);
            // Somebody may have published in between.
            newest = self.newest(connection, most + 1)?;
        }
        let Some((id, _)) = newest.first() else { return Ok(self.delivery(self.last, Vec::new())) };
        self.last = Some(parse_id(id)?);
        let oldest_time = now.saturating_sub(u64::try_from(self.depth.age.as_millis()).unwrap_or(u64::MAX));
        let (begin, messages) = self.choose(newest, most, oldest_time)?;
        Ok(self.delivery(Some(begin), messages))
    }

    /// The newest entries, at most so many, newest first.
    fn newest(&self, connection: &mut Connection, count: usize) -> RedisResult<Vec<Row>> {
        cmd("XREVRANGE").arg(&self.key).arg("+").arg("-").arg("COUNT").arg(count).query(connection)
    }

    /// The messages to begin with, oldest first, and the id in front of them.
    fn choose(&self, newest: Vec<Row>, most: usize, oldest_time: u64) -> RedisResult<(Id, Vec<ReadMessage>)> {
        let (mut begin, mut bytes, mut messages) = ((0, 0), 0, Vec::new());
        for (id, fields) in newest {
            let id = parse_id(&id)?;
            let Some(message) = message(id, &fields) else {
                begin = id;
                continue;
            };
            bytes += message.data.len() + message.key.as_ref().map_or(0, String::len);
            let too_much = messages.len() >= most || (bytes > self.depth.bytes && !messages.is_empty());
            if too_much || id.0 < oldest_time {
                begin = id;
                break;
            }
            // Of what was in front of it, nothing is known.
            begin = before(id);
            messages.push(message);
        }
        messages.reverse();
        Ok((begin, messages))
    }

    /// Marks the beginning of a stream that is not there: for all hubs the same, and for those that come back the sign that nothing
    /// was dropped. A stream that had vanished goes on behind what had been read of it, whatever the server's clock says.
    fn mark(&self, connection: &mut Connection, options: &RedisOptions) -> RedisResult<Id> {
        let mut mark = add_mark(connection, &self.key, "*")?;
        if let Some(last) = self.last
            && mark <= last
        {
            mark = add_mark(connection, &self.key, &id_text(after(last)))?;
        }
        cmd("PEXPIRE").arg(&self.key).arg(options.expire_after.as_millis() as u64).exec(connection)?;
        Ok(mark)
    }

    fn delivery(&self, begin: Option<Id>, messages: Vec<ReadMessage>) -> Delivery {
        Delivery { channel: self.channel.clone(), life: self.life, begin, messages }
    }
}

fn add_mark(connection: &mut Connection, key: &str, id: &str) -> RedisResult<Id> {
    parse_id(&cmd("XADD").arg(key).arg(id).arg(BEGIN).arg(1).query::<String>(connection)?)
}
