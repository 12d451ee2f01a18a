//! Layer: ioloop.
//!
//! Who is in which room, and when something was said there last: what each instance says of itself, put together.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::MOST_ROOMS;

/// How many names are told of a crowd.
const MOST_NAMES: usize = 50;

/// An instance that has said nothing for so many milliseconds is gone, and its people with it.
pub const LEASE: u64 = 12_000;

/// The people in a room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowd {
    pub people: usize,
    /// The first names of them.
    pub names: Vec<String>,
}

/// What an instance says of itself, whole each time: who has missed one knows all from the next.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Note {
    pub instance: String,
    /// Milliseconds since 1970, as all times here.
    pub at: u64,
    /// Its people by room.
    pub crowds: BTreeMap<String, Crowd>,
    /// The rooms where something was said since its last note, and when.
    pub said: BTreeMap<String, u64>,
}

/// A room in the list of rooms.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub name: String,
    /// When something was said last; 0 is never.
    pub said: u64,
    #[serde(flatten)]
    pub crowd: Crowd,
}

#[derive(Debug, Default)]
pub struct Directory {
    /// The latest note of each instance, by its name.
    notes: HashMap<String, Note>,
    said: BTreeMap<String, u64>,
}

impl Crowd {
    pub fn new(mut names: Vec<String>) -> Crowd {
        names.sort();
        let people = names.len();
        names.truncate(MOST_NAMES);
        Crowd { people, names }
    }

    fn add(&mut self, other: &Crowd) {
        self.people += other.people;
        self.names.extend_from_slice(&other.names);
        self.names.sort();
        self.names.truncate(MOST_NAMES);
    }
}

impl Directory {
    pub fn take(&mut self, note: Note) {
        for (room, at) in &note.said {
            // A room that was only spoken in has no channel here that would count.
            if self.said.len() < MOST_ROOMS || self.said.contains_key(room) {
                let said = self.said.entry(room.clone()).or_default();
                *said = (*at).max(*said);
            }
        }
        self.notes.insert(note.instance.clone(), note);
    }

    /// The people in a room, on all instances.
    pub fn crowd(&self, room: &str) -> Crowd {
        let mut all = Crowd::default();
        self.notes.values().filter_map(|note| note.crowds.get(room)).for_each(|crowd| all.add(crowd));
        all
    }

    /// The rooms with people or messages.
    pub fn list(&self) -> Vec<Entry> {
        let peopled = self.notes.values().flat_map(|note| note.crowds.keys());
        let mut names: Vec<&String> = self.said.keys().chain(peopled).collect();
        names.sort();
        names.dedup();
        let said = |name| self.said.get(name).copied().unwrap_or(0);
        names.into_iter().map(|name| Entry { name: name.clone(), said: said(name), crowd: self.crowd(name) }).collect()
    }

    /// Forgets instances that are gone, except this one, and rooms where nothing was said for `keep` milliseconds.
    pub fn sweep(&mut self, own: &str, now: u64, keep: u64) {
        self.notes.retain(|instance, note| instance == own || now < note.at + LEASE);
        self.said.retain(|_, at| now < *at + keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(instance: &str, names: &[&str]) -> Note {
        let crowd = Crowd::new(names.iter().map(|&name| name.to_owned()).collect());
        let crowds = BTreeMap::from([("lobby".to_owned(), crowd)]);
        Note { instance: instance.into(), at: 1000, crowds, ..Note::default() }
    }

    #[test]
    fn people_of_all_instances_are_one_crowd() {
        let mut directory = Directory::default();
        directory.take(note("a", &["bob"]));
        directory.take(note("b", &["cid", "ann"]));
        directory.take(note("a", &["bob", "dan"]));
        let crowd = Crowd { people: 4, names: ["ann", "bob", "cid", "dan"].map(str::to_owned).into() };
        assert_eq!(directory.list(), [Entry { name: "lobby".into(), said: 0, crowd }]);
    }

    #[test]
    fn an_instance_that_is_silent_is_gone_with_its_people() {
        let mut directory = Directory::default();
        directory.take(note("a", &["bob"]));
        directory.take(note("b", &["cid"]));
        directory.sweep("a", 1000 + LEASE - 1, 10);
        assert_eq!(directory.crowd("lobby").people, 2);
        directory.sweep("a", 1000 + LEASE, 10);
        assert_eq!(directory.crowd("lobby").names, ["bob"]);
    }

    #[test]
    fn a_room_is_listed_for_a_while_after_the_last_word() {
        let mut directory = Directory::default();
        directory.take(Note { said: BTreeMap::from([("lobby".to_owned(), 2000)]), ..Note::default() });
        directory.sweep("", 2009, 10);
        assert_eq!(directory.list(), [Entry { name: "lobby".into(), said: 2000, crowd: Crowd::default() }]);
        directory.sweep("", 2010, 10);
        assert_eq!(directory.list(), []);
    }

    #[test]
    fn rooms_that_are_ever_new_do_not_fill_the_list() {
        let mut directory = Directory::default();
        for number in 0..=MOST_ROOMS {
            directory.take(Note { said: BTreeMap::from([(number.to_string(), 1)]), ..Note::default() });
        }
        directory.take(Note { said: BTreeMap::from([("0".to_owned(), 2)]), ..Note::default() });
        let list = directory.list();
        assert_eq!((list.len(), list[0].said), (MOST_ROOMS, 2));
    }

    #[test]
    fn a_large_crowd_is_counted_and_not_listed() {
        let crowd = Crowd::new(vec!["x".to_owned(); MOST_NAMES + 1]);
        assert_eq!((crowd.people, crowd.names.len()), (MOST_NAMES + 1, MOST_NAMES));
    }
}
