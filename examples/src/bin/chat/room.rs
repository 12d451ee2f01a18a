//! Layer: ioloop.
//!
//! A room: its messages, its people, and the wait for news of either.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
    str::FromStr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ioloop::sync::Condition;
use serde::{Deserialize, Serialize};

use crate::people::People;

/// How many messages a room keeps.
pub const HISTORY: usize = 500;

/// The shortest time between two announcements of the head count: a storm of arrivals wakes all waiters once, and not
/// once for each arrival.
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_millis(500);

/// One message, as pages receive it.
#[derive(Debug, Serialize)]
pub struct Message {
    /// Its place in the room: the first one is 1, and no number is left out.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at: u64,
    #[serde(flatten)]
    pub draft: Draft,
}

/// What a page sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Draft {
    pub name: String,
    pub text: String,
    /// Chosen by the page, the same for every attempt to send this message.
    pub key: String,
}

/// How far a page has read.
///
/// Numbers alone are not enough: they begin again when the server restarts, so each room has an
/// epoch as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    epoch: u64,
    seq: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Cursor, Self::Err> {
        let (epoch, seq) = text.split_once('-').ok_or("a cursor has two parts")?;
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| "the epoch of a cursor is hexadecimal")?;
        let seq = seq.parse().map_err(|_| "the place in a cursor is a number")?;
        Ok(Cursor { epoch, seq })
    }
}

/// What has happened since a cursor.
#[derive(Debug, Serialize)]
pub struct News {
    pub messages: Vec<Rc<Message>>,
    /// For the next request.
    #[serde(serialize_with = "as_text")]
    pub cursor: Cursor,
    /// Messages between the cursor and these are lost: the history no longer reaches that far back.
    pub missed: bool,
    /// The cursor is of another epoch: the room has begun anew, and the server knows nothing of what was said before.
    pub restarted: bool,
    pub people: usize,
}

fn as_text<S: serde::Serializer>(cursor: &Cursor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cursor)
}

#[derive(Debug)]
pub struct Room {
    epoch: u64,
    /// Oldest first; the places of its messages are consecutive.
    history: RefCell<VecDeque<Rc<Message>>>,
    /// The place of the newest message, kept or not; 0 before the first.
    last: Cell<u64>,
    used: Cell<Instant>,
    people: People,
    /// The head count that was announced last.
    announced: Cell<usize>,
    announced_at: Cell<Option<Instant>>,
    /// Notified when there is news.
    bell: Condition,
}

impl Room {
    pub fn new(now: Instant) -> Room {
        Room {
            epoch: unix_millis(),
            history: RefCell::default(),
            last: Cell::new(0),
            used: Cell::new(now),
            people: People::default(),
            announced: Cell::new(0),
            announced_at: Cell::new(None),
            bell: Condition::new(),
        }
    }

    pub fn people(&self) -> &People {
        &self.people
    }

    /// Adds a message and returns its place. A message whose key is known is not added again.
    pub fn post(&self, draft: Draft, now: Instant) -> u64 {
        self.used.set(now);
        if let Some(known) = self.place_of(&draft.key) {
            return known;
        }
        let seq = self.last.get() + 1;
        self.last.set(seq);
        self.keep(Rc::new(Message { seq, at: unix_millis(), draft }));
        self.bell.notify_all();
        seq
    }

    /// Waits for news for a page that has read up to `after` and shows the head count `people`.
    /// Without a cursor everything is news.
    pub async fn news(&self, after: Option<Cursor>, people: Option<usize>) -> News {
        loop {
            let next_ring = self.bell.wait();
            let news = self.look(after);
            let has_caught_up = news.messages.is_empty() && !news.missed && !news.restarted;
            if after.is_none() || !has_caught_up || people != Some(news.people) {
                return news;
            }
            next_ring.await;
        }
    }

    /// What there is after a cursor now.
    pub fn look(&self, after: Option<Cursor>) -> News {
        let history = self.history.borrow();
        let last = self.last.get();
        let gone = last - history.len() as u64;
        let same_epoch = after.filter(|cursor| cursor.epoch == self.epoch);
        // A page with a cursor of another epoch has read nothing of this one.
        let read = same_epoch.map_or(0, |cursor| cursor.seq.min(last));
        let skip = read.saturating_sub(gone) as usize;
        News {
            messages: history.iter().skip(skip).cloned().collect(),
            cursor: Cursor { epoch: self.epoch, seq: last },
            missed: after.is_some() && read < gone,
            restarted: after.is_some() && same_epoch.is_none(),
            people: self.announced.get(),
        }
    }

    /// Announces the head count, unless it is unchanged. Soon after another announcement, the next
    /// [`Room::tick`] does it.
    pub fn announce(&self, now: Instant) {
        let people = self.people.count();
        let too_soon = self.announced_at.get().is_some_and(|at| now < at + BETWEEN_ANNOUNCEMENTS);
        if people == self.announced.get() || too_soon {
            return;
        }
        self.announced.set(people);
        self.announced_at.set(Some(now));
        self.bell.notify_all();
    }

    /// Periodic work.
    pub fn tick(&self, now: Instant) {
        self.people.sweep(now);
        self.announce(now);
    }

    /// Whether the room has been empty and silent for `after`.
    pub fn is_abandoned(&self, now: Instant, after: Duration) -> bool {
        self.people.count() == 0 && self.bell.waiting() == 0 && now >= self.used.get() + after
    }

    pub fn messages(&self) -> u64 {
        self.last.get()
    }

    /// Searches from the end: a page repeats its last few messages at most.
    fn place_of(&self, key: &str) -> Option<u64> {
        let history = self.history.borrow();
        history.iter().rev().find(|message| message.draft.key == key).map(|message| message.seq)
    }

    fn keep(&self, message: Rc<Message>) {
        let mut history = self.history.borrow_mut();
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(message);
    }
}

fn unix_millis() -> u64 {
    // With a clock set before 1970 the times shown are wrong either way, which is no reason to fail.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests;
