//! The example `dashboard`, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::net::SocketAddr;

use serde_json::Value;
use support::{Lines, Program, http::Client};

fn dashboard() -> (Program, SocketAddr) {
    Program::serve(env!("CARGO_BIN_EXE_dashboard"))
}

/// A page's stream, asked for with these header lines.
fn look(address: SocketAddr, headers: &str) -> Lines {
    let mut page = Lines::connect(address);
    page.send(&format!("GET /samples HTTP/1.1\r\nHost: test\r\n{headers}\r\n"));
    page
}

/// The next sample and its id.
fn sample(page: &mut Lines) -> (Value, u64) {
    let mut next = |field: &str| loop {
        let line = page.line().expect("the stream goes on");
        if let Some(value) = line.strip_prefix(field) {
            return value.to_owned();
        }
    };
    let data = serde_json::from_str(&next("data: ")).expect("a sample is JSON");
    (data, next("id: ").parse().expect("an id is a number"))
}

#[test]
fn samples_come_one_after_the_other_and_count_who_looks() {
    let (_program, address) = dashboard();
    let mut page = look(address, "");
    let (first, id) = sample(&mut page);
    assert!(first["tasks"].as_u64() >= Some(1), "{first}");
    let (second, next) = sample(&mut page);
    assert_eq!(next, id + 1);
    assert_eq!((second["connections"].as_u64(), second["pages"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn a_page_that_reconnects_goes_on_where_it_was() {
    let (_program, address) = dashboard();
    let (_, id) = sample(&mut look(address, ""));
    let (_, next) = sample(&mut look(address, &format!("Last-Event-ID: {id}\r\n")));
    assert_eq!(next, id + 1);
}

#[test]
fn work_is_done_on_the_loop_and_beside_it() {
    let (_program, address) = dashboard();
    let mut client = Client::connect(address);
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    for place in ["where=loop", "where=thread"] {
        assert_eq!(client.request("POST", "/work", &form, place).body, "done\n");
    }
}
