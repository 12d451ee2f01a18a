//! The example `chat`, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{net::SocketAddr, time::Instant};

use serde_json::{Value, json};
use support::{
    Lines, PATIENCE, Program, eventually,
    http::{Answer, Client},
};
use web::{
    IOLoop,
    websocket::{self, CloseCode, WebSocket},
};

const LOBBY: &str = "/rooms/lobby/messages";

fn chat() -> (Program, SocketAddr) {
    Program::serve(env!("CARGO_BIN_EXE_chat"))
}

fn say(client: &mut Client, text: &str) -> Answer {
    client.post_json(LOBBY, &json!({ "name": "ann", "text": text, "key": format!("key of {text}") }))
}

/// What was said and the cursor behind it.
fn news(answer: &Answer) -> (Vec<String>, String) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let text = |message: &Value| message["text"].as_str().expect("a message has a text").to_owned();
    let texts = json["messages"].as_array().expect("news are a list").iter().map(text).collect();
    (texts, json["cursor"].as_str().expect("there is a cursor").to_owned())
}

/// How many people the list of rooms counts in the lobby.
fn people(client: &mut Client) -> u64 {
    let list = client.get("/rooms").json();
    let rooms = list["rooms"].as_array().expect("a list of rooms");
    let lobby = rooms.iter().find(|room| room["name"] == "lobby");
    lobby.and_then(|lobby| lobby["people"].as_u64()).unwrap_or(0)
}

/// The next message of a WebSocket that is no news of people, and its cursor.
async fn received(socket: &mut WebSocket) -> (String, String) {
    loop {
        let message = socket.receive().await.expect("the socket stands").expect("the server goes on");
        let json: Value =
            serde_json::from_str(message.as_text().expect("messages are text")).expect("messages are JSON");
        if let Some(text) = json["data"]["text"].as_str() {
            return (text.to_owned(), json["cursor"].as_str().expect("there is a cursor").to_owned());
        }
    }
}

#[test]
fn a_long_poll_is_answered_by_a_message() {
    let (_program, address) = chat();
    let (mut ann, mut bob) = (Client::connect(address), Client::connect(address));
    let (_, cursor) = news(&bob.get(LOBBY));
    ann.send("GET", &format!("{LOBBY}?cursor={cursor}"), &[], "");
    assert_eq!(say(&mut bob, "hello").status, 201);
    assert_eq!(news(&ann.answer_to("GET")).0, ["hello"]);
}

#[test]
fn nothing_is_lost_or_doubled_between_two_polls() {
    let (_program, address) = chat();
    let (mut ann, mut bob) = (Client::connect(address), Client::connect(address));
    say(&mut bob, "one");
    let (texts, cursor) = news(&ann.get(LOBBY));
    assert_eq!(texts, ["one"]);
    say(&mut bob, "two");
    say(&mut bob, "three");
    let (texts, cursor) = news(&ann.get(&format!("{LOBBY}?cursor={cursor}")));
    assert_eq!(texts, ["two", "three"]);
    let (texts, _) = news(&ann.get(&format!("{LOBBY}?cursor={cursor}&wait=0")));
    assert_eq!(texts, [""; 0]);
}

#[test]
fn a_page_changes_its_way_and_goes_on_where_it_was() {
    let (_program, address) = chat();
    let (mut ann, mut bob) = (Client::connect(address), Client::connect(address));
    say(&mut bob, "one");
    let (_, cursor) = news(&ann.get(LOBBY));
    say(&mut bob, "two");
    let (text, cursor) = IOLoop::current().run_sync(async {
        let mut socket = websocket::connect(format!("ws://{address}{LOBBY}?way=socket&cursor={cursor}")).await.unwrap();
        received(&mut socket).await
    });
    assert_eq!(text, "two");
    say(&mut bob, "three");
    let mut events = Lines::connect(address);
    events.send(&format!("GET {LOBBY}?way=events HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {cursor}\r\n\r\n"));
    let data = std::iter::from_fn(|| events.line()).find(|line| line.starts_with("data: ")).expect("an event");
    assert!(data.contains("\"three\""), "{data}");
}

