//! The example `dictionary`: threads that read the same memory.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::collections::BTreeMap;

use serde_json::json;
use support::{Program, http::Client};

#[test]
fn every_thread_knows_all_words_and_counts_its_own_requests() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_dictionary"), &["--port", "0"]);
    assert_eq!(program.line(), "10 words");
    let address = program.listening();
    let mut counts = BTreeMap::new();
    for _ in 0..16 {
        let mut client = Client::connect(address);
        assert_eq!(client.get("/words/abb?most=5").json(), json!(["abbey", "abbot"]));
        assert_eq!(client.get("/words/zzz").json(), json!([]));
        let thread = client.get("/thread").json();
        let name = thread["thread"].as_str().expect("threads have names").to_owned();
        counts.insert(name, thread["answered"].as_u64().expect("a number"));
    }
    // Each request was counted once, by the thread that answered it.
    assert_eq!(counts.values().sum::<u64>(), 32, "{counts:?}");
    program.terminate();
    assert!(program.end().success());
}

#[test]
fn words_come_from_a_file() {
    let file = std::env::temp_dir().join(format!("words-{}", std::process::id()));
    std::fs::write(&file, "tornado\n\n  torrent \ntyphoon\n").expect("a file is written");
    let path = file.to_str().expect("a path of text");
    let mut program = Program::start(env!("CARGO_BIN_EXE_dictionary"), &["--port", "0", "--words", path]);
    assert_eq!(program.line(), "3 words");
    let words = Client::connect(program.listening()).get("/words/tor").json();
    assert_eq!(words, json!(["tornado", "torrent"]));
    std::fs::remove_file(&file).expect("the file is there");
}
