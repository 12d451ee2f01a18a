//! The examples below the framework, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Lines, Program, eventually, http::Client};

#[test]
fn line_server_tells_the_others_and_not_the_speaker() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_line_server"));
    let mut ann = enter(address, "ann");
    let mut bob = enter(address, "bob");
    assert_eq!(ann.line().as_deref(), Some("* bob is here"));
    ann.send("hello\r\n");
    assert_eq!(bob.line().as_deref(), Some("ann: hello"));
    bob.send("a control\u{1b}[2Jcharacter\n");
    assert_eq!(ann.line().as_deref(), Some("bob: a control[2Jcharacter"));
}

#[test]
fn line_server_says_who_has_left() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_line_server"));
    let mut ann = enter(address, "ann");
    drop(enter(address, "bob"));
    assert_eq!(ann.line().as_deref(), Some("* bob is here"));
    assert_eq!(ann.line().as_deref(), Some("* bob has left"));
}

#[test]
fn line_server_disconnects_who_sends_an_endless_line() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_line_server"));
    let mut ann = enter(address, "ann");
    ann.send(&"x".repeat(10_000));
    assert_eq!(ann.line(), None);
}

#[test]
fn line_server_says_good_bye() {
    let (program, address) = Program::serve(env!("CARGO_BIN_EXE_line_server"));
    let mut ann = enter(address, "ann");
    program.terminate();
    assert_eq!(ann.line().as_deref(), Some("* The server is going down."));
    assert_eq!(ann.line(), None);
    assert!(program.end().success());
}

/// Connects and sends a name; returns once the others have been told.
fn enter(address: std::net::SocketAddr, name: &str) -> Lines {
    let mut guest = Lines::connect(address);
    assert_eq!(guest.line().as_deref(), Some("Your name, please:"));
    guest.send(&format!("{name}\n"));
    let welcome = guest.line().expect("a welcome");
    assert!(welcome.starts_with(&format!("* Welcome, {name}.")), "{welcome}");
    guest
}

#[test]
fn shout_is_a_filter() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_shout"), &[]);
    let mut input = program.input();
    input.write_all(b"hello\n").expect("the example reads");
    assert_eq!(program.line(), "HELLO");
    input.write_all(b"no end of line").expect("the example reads");
    drop(input);
    assert_eq!(program.rest_of_output(), "NO END OF LINE");
    assert!(program.end().success());
}

#[test]
fn pipe_through_gives_each_connection_a_process() {
    let arguments = ["--port", "0", "--", env!("CARGO_BIN_EXE_shout")];
    let mut program = Program::start(env!("CARGO_BIN_EXE_pipe_through"), &arguments);
    let address = program.listening();
    let (mut ann, mut bob) = (Lines::connect(address), Lines::connect(address));
    ann.send("from ann\n");
    bob.send("from bob\n");
    assert_eq!(bob.line().as_deref(), Some("FROM BOB"));
    assert_eq!(ann.line().as_deref(), Some("FROM ANN"));
    // The end of the input reaches the program, whose end reaches the client.
    let mut socket = TcpStream::connect(address).expect("the example listens");
    let sent: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    let mut receiver = socket.try_clone().expect("a socket");
    let received = std::thread::spawn(move || {
        let mut received = String::new();
        receiver.read_to_string(&mut received).map(|_| received)
    });
    socket.write_all(sent.as_bytes()).expect("the example reads");
    socket.shutdown(Shutdown::Write).expect("the connection stands");
    let received = received.join().expect("no panic").expect("the answer ends");
    assert!(received == sent.to_uppercase(), "{} bytes of {}", received.len(), sent.len());
}

#[test]
fn pipe_through_says_that_a_program_is_missing() {
    let message = Program::refusal(env!("CARGO_BIN_EXE_pipe_through"), &["--port", "0"]);
    assert_eq!(message, "error: no program is named; try --help\n");
}

#[test]
fn compose_shares_one_store_between_both_protocols() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_compose"), &["--port", "0"]);
    let (http, lines) = (program.listening(), program.listening());
    let (mut http, mut lines) = (Client::connect(http), Lines::connect(lines));
    assert_eq!(http.request("PUT", "/sky", &[], "blue").status, 204);
    lines.send("GET sky\nSET grass green as ever\nNONSENSE\n");
    assert_eq!(lines.line().as_deref(), Some("blue"));
    assert_eq!(lines.line().as_deref(), Some("OK"));
    assert_eq!(lines.line().as_deref(), Some("ERROR: GET key, SET key value or KEYS"));
    assert_eq!(http.get("/grass").body, "green as ever");
    assert_eq!(http.get("/").body, "grass sky\n");
    assert_eq!(http.request("DELETE", "/sky", &[], "").status, 204);
    assert_eq!(http.get("/sky").status, 404);
    program.terminate();
    assert!(program.end().success());
}

