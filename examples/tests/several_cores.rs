//! One application on several threads.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::collections::BTreeMap;

use support::{Program, http::Client};

#[test]
fn several_cores_share_a_port_and_no_state() {
    for arguments in [&["--port", "0"][..], &["--port", "0", "--", "--hand-off"]] {
        let mut program = Program::start(env!("CARGO_BIN_EXE_several_cores"), arguments);
        let address = program.listening();
        let line = program.line();
        let threads: usize = line.trim_end_matches(" threads").parse().expect("a number of threads");
        // Each thread counts by itself, so what the counts add up to is what was asked.
        let mut counts = BTreeMap::new();
        let mut clients: Vec<Client> = (0..4 * threads).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            let body = client.get("/").body;
            let mut words = body.split_whitespace();
            let count: usize = words.nth(1).expect("a count").parse().expect("a number");
            let thread = words.nth(1).expect("a thread").to_owned();
            assert_eq!(counts.insert(thread, count).unwrap_or(0) + 1, count, "{body}");
        }
        assert_eq!(counts.values().sum::<usize>(), clients.len());
        if arguments.len() > 2 {
            assert!(counts.len() == threads && counts.values().all(|count| *count == 4), "{counts:?}");
        }
        program.terminate();
        assert!(program.end().success());
    }
}
