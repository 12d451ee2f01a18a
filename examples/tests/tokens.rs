//! The example `tokens`, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::net::SocketAddr;

use serde_json::json;
use support::{Lines, Program, eventually, http::Client};

fn tokens() -> (Program, SocketAddr) {
    Program::serve(env!("CARGO_BIN_EXE_tokens"))
}

/// Answers that are being made, were made, and were cancelled.
fn counts(client: &mut Client) -> [u64; 3] {
    let status = client.get("/status").json();
    ["running", "finished", "cancelled"].map(|name| status[name].as_u64().expect("a count"))
}

/// The data of each event, and the names of those that have one.
fn events(stream: &str) -> (Vec<String>, Vec<&str>) {
    let lines = |field| stream.lines().filter_map(move |line| line.strip_prefix(field));
    let data = lines("data: ").map(|data| serde_json::from_str(data).unwrap_or(data.to_owned()));
    (data.collect(), lines("event: ").collect())
}

#[test]
fn the_answer_comes_token_by_token_and_says_when_it_is_done() {
    let (_program, address) = tokens();
    let mut client = Client::connect(address);
    let answer = client.post_json("/answers", &json!({ "question": "Why?" }));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    let (mut data, names) = events(&answer.body);
    assert_eq!(names, ["done"]);
    let count = data.pop().expect("the count of tokens");
    assert_eq!(count, data.len().to_string());
    assert_eq!(data.concat(), include_str!("../tokens/answer.txt"));
    assert_eq!(counts(&mut client), [0, 1, 0]);
}

#[test]
fn nobody_makes_tokens_for_a_client_that_has_left() {
    let (_program, address) = tokens();
    let mut witness = Client::connect(address);
    let mut lines = Lines::connect(address);
    let question = r#"{"question":"Why?"}"#;
    lines.send(&format!(
        "POST /answers HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{question}",
        question.len()
    ));
    while !lines.line().expect("the answer goes on").starts_with("data: ") {}
    drop(lines);
    eventually("it was cancelled", || (counts(&mut witness) == [0, 0, 1]).then_some(()));
}

#[test]
fn a_question_is_not_empty_and_not_endless() {
    let (_program, address) = tokens();
    let mut client = Client::connect(address);
    for question in [" ".to_owned(), "x".repeat(501)] {
        assert_eq!(client.post_json("/answers", &json!({ "question": question })).status, 422);
    }
    assert_eq!(counts(&mut client), [0, 0, 0]);
}