#[test]
fn who_comes_and_goes_is_told_on_every_way() {
    let (_program, address) = chat();
    let mut witness = Client::connect(address);
    let mut events = Lines::connect(address);
    events.send(&format!("GET {LOBBY}?way=events&client=eve&name=eve HTTP/1.1\r\nHost: test\r\n\r\n"));
    let mut told = |names: &str| {
        let is_told = |line: &String| line.starts_with("data: ") && line.contains(names);
        // Comments keep the stream alive whatever is told.
        let began = Instant::now();
        let mut lines = std::iter::from_fn(|| events.line()).take_while(|_| began.elapsed() < PATIENCE);
        assert!(lines.any(|line| is_told(&line)), "nobody told of {names}");
    };
    told("[\"eve\"]");
    IOLoop::current().run_sync(async {
        let url = format!("ws://{address}{LOBBY}?way=socket&client=sam&name=sam");
        let mut socket = websocket::connect(url).await.unwrap();
        told("[\"eve\",\"sam\"]");
        assert_eq!(people(&mut witness), 2);
        socket.close(CloseCode::NORMAL, "").unwrap();
        while socket.receive().await.unwrap().is_some() {}
    });
    told("[\"eve\"]");
    assert_eq!(people(&mut witness), 1);
}

#[test]
fn a_message_that_is_sent_twice_is_there_once() {
    let (_program, address) = chat();
    let mut ann = Client::connect(address);
    let first = say(&mut ann, "once").json();
    assert_eq!(say(&mut ann, "once").json(), first);
    assert_eq!(news(&ann.get(LOBBY)).0, ["once"]);
}

#[test]
fn rooms_do_not_hear_each_other() {
    let (_program, address) = chat();
    let mut ann = Client::connect(address);
    say(&mut ann, "in the lobby");
    assert_eq!(news(&ann.get("/rooms/garden/messages")).0, [""; 0]);
    let lobby = eventually("the lobby is listed", || ann.get("/rooms").json()["rooms"].get(0).cloned());
    assert_eq!((&lobby["name"], &lobby["people"]), (&json!("lobby"), &json!(0)));
    assert!(lobby["said"].as_u64() > Some(0), "{lobby}");
}

#[test]
fn what_cannot_be_kept_is_refused_with_a_reason() {
    let (_program, address) = chat();
    let mut ann = Client::connect(address);
    let long = "x".repeat(2001);
    for (status, bad) in [
        (400, json!({ "name": "", "text": "x", "key": "k" })),
        (400, json!({ "name": "ann", "text": " ", "key": "k" })),
        (400, json!({ "name": "ann", "text": long, "key": "k" })),
        (422, json!({ "name": "ann", "text": "x" })),
    ] {
        let answer = ann.post_json(LOBBY, &bad);
        assert_eq!(answer.status, status, "{bad}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(ann.get("/rooms/no%20room/messages").status, 400);
    assert_eq!(ann.get(&format!("{LOBBY}?way=pigeon")).status, 400);
    // Text that is no cursor is one of another life.
    assert_eq!(ann.get(&format!("{LOBBY}?cursor=nonsense")).json()["reset"], true);
    // A form from another site cannot speak here: without this type browsers ask first.
    assert_eq!(ann.request("POST", LOBBY, &["Content-Type: text/plain"], "{}").status, 415);
}

#[test]
fn the_page_and_its_parts_are_served() {
    let (_program, address) = chat();
    let mut browser = Client::connect(address);
    for (path, content_type, part) in [
        ("/", "text/html; charset=utf-8", "<title>Chat</title>"),
        ("/style.css", "text/css; charset=utf-8", "prefers-color-scheme"),
        ("/chat.js", "text/javascript; charset=utf-8", "new Feed("),
        ("/draw.js", "text/javascript; charset=utf-8", "export function"),
        ("/feed.js", "text/javascript; charset=utf-8", "fetch("),
        ("/links.js", "text/javascript; charset=utf-8", "export function"),
        ("/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = browser.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        assert!(answer.body.contains(part), "{path}");
    }
}

#[test]
fn the_program_ends_although_pages_wait_on_every_way() {
    let (program, address) = chat();
    let (mut ann, mut eve) = (Client::connect(address), Lines::connect(address));
    let (_, cursor) = news(&ann.get(LOBBY));
    ann.send("GET", &format!("{LOBBY}?cursor={cursor}"), &[], "");
    eve.send(&format!("GET {LOBBY}?way=events HTTP/1.1\r\nHost: test\r\n\r\n"));
    assert!(eve.line().is_some_and(|line| line.contains("200")));
    IOLoop::current().run_sync(async {
        let mut socket = websocket::connect(format!("ws://{address}{LOBBY}?way=socket")).await.unwrap();
        program.terminate();
        while socket.receive().await.unwrap().is_some() {}
        assert_eq!(socket.close_code(), Some(CloseCode::GOING_AWAY));
    });
    assert!(ann.answer_to("GET").json()["retry"].is_u64());
    while eve.line().is_some() {}
    assert!(program.end().success());
}
