//! The example `site_check`, which asks itself and a port where nobody listens.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::net::TcpListener;

use support::{Program, http::Client};

#[test]
fn sites_that_answer_are_told_from_those_that_do_not() {
    let (_hello, up) = Program::serve(env!("CARGO_BIN_EXE_hello_service"));
    let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port").local_addr().expect("it is bound");
    let sites = [format!("http://{up}/"), format!("http://{free}/")];
    let arguments = ["--port", "0", "--site", &sites[0], "--site", &sites[1]];
    let mut program = Program::start(env!("CARGO_BIN_EXE_site_check"), &arguments);
    let mut client = Client::connect(program.listening());
    // Twice: the second time over a connection that was kept.
    for _ in 0..2 {
        let report = client.get("/").json();
        assert_eq!((report[0]["site"].as_str(), report[0]["status"].as_u64()), (Some(sites[0].as_str()), Some(200)));
        assert!(report[1]["error"].is_string(), "{report}");
    }
}

#[test]
fn a_site_that_is_no_address_is_refused_at_the_start() {
    let refusal = Program::refusal(env!("CARGO_BIN_EXE_site_check"), &["--port", "0", "--site", "http://a b/"]);
    assert!(refusal.starts_with("error: invalid uri"), "{refusal}");
}
