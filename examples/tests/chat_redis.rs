//! Several instances of the example `chat` over one Redis, which the tests start themselves. Where there is none they are
//! skipped, and say so.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

#[path = "support/redis.rs"]
mod redis_server;
mod support;

use std::net::SocketAddr;

use redis_server::RedisServer;
use serde_json::{Value, json};
use support::{Lines, PATIENCE, Program, http::Client};
use web::{
    IOLoop, timeout,
    websocket::{self, WebSocket},
};

const LOBBY: &str = "/rooms/lobby/messages";

fn start(redis: &RedisServer, port: u16) -> (Program, SocketAddr) {
    let (port, url) = (port.to_string(), redis.url());
    let mut program = Program::start(env!("CARGO_BIN_EXE_chat"), &["--port", &port, "--redis", &url]);
    let address = program.listening();
    (program, address)
}

fn say(address: SocketAddr, text: &str) {
    let draft = json!({ "name": "ann", "text": text, "key": format!("key of {text}") });
    let answer = Client::connect(address).post_json(LOBBY, &draft);
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Three pages at one instance, one for each way, with the cursor that each has seen.
struct Pages {
    poll: Client,
    events: Lines,
    socket: WebSocket,
    cursors: [String; 3],
}

impl Pages {
    /// Pages that are new: they have what was said.
    fn open(address: SocketAddr) -> Pages {
        let cursor = Client::connect(address).get(LOBBY).json()["cursor"].as_str().expect("a cursor").to_owned();
        Pages::come_back(address, [cursor.clone(), cursor.clone(), cursor])
    }

    fn come_back(address: SocketAddr, cursors: [String; 3]) -> Pages {
        let [poll_cursor, event_id, socket_cursor] = &cursors;
        let mut poll = Client::connect(address);
        poll.send("GET", &format!("{LOBBY}?way=poll&cursor={poll_cursor}"), &[], "");
        let mut events = Lines::connect(address);
        events.send(&format!("GET {LOBBY}?way=events HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {event_id}\r\n\r\n"));
        let url = format!("ws://{address}{LOBBY}?way=socket&cursor={socket_cursor}");
        let socket = IOLoop::current().run_sync(async { websocket::connect(url).await }).expect("it listens");
        Pages { poll, events, socket, cursors }
    }

    /// All three receive these texts next, and nothing else.
    fn assert_hear(&mut self, texts: &[&str]) {
        let mut polled: Vec<String> = Vec::new();
        while polled.len() < texts.len() {
            let news = self.poll.answer_to("GET").json();
            polled.extend(news["messages"].as_array().expect("a list").iter().map(text));
            assert!(news["reset"].is_null() && news["lagged"].is_null(), "{news}");
            self.cursors[0] = news["cursor"].as_str().expect("a cursor").to_owned();
            self.poll.send("GET", &format!("{LOBBY}?way=poll&cursor={}", self.cursors[0]), &[], "");
        }
        assert_eq!(polled, texts, "by long poll");
        for expected in texts {
            let (cursor, data) = self.next_event();
            assert_eq!(text(&data), *expected, "by event stream");
            let message = self.next_message();
            assert_eq!(text(&message["data"]), *expected, "by WebSocket");
            let same = message["cursor"].as_str().expect("a cursor").to_owned();
            assert_eq!(cursor, same, "of {expected}");
            (self.cursors[1], self.cursors[2]) = (cursor, same);
        }
        assert_eq!(self.cursors[0], self.cursors[1], "of the last");
    }

    /// The next event with data, and its id.
    fn next_event(&mut self) -> (String, Value) {
        let mut id = String::new();
        loop {
            let line = self.events.line().expect("the stream goes on");
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (id, serde_json::from_str(data).expect("JSON"));
            }
        }
    }

    fn next_message(&mut self) -> Value {
        let received = IOLoop::current().run_sync(timeout(PATIENCE, self.socket.receive()));
        let message = received.expect("something comes").expect("the socket stands").expect("the server goes on");
        serde_json::from_str(message.as_text().expect("messages are text")).expect("JSON")
    }
}

fn text(message: &Value) -> String {
    message["text"].as_str().unwrap_or_else(|| panic!("no text: {message}")).to_owned()
}

#[test]
fn two_instances_over_one_redis_are_one_chat_on_every_way() {
    let Some(redis) = RedisServer::start() else { return };
    let ((_one, here), (_other, there)) = (start(&redis, 0), start(&redis, 0));
    let (mut near, mut far) = (Pages::open(here), Pages::open(there));
    say(here, "one");
    say(there, "two");
    for pages in [&mut near, &mut far] {
        pages.assert_hear(&["one", "two"]);
    }
    assert_eq!(near.cursors, far.cursors);
    // Pages change their instance as they change their way.
    let mut moved = Pages::come_back(there, near.cursors);
    say(here, "three");
    moved.assert_hear(&["three"]);
    far.assert_hear(&["three"]);
}

#[test]
fn an_instance_that_is_killed_and_started_again_has_lost_nothing() {
    let Some(redis) = RedisServer::start() else { return };
    let ((one, here), (_other, there)) = (start(&redis, 0), start(&redis, 0));
    let (mut near, mut far) = (Pages::open(here), Pages::open(there));
    say(here, "before");
    for pages in [&mut near, &mut far] {
        pages.assert_hear(&["before"]);
    }
    // Killed without a word.
    drop(one);
    say(there, "meanwhile");
    let (_again, here) = start(&redis, here.port());
    let mut near = Pages::come_back(here, near.cursors);
    say(here, "after");
    for pages in [&mut near, &mut far] {
        pages.assert_hear(&["meanwhile", "after"]);
    }
}
