//! The example `chat`, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::{
    Program, eventually,
    http::{Answer, Client},
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

/// Begins a long poll and returns when the server has it.
fn park(address: SocketAddr, target: &str, witness: &mut Client) -> Client {
    let before = people(witness);
    let mut waiting = Client::connect(address);
    waiting.send("GET", target, &[], "");
    eventually("the poll has arrived", || (people(witness) > before).then_some(()));
    waiting
}

#[test]
fn a_long_poll_is_answered_by_a_message() {
    let (_program, address) = chat();
    let mut bob = Client::connect(address);
    let (_, cursor) = news(&bob.get(LOBBY));
    // The count that is asked for is the one announced when `ann` sits down: only a message ends the wait.
    let mut ann = park(address, &format!("{LOBBY}?client=ann&after={cursor}&people=1"), &mut bob);
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
    let (texts, cursor) = news(&ann.get(&format!("{LOBBY}?after={cursor}")));
    assert_eq!(texts, ["two", "three"]);
    let (texts, _) = news(&ann.get(&format!("{LOBBY}?after={cursor}&people=0&wait=0")));
    assert_eq!(texts, [""; 0]);
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
fn a_client_that_leaves_is_noticed() {
    let (_program, address) = chat();
    let mut witness = Client::connect(address);
    let (_, cursor) = news(&witness.get(LOBBY));
    let ann = park(address, &format!("{LOBBY}?client=ann&after={cursor}&people=1"), &mut witness);
    assert_eq!(people(&mut witness), 1);
    drop(ann);
    eventually("the seat is free", || (people(&mut witness) == 0).then_some(()));
}

#[test]
fn rooms_do_not_hear_each_other() {
    let (_program, address) = chat();
    let mut ann = Client::connect(address);
    say(&mut ann, "in the lobby");
    assert_eq!(news(&ann.get("/rooms/garden/messages")).0, [""; 0]);
    let list = ann.get("/rooms").json();
    assert_eq!(list["rooms"][0]["name"], "garden");
    assert_eq!(list["rooms"][1], json!({ "name": "lobby", "people": 0, "messages": 1 }));
}

#[test]
fn what_cannot_be_kept_is_refused_with_a_reason() {
    let (_program, address) = chat();
    let mut ann = Client::connect(address);
    let long = "x".repeat(2001);
    for bad in [
        json!({ "name": "", "text": "x", "key": "k" }),
        json!({ "name": "ann", "text": " ", "key": "k" }),
        json!({ "name": "ann", "text": long, "key": "k" }),
        json!({ "name": "ann", "text": "x" }),
    ] {
        let answer = ann.post_json(LOBBY, &bad);
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(ann.get("/rooms/no%20room/messages").status, 400);
    assert_eq!(ann.get(&format!("{LOBBY}?after=nonsense")).status, 400);
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
        ("/chat.js", "text/javascript; charset=utf-8", "fetch("),
        ("/links.js", "text/javascript; charset=utf-8", "export function"),
        ("/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = browser.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        assert!(answer.body.contains(part), "{path}");
    }
}

#[test]
fn the_program_ends_although_somebody_waits() {
    let (program, address) = chat();
    let mut witness = Client::connect(address);
    let (_, cursor) = news(&witness.get(LOBBY));
    let mut ann = park(address, &format!("{LOBBY}?client=ann&after={cursor}&people=1"), &mut witness);
    program.terminate();
    assert!(ann.is_closed());
    assert!(program.end().success());
}
