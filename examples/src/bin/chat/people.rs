//! Layer: ioloop.
//!
//! The people in a room: those whose poll is open, or was answered a moment ago.

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{Duration, Instant},
};

/// How long a page keeps its seat without an open poll: the next one is on its way.
const BETWEEN_POLLS: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct People {
    /// By the name that each page has chosen for itself.
    seats: RefCell<HashMap<String, Seat>>,
}

#[derive(Debug)]
struct Seat {
    /// Open polls: for a moment two, when a page repeats one whose answer did not arrive.
    polls: usize,
    /// When the last poll was answered.
    answered: Instant,
}

impl People {
    pub fn count(&self) -> usize {
        self.seats.borrow().len()
    }

    /// A poll begins.
    pub fn arrive(&self, page: &str, now: Instant) {
        let mut seats = self.seats.borrow_mut();
        seats.entry(page.to_owned()).or_insert(Seat { polls: 0, answered: now }).polls += 1;
    }

    /// A poll was answered; the next one is expected soon.
    pub fn answered(&self, page: &str, now: Instant) {
        if let Some(seat) = self.seats.borrow_mut().get_mut(page) {
            seat.polls -= 1;
            seat.answered = now;
        }
    }

    /// A poll ended because its page went away: it is not expected back.
    pub fn leave(&self, page: &str) {
        let mut seats = self.seats.borrow_mut();
        let Some(seat) = seats.get_mut(page) else { return };
        seat.polls -= 1;
        if seat.polls == 0 {
            seats.remove(page);
        }
    }

    /// Forgets those whose next poll did not come.
    pub fn sweep(&self, now: Instant) {
        self.seats.borrow_mut().retain(|_, seat| seat.polls > 0 || now < seat.answered + BETWEEN_POLLS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_goes_away_in_a_poll_leaves_at_once() {
        let (people, now) = (People::default(), Instant::now());
        people.arrive("a", now);
        people.arrive("b", now);
        people.leave("a");
        assert_eq!(people.count(), 1);
    }

    #[test]
    fn a_page_keeps_its_seat_between_two_polls_for_a_while() {
        let (people, now) = (People::default(), Instant::now());
        people.arrive("a", now);
        people.answered("a", now);
        people.sweep(now + BETWEEN_POLLS / 2);
        assert_eq!(people.count(), 1);
        people.sweep(now + BETWEEN_POLLS);
        assert_eq!(people.count(), 0);
    }

    #[test]
    fn a_page_with_two_polls_is_one_person_until_both_have_ended() {
        let (people, now) = (People::default(), Instant::now());
        people.arrive("a", now);
        people.arrive("a", now);
        assert_eq!(people.count(), 1);
        people.leave("a");
        assert_eq!(people.count(), 1);
        people.leave("a");
        assert_eq!(people.count(), 0);
    }
}
