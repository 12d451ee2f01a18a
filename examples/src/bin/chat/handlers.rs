//! Layer: web.
//!
//! The requests of the page: the list of rooms, news of one room, and posting in it.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;
use web::{Exchange, Method, RequestHandler, StatusCode, timeout};

use crate::{
    room::{Draft, Room},
    rooms::{Entry, Rooms, is_room_name},
};

/// A poll is answered after this long, with or without news: proxies cut connections that are silent for a minute.
const LONGEST_POLL: Duration = Duration::from_secs(25);

/// The longest message, in characters.
const LONGEST_TEXT: usize = 2000;

/// The longest name of a person, in characters.
const LONGEST_NAME: usize = 32;

/// The longest name that a page may give to itself or to one of its messages, in bytes.
const LONGEST_KEY: usize = 64;

/// `GET /rooms`: every room with its head count.
pub struct RoomList {
    rooms: Rc<Rooms>,
}

impl RoomList {
    pub fn new(rooms: Rc<Rooms>) -> RoomList {
        RoomList { rooms }
    }
}

impl RequestHandler for RoomList {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        #[derive(Serialize)]
        struct List {
            rooms: Vec<Entry>,
        }
        exchange.set_header("Cache-Control", "no-store")?;
        exchange.write_json(&List { rooms: self.rooms.list() })
    }
}

/// `GET /rooms/{room}/messages` waits for news, `POST` posts a message.
pub struct Messages {
    rooms: Rc<Rooms>,
}

impl Messages {
    pub fn new(rooms: Rc<Rooms>) -> Messages {
        Messages { rooms }
    }

    fn room(&self, exchange: &Exchange) -> web::Result<Rc<Room>> {
        let name: String = exchange.path("room")?;
        if !is_room_name(&name) {
            return Err(refused("A room's name has 1 to 32 letters, digits, - or _"));
        }
        let too_many = || web::Error::http(StatusCode::SERVICE_UNAVAILABLE, "There are too many rooms");
        self.rooms.enter(&name, Instant::now()).ok_or_else(too_many)
    }
}

impl RequestHandler for Messages {
    const METHODS: &'static [Method] = &[Method::GET, Method::POST];

    /// The long poll. Arguments: `after`, the cursor of the previous answer; `people`, the head
    /// count that the page shows; `client`, the page's name for itself, without which it is not
    /// counted; `wait`, the longest time to wait in seconds.
    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let room = self.room(exchange)?;
        let (after, people) = (exchange.query_opt("after")?, exchange.query_opt("people")?);
        let wait = exchange.query_opt("wait")?.map_or(LONGEST_POLL, Duration::from_secs).min(LONGEST_POLL);
        let visit = match exchange.query_opt::<String>("client")? {
            Some(page) if page.len() > LONGEST_KEY => return Err(refused("The client's name is too long")),
            page => page.map(|page| Visit::begin(room.clone(), page)),
        };

        // Returns early when the client goes away, and frees everything above.
        let news = exchange.while_connected(timeout(wait, room.news(after, people))).await?;
        if let Some(visit) = visit.filter(|_| !exchange.is_client_gone()) {
            visit.answered();
        }
        exchange.set_header("Cache-Control", "no-store")?;
        exchange.write_json(&news.unwrap_or_else(|_nothing_new| room.look(after)))
    }

    async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
        let room = self.room(exchange)?;
        let draft = checked(exchange.json().await?)?;
        let seq = room.post(draft, Instant::now());
        exchange.set_status(StatusCode::CREATED);
        exchange.write_json(&serde_json::json!({ "seq": seq }))
    }

    fn write_error(&self, exchange: &mut Exchange, error: &web::Error) {
        // A text always becomes JSON; if it did not, the answer would be the plain error page.
        let _ = exchange.write_json(&serde_json::json!({ "error": error.message() }));
    }
}

/// The presence of a page in a room during one poll. Dropped before the answer, it means that the
/// page has gone.
struct Visit {
    room: Rc<Room>,
    page: String,
    answered: bool,
}

impl Visit {
    fn begin(room: Rc<Room>, page: String) -> Visit {
        let now = Instant::now();
        room.people().arrive(&page, now);
        room.announce(now);
        Visit { room, page, answered: false }
    }

    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.answered {
            self.room.people().answered(&self.page, Instant::now());
        } else {
            // The next tick announces it: when many leave at once, the news of the first departure
            // would answer the polls of others whose departure has not been noticed yet.
            self.room.people().leave(&self.page);
        }
    }
}

/// The message as it may be kept and shown.
fn checked(draft: Draft) -> web::Result<Draft> {
    let name: String = draft.name.trim().chars().filter(|c| !c.is_control()).collect();
    let keeps_lines = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    let text: String = draft.text.trim().chars().filter(keeps_lines).collect();
    if !(1..=LONGEST_NAME).contains(&name.chars().count()) {
        return Err(refused("A name has 1 to 32 characters"));
    }
    if !(1..=LONGEST_TEXT).contains(&text.chars().count()) {
        return Err(refused("A message has 1 to 2000 characters"));
    }
    if !(1..=LONGEST_KEY).contains(&draft.key.len()) {
        return Err(refused("A key has 1 to 64 bytes"));
    }
    Ok(Draft { name, text, key: draft.key })
}

fn refused(why: &'static str) -> web::Error {
    web::Error::http(StatusCode::BAD_REQUEST, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(name: &str, text: &str) -> Draft {
        Draft { name: name.into(), text: text.into(), key: "k".into() }
    }

    #[test]
    fn names_and_texts_are_trimmed_and_cleaned() {
        let clean = checked(draft(" ann\u{7} ", "\n two\r\n\tlines \u{1b}[0m ")).expect("a good message");
        assert_eq!(clean.name, "ann");
        assert_eq!(clean.text, "two\n\tlines [0m");
    }

    #[test]
    fn what_is_empty_or_too_long_is_refused() {
        for (name, text) in [("", "x"), (" ", "x"), ("x", " \n"), (&*"n".repeat(33), "x"), ("x", &*"t".repeat(2001))] {
            let error = checked(draft(name, text)).expect_err("a bad message");
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        }
        assert!(checked(draft(&"ä".repeat(32), &"ö".repeat(2000))).is_ok());
    }

    #[test]
    fn a_visit_that_ends_without_an_answer_frees_its_seat() {
        let room = Rc::new(Room::new(Instant::now()));
        let visit = Visit::begin(room.clone(), "page".into());
        assert_eq!(room.people().count(), 1);
        drop(visit);
        assert_eq!(room.people().count(), 0);
        assert_eq!(Rc::strong_count(&room), 1);
    }

    #[test]
    fn a_visit_that_was_answered_keeps_its_seat_for_the_next_one() {
        let room = Rc::new(Room::new(Instant::now()));
        Visit::begin(room.clone(), "page".into()).answered();
        assert_eq!(room.people().count(), 1);
    }
}
