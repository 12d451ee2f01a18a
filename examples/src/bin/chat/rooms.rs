//! Layer: ioloop.
//!
//! All rooms by name. A room is created on its first visit.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::room::Room;

/// The most rooms there may be: without a bound, a visitor of ever new rooms fills the memory.
const MOST_ROOMS: usize = 1000;

/// How long an empty room keeps its history.
const KEEP_EMPTY: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Default)]
pub struct Rooms {
    rooms: RefCell<BTreeMap<String, Rc<Room>>>,
}

/// A room in the list of rooms.
#[derive(Debug, Serialize)]
pub struct Entry {
    pub name: String,
    pub people: usize,
    pub messages: u64,
}

impl Rooms {
    /// The room of this name, created if it does not exist yet; `None` if there are too many.
    pub fn enter(&self, name: &str, now: Instant) -> Option<Rc<Room>> {
        let mut rooms = self.rooms.borrow_mut();
        if let Some(room) = rooms.get(name) {
            return Some(room.clone());
        }
        if rooms.len() >= MOST_ROOMS {
            return None;
        }
        let room = Rc::new(Room::new(now));
        rooms.insert(name.to_owned(), room.clone());
        Some(room)
    }

    pub fn list(&self) -> Vec<Entry> {
        let rooms = self.rooms.borrow();
        let entry = |(name, room): (&String, &Rc<Room>)| Entry {
            name: name.clone(),
            people: room.people().count(),
            messages: room.messages(),
        };
        rooms.iter().map(entry).collect()
    }

    /// Closes abandoned rooms, and runs the periodic work of the others.
    pub fn tick(&self, now: Instant) {
        self.rooms.borrow_mut().retain(|_, room| !room.is_abandoned(now, KEEP_EMPTY));
        // End the borrow first: announcing wakes tasks.
        let rooms: Vec<Rc<Room>> = self.rooms.borrow().values().cloned().collect();
        rooms.iter().for_each(|room| room.tick(now));
    }
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
    fn the_same_name_leads_to_the_same_room() {
        let (rooms, now) = (Rooms::default(), Instant::now());
        let first = rooms.enter("lobby", now).expect("there is space");
        let again = rooms.enter("lobby", now).expect("there is space");
        assert!(Rc::ptr_eq(&first, &again));
        assert_eq!(rooms.list().len(), 1);
    }

    #[test]
    fn the_number_of_rooms_is_bounded() {
        let (rooms, now) = (Rooms::default(), Instant::now());
        for number in 0..MOST_ROOMS {
            assert!(rooms.enter(&number.to_string(), now).is_some());
        }
        assert!(rooms.enter("one-more", now).is_none());
        assert!(rooms.enter("0", now).is_some());
    }

    #[test]
    fn an_abandoned_room_is_closed() {
        let (rooms, now) = (Rooms::default(), Instant::now());
        rooms.enter("lobby", now);
        rooms.tick(now + KEEP_EMPTY - Duration::from_secs(1));
        assert_eq!(rooms.list().len(), 1);
        rooms.tick(now + KEEP_EMPTY);
        assert_eq!(rooms.list().len(), 0);
    }

    #[test]
    fn room_names_are_short_words() {
        for name in ["lobby", "a", "räume-2_x", &"x".repeat(32)] {
            assert!(is_room_name(name), "{name}");
        }
        for name in ["", "a b", "a/b", "../x", "<b>", &"x".repeat(33)] {
            assert!(!is_room_name(name), "{name}");
        }
    }
}
