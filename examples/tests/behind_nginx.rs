//! The example `behind_nginx`, with a test in the place of nginx.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use support::{Lines, Program, http::Client};

#[test]
fn what_the_proxy_says_of_its_client_is_believed() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_behind_nginx"));
    let mut nginx = Client::connect(address);
    let asked = nginx.request("GET", "/", &["X-Forwarded-For: 203.0.113.9, 192.0.2.7", "X-Forwarded-Proto: https"], "");
    // From the right: what is further to the left the client may have made up.
    assert_eq!(asked.body, "192.0.2.7 asks for https://test/\n");
    assert_eq!(nginx.get("/").body, "127.0.0.1 asks for http://test/\n");
}

#[test]
fn a_server_that_is_to_end_says_so_before_it_refuses_anybody() {
    let (program, address) = Program::serve(env!("CARGO_BIN_EXE_behind_nginx"));
    assert_eq!(Client::connect(address).get("/ready").status, 200);
    program.terminate();
    // New connections are still accepted, and told.
    loop {
        match Client::connect(address).get("/ready").status {
            200 => std::thread::yield_now(),
            status => break assert_eq!(status, 503),
        }
    }
    assert_eq!(Client::connect(address).get("/").status, 200);
    assert!(program.end().success());
}

#[test]
fn events_come_one_by_one() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_behind_nginx"));
    let mut client = Lines::connect(address);
    client.send("GET /ticks HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut data = || loop {
        let line = client.line().expect("the stream goes on");
        if let Some(number) = line.strip_prefix("data: ") {
            break number.to_owned();
        }
    };
    assert_eq!([data(), data()], ["0", "1"]);
}
