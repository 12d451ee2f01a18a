//! The two measured servers have the same routes and end when told to.

mod program;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use benches::{
    load::{Request, Session, Stop, fetch},
    message::{Allocations, Sizes},
};
use program::Program;

const SERVERS: [&str; 2] = [env!("CARGO_BIN_EXE_bench-http"), env!("CARGO_BIN_EXE_bench-web")];

#[test]
fn every_route_answers() {
    for path in SERVERS {
        let server = Program::start(path, &[]);
        let get = |path: &str| String::from_utf8(fetch(server.address, &Request::get(path)).unwrap()).unwrap();
        assert_eq!(get("/plaintext"), "Hello, World!");
        assert_eq!(get("/json"), r#"{"message":"Hello, World!"}"#);
        assert_eq!(get("/user/42"), "42");
        let sizes: Sizes = serde_json::from_str(&get("/sizes")).unwrap();
        assert!(sizes.connection_future > 0);
        // `fetch` compares the body that comes back.
        fetch(server.address, &Request::echo("/echo", 5 << 20)).unwrap();
        assert!(server.terminate().success(), "{path}");
    }
}

#[test]
fn parked_requests_are_answered_when_released_and_not_before() {
    for path in SERVERS {
        let server = Program::start(path, &[]);
        let mut session = Session::open(server.address, 3, 1, Request::get("/plaintext")).unwrap();
        session.send_and_hold(&Request::get("/park")).unwrap();
        // Whoever is parked counts; a request may still be on its way when the first release comes.
        let mut released = 0;
        for _ in 0..100_000 {
            let body = fetch(server.address, &Request::get("/release")).unwrap();
            let count = String::from_utf8(body).unwrap();
            released += count.strip_prefix("released ").unwrap().parse::<usize>().unwrap();
            if released == 3 {
                break;
            }
        }
        assert_eq!(session.finish().unwrap().requests, 3, "{path}");
    }
}

#[test]
fn allocations_are_counted_on_demand() {
    for path in SERVERS {
        let server = Program::start(path, &["--count-allocations"]);
        let count = || -> Allocations {
            let body = fetch(server.address, &Request::get("/allocations")).unwrap();
            serde_json::from_slice(&body).unwrap()
        };
        let before = count();
        let mut session = Session::open(server.address, 1, 1, Request::get("/json")).unwrap();
        session.run(Stop::after_requests(100)).unwrap();
        assert!(count().allocations >= before.allocations + 100, "{path}");
    }
}

#[test]
fn unknown_path_is_404() {
    for path in SERVERS {
        let server = Program::start(path, &[]);
        let mut client = TcpStream::connect(server.address).unwrap();
        client.write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
}