#[test]
fn hello_service_answers_each_of_its_paths() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_hello_service"));
    let mut client = Client::connect(address);
    assert_eq!(client.get("/").body, "Hello\n");
    let headers = client.request("GET", "/headers", &["X-Case: Kept"], "").body;
    assert!(headers.to_lowercase().contains("x-case: kept"), "{headers}");
    assert_eq!(client.request("POST", "/shout", &[], "some text").body, "SOME TEXT");
    assert_eq!(client.request("POST", "/size", &[], &"x".repeat(200_000)).body, "200000 bytes\n");
    assert_eq!(client.get("/count").body, "1\n2\n3\n4\n5\n");
    assert_eq!(client.get("/nowhere").status, 404);
}

#[test]
fn hello_service_refuses_to_collect_too_much() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_hello_service"));
    let mut client = Client::connect(address);
    assert_eq!(client.request("POST", "/shout", &[], &"x".repeat(100_000)).status, 413);
}

#[test]
fn ticker_reads_its_input_and_stops_at_a_signal() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_ticker"), &[]);
    let mut input = program.input();
    while !program.line().starts_with("ticking") {}
    input.write_all(b"a line\n").expect("the example reads");
    while program.line() != r#"read "a line\n""# {}
    drop(input);
    while program.line() != "end of input" {}
    program.terminate();
    assert!(program.rest_of_output().contains("stopped after"));
    assert!(program.end().success());
}

#[test]
fn watch_dir_tells_what_happened_once_it_is_quiet() {
    let directory = std::env::temp_dir().join(format!("watch_dir-{}", std::process::id()));
    std::fs::create_dir(&directory).expect("a new name");
    let path = directory.to_str().expect("a plain path");
    let mut program = Program::start(env!("CARGO_BIN_EXE_watch_dir"), &[path]);
    assert!(program.line().starts_with("watching "));
    std::fs::write(directory.join("one"), "text").expect("a new file");
    // In one line unless this test is held up in between.
    while !program.line().ends_with("written") {}
    std::fs::rename(directory.join("one"), directory.join("two")).expect("a free name");
    assert_eq!([program.line(), program.line()], ["one: moved away", "two: moved here"]);
    std::fs::remove_dir_all(&directory).expect("it is there");
    let mut last = [program.line(), program.line()];
    last.sort_unstable();
    assert_eq!(last, [".: the directory is gone", "two: deleted"]);
    program.terminate();
    assert_eq!(program.rest_of_output(), "stopped\n");
    assert!(program.end().success());
}

#[test]
fn watch_dir_refuses_what_is_no_directory() {
    let refusal = Program::refusal(env!("CARGO_BIN_EXE_watch_dir"), &["/proc/self/status"]);
    assert_eq!(refusal, "error: watching /proc/self/status: Not a directory\n");
}

#[test]
fn prefork_replaces_a_worker_that_dies_and_ends_with_all_of_them() {
    let (program, address) = Program::serve(env!("CARGO_BIN_EXE_prefork"));
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    let mut killed = Vec::new();
    // More than there were at the beginning.
    for _ in 0..=workers {
        let worker = greeted_by(address);
        assert!(!killed.contains(&worker), "the dead do not greet");
        kill(worker, Signal::SIGKILL).expect("it runs");
        killed.push(worker);
    }
    program.terminate();
    assert!(program.end().success());
    assert!(TcpStream::connect(address).is_err(), "no worker is left that listens");
}

#[test]
fn a_port_in_use_is_told_in_a_sentence_with_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    for example in [
        env!("CARGO_BIN_EXE_chat"),
        env!("CARGO_BIN_EXE_compose"),
        env!("CARGO_BIN_EXE_hello"),
        env!("CARGO_BIN_EXE_hello_service"),
        env!("CARGO_BIN_EXE_line_server"),
        env!("CARGO_BIN_EXE_middleware"),
        env!("CARGO_BIN_EXE_prefork"),
    ] {
        let refusal = Program::refusal(example, &["--address", &address]);
        let sentence = format!("error: listening on {address}: address already in use");
        assert!(refusal.to_lowercase().starts_with(&sentence), "{example}: {refusal}");
        assert_eq!(refusal.lines().count(), 1, "{example}: {refusal}");
    }
}

/// Connects, and returns the process that answered.
fn greeted_by(address: std::net::SocketAddr) -> Pid {
    // A worker may be killed between accepting a connection and greeting.
    let greeting = eventually("a worker greets", || Lines::connect(address).line());
    let (_, process) = greeting.rsplit_once(' ').expect("it ends with the process");
    assert!(greeting.starts_with("hello from worker "), "{greeting}");
    Pid::from_raw(process.parse().expect("a number"))
}
