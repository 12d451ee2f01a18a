//! Layer: web.
//!
//! The requests of the page: the list of rooms, news of one room, and posting in it.

use std::{rc::Rc, time::Duration};

use serde::Serialize;
use web::{Exchange, Method, RequestHandler, StatusCode, comet::SlowPolicy};

use crate::{
    directory::Entry,
    rooms::{Draft, HISTORY, Rooms, is_room_name, unix_millis},
};

/// Proxies cut connections that are silent for half a minute.
const LONGEST_POLL: Duration = Duration::from_secs(25);

/// The longest message, in characters.
const LONGEST_TEXT: usize = 2000;

/// The longest name of a person, in characters.
const LONGEST_NAME: usize = 32;

/// The longest name that a page may give to itself or to one of its messages, in bytes.
const LONGEST_KEY: usize = 64;

/// `GET /rooms`: every room with its people, and when something was said there.
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
            now: u64,
            rooms: Vec<Entry>,
        }
        exchange.set_header("Cache-Control", "no-store")?;
        exchange.write_json(&List { now: unix_millis(), rooms: self.rooms.list() })
    }
}

/// `GET /rooms/{room}/messages` follows a room, `POST` posts a message.
pub struct Messages {
    rooms: Rc<Rooms>,
}

impl Messages {
    pub fn new(rooms: Rc<Rooms>) -> Messages {
        Messages { rooms }
    }
}

impl RequestHandler for Messages {
    const METHODS: &'static [Method] = &[Method::GET, Method::POST];

    /// Arguments: `way`, which is `socket`, `events` or `poll`; `cursor`, behind which to go on; `wait`, how many
    /// seconds a poll waits for news; `client`, the page's name for itself, without which it is not counted as present; `name`,
    /// that of its reader.
    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let room = room(exchange)?;
        // Who comes to a room needs its people as they are, and not all who have ever come and gone.
        let mut delivery = self.rooms.hub().deliver(&room).latest(HISTORY).policy(SlowPolicy::Coalesce);
        if let Some(client) = exchange.query_opt::<String>("client")? {
            if client.len() > LONGEST_KEY {
                return Err(refused("The client's name is too long"));
            }
            let name = cleaned(&exchange.query_opt::<String>("name")?.unwrap_or_default());
            let name: String = name.chars().take(LONGEST_NAME).collect();
            // A reader who takes another name is another member.
            delivery = delivery.member_with(&format!("{client} {name}"), &name)?;
        }
        if let Some(wait) = exchange.query_opt("wait")? {
            delivery = delivery.poll_wait(Duration::from_secs(wait).min(LONGEST_POLL));
        }
        match exchange.query_opt::<String>("way")?.as_deref() {
            Some("socket") => delivery.websocket(exchange),
            Some("events") => delivery.event_stream(exchange),
            None | Some("poll") => delivery.long_poll(exchange).await,
            Some(_) => Err(refused("The ways are socket, events and poll")),
        }
    }

    async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
        let room = room(exchange)?;
        let draft = checked(exchange.json().await?)?;
        let cursor = self.rooms.say(&room, &draft).await?;
        exchange.set_status(StatusCode::CREATED);
        exchange.write_json(&serde_json::json!({ "cursor": cursor.to_string() }))
    }

    fn write_error(&self, exchange: &mut Exchange, error: &web::Error) {
        // A text always becomes JSON; if it did not, the answer would be the plain error page.
        let _ = exchange.write_json(&serde_json::json!({ "error": error.message() }));
    }
}

fn room(exchange: &Exchange) -> web::Result<String> {
    let name: String = exchange.path("room")?;
    if is_room_name(&name) { Ok(name) } else { Err(refused("A room's name has 1 to 32 letters, digits, - or _")) }
}

/// The message as it may be kept and shown.
fn checked(draft: Draft) -> web::Result<Draft> {
    let name = cleaned(&draft.name);
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

fn cleaned(name: &str) -> String {
    name.trim().chars().filter(|c| !c.is_control()).collect()
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
}
