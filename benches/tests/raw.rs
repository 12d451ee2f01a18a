//! The yardstick and the load generator against each other.

mod program;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use benches::load::{Request, Session, Stop, reconnect};
use program::Program;

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_raw"), &[])
}

#[test]
fn pipelined_requests_are_all_answered_in_order() {
    let raw = start();
    let mut client = TcpStream::connect(raw.address).unwrap();
    let echo = Request::echo("/echo", 5);
    let requests = [Request::get("/plaintext").bytes(), echo.bytes(), Request::get("/json").bytes()].concat();
    // Cut inside the echoed body, so that one request has to wait for its rest.
    let (first, rest) = requests.split_at(requests.len() - Request::get("/json").bytes().len() - 2);
    client.write_all(first).unwrap();
    client.write_all(rest).unwrap();
    client.shutdown(Shutdown::Write).unwrap();

    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    let bodies: Vec<&str> =
        answers.split("HTTP/1.1 200 OK\r\n").skip(1).map(|answer| answer.split_once("\r\n\r\n").unwrap().1).collect();
    assert_eq!(bodies, ["Hello, World!", " !\"#$", "{\"message\":\"Hello, World!\"}"]);
}

#[test]
fn load_counts_every_answer() {
    let raw = start();
    let mut session = Session::open(raw.address, 10, 4, Request::get("/plaintext")).unwrap();
    for requests in [1, 1003] {
        let totals = session.run(Stop::after_requests(requests)).unwrap();
        assert_eq!(totals.requests, requests);
    }
}

#[test]
fn bodies_larger_than_all_buffers_come_back_whole() {
    let raw = start();
    let mut session = Session::open(raw.address, 2, 1, Request::echo("/echo", 5 << 20)).unwrap();
    assert_eq!(session.run(Stop::after_requests(4)).unwrap().requests, 4);
}

#[test]
fn connection_per_request_opens_as_many_as_it_sends() {
    let raw = start();
    let totals = reconnect(raw.address, 3, &Request::get("/plaintext"), Stop::after_requests(50)).unwrap();
    assert_eq!((totals.requests, totals.connections), (50, 50));
}
