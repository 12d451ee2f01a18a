//! Layer: web.
//!
//! The rooms: each is a channel of the hub, in which everything is published that its pages have to know.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, VecDeque},
    mem,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use web::comet::{Cursor, Hub, Start, Update};

use crate::directory::{Crowd, Directory, Entry, LEASE, Note};

/// How many messages a room keeps, and for how long.
pub const HISTORY: usize = 1000;
pub const KEEP: Duration = Duration::from_secs(60 * 60);

/// How many keys of messages are remembered: a page repeats its last few messages at most.
const MOST_KEYS: usize = 1000;

/// The channel in which instances tell each other who is where. No room has a space in its name.
const NOTES: &str = "notes of instances";

/// What a page sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Draft {
    pub name: String,
    pub text: String,
    /// Chosen by the page, the same for every attempt to send this message.
    pub key: String,
}

/// A message, as pages receive it.
#[derive(Serialize)]
struct Said<'a> {
    at: u64,
    #[serde(flatten)]
    draft: &'a Draft,
}

/// The people of a room, as pages receive it whenever they change.
#[derive(Serialize)]
struct Here {
    at: u64,
    here: Crowd,
}

pub struct Rooms {
    hub: Hub,
    directory: RefCell<Directory>,
    /// What this instance says of itself next.
    own: RefCell<Note>,
    /// The rooms where somebody came or went since the last tick.
    stirred: Rc<RefCell<BTreeSet<String>>>,
    /// Messages that this instance was given, so that a repeated one is published once. The page looks at keys as well: it
    /// may repeat a message to another instance.
    taken: RefCell<VecDeque<(String, Cursor)>>,
    has_others: Cell<bool>,
}

impl Rooms {
    pub fn new(hub: Hub) -> Rooms {
        let stirred = Rc::new(RefCell::new(BTreeSet::new()));
        let heard = stirred.clone();
        hub.on_presence(move |event| _ = heard.borrow_mut().insert(event.channel.to_string()));
        let instance = format!("{}-{:x}", std::process::id(), unix_millis());
        Rooms {
            hub,
            directory: RefCell::default(),
            own: RefCell::new(Note { instance, ..Note::default() }),
            stirred,
            taken: RefCell::default(),
            has_others: Cell::new(false),
        }
    }

    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    pub fn list(&self) -> Vec<Entry> {
        self.directory.borrow().list()
    }

    /// Publishes a message. One whose key is known is not published again.
    pub async fn say(&self, room: &str, draft: &Draft) -> web::Result<Cursor> {
        let known = self.taken.borrow().iter().rev().find(|(key, _)| *key == draft.key).map(|(_, cursor)| *cursor);
        if let Some(cursor) = known {
            return Ok(cursor);
        }
        let at = unix_millis();
        let cursor = self.hub.publish(room, &Said { at, draft }).await?;
        let mut taken = self.taken.borrow_mut();
        if taken.len() == MOST_KEYS {
            taken.pop_front();
        }
        taken.push_back((draft.key.clone(), cursor));
        self.own.borrow_mut().said.insert(room.to_owned(), at);
        Ok(cursor)
    }

    /// Tells who came and went since the last tick.
    pub fn tick(&self) {
        let now = unix_millis();
        let stirred = mem::take(&mut *self.stirred.borrow_mut());
        if let Some(note) = self.next_note(&stirred, now) {
            if self.has_others.get() {
                // Published by the call. Another one follows soon, so one that fails is not waited for; and so below.
                drop(self.hub.publish_with_key(NOTES, Some(&note.instance), &note));
            }
            self.directory.borrow_mut().take(note);
        }
        self.directory.borrow_mut().sweep(&self.own.borrow().instance, now, KEEP.as_millis() as u64);
        for room in stirred {
            let here = self.directory.borrow().crowd(&room);
            if here.people > 0 {
                drop(self.hub.publish_with_key(&room, Some("here"), &Here { at: now, here }));
            }
        }
    }

    /// What this instance has to say of itself, if there is something, or if others have to hear that it is alive.
    fn next_note(&self, stirred: &BTreeSet<String>, now: u64) -> Option<Note> {
        let mut own = self.own.borrow_mut();
        for room in stirred {
            match self.own_crowd(room) {
                Crowd { people: 0, .. } => own.crowds.remove(room),
                crowd => own.crowds.insert(room.clone(), crowd),
            };
        }
        let is_due = self.has_others.get() && own.at + LEASE / 3 <= now;
        if !is_due && stirred.is_empty() && own.said.is_empty() {
            return None;
        }
        own.at = now;
        Some(Note { said: mem::take(&mut own.said), ..own.clone() })
    }

    /// Tells the others that this instance ends.
    pub async fn leave(&self) {
        let instance = self.own.borrow().instance.clone();
        let note = Note { instance, at: unix_millis(), ..Note::default() };
        if self.has_others.get() {
            // They find out by themselves a bit later.
            let _ = self.hub.publish_with_key(NOTES, Some(&note.instance), &note).await;
        }
    }

    /// Listens to the notes of the instances that share the hub's broker.
    pub fn follow_others(self: &Rc<Self>) -> web::Result<()> {
        self.has_others.set(true);
        let mut notes = self.hub.subscribe(NOTES, Start::Latest(HISTORY))?;
        let rooms = self.clone();
        web::spawn(async move {
            while let Some(update) = notes.next().await {
                let Update::Message(message) = update else { continue };
                match serde_json::from_slice::<Note>(message.data()) {
                    Ok(note) if note.instance == rooms.own.borrow().instance => {}
                    Ok(note) => rooms.directory.borrow_mut().take(note),
                    Err(error) => log::warn!("a note that is none: {error}"),
                }
            }
        });
        Ok(())
    }

    fn own_crowd(&self, room: &str) -> Crowd {
        let members = self.hub.members(room);
        let name = |info: Option<web::Bytes>| serde_json::from_slice(&info?).ok();
        Crowd::new(members.into_iter().map(|member| name(member.info).unwrap_or_default()).collect())
    }
}

pub fn unix_millis() -> u64 {
    // With a clock set before 1970 the times shown are wrong either way, which is no reason to fail.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Letters, digits, `-` and `_` of any script, 32 at most.
pub fn is_room_name(name: &str) -> bool {
    let fitting = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    (1..=32).contains(&name.chars().count()) && name.chars().all(fitting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_are_short_words() {
        for name in ["lobby", "a", "räume-2_x", &"x".repeat(32)] {
            assert!(is_room_name(name), "{name}");
        }
        for name in ["", "a b", "a/b", "../x", "<b>", &"x".repeat(33), NOTES] {
            assert!(!is_room_name(name), "{name}");
        }
    }
}
