//! Request heads: what is accepted, what is refused and with which status, and that neither depends on how the bytes
//! arrive.

mod framing;
mod header_lines;
mod limits;
mod parsing;
mod random;
#[path = "../reference/mod.rs"]
mod reference;
mod request_line;

use httpserver::{
    Limits, Method, Version,
    codec::{BodyFraming, Expect, HeadParser, TargetForm},
};
use parsing::{drip, head, parse, refused};

#[test]
fn a_usual_request_is_taken_apart() {
    let head = head("GET /a/b?c=d&e HTTP/1.1\r\nHost: x:80\r\nAccept:\t*/* \r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(head.method(), Method::GET);
    assert_eq!(head.version, Version::HTTP_11);
    assert_eq!((head.target(), head.form()), ("/a/b?c=d&e", TargetForm::Origin));
    assert_eq!((head.path(), head.query()), ("/a/b", Some("c=d&e")));
    assert_eq!(head.host(), Some("x:80"));
    assert_eq!(head.headers.get("accept"), Some("*/*"));
    assert_eq!(head.headers.len(), 3);
    assert_eq!((head.body(), head.keep_alive), (BodyFraming::None, true));
    assert_eq!((head.expect, head.upgrade), (Expect::None, false));
}

#[test]
fn the_next_request_is_left_in_the_buffer() {
    let one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let two = format!("\r\n{one}GET /2");
    let (consumed, head) = parse(two).unwrap().unwrap();
    assert_eq!(consumed, one.len() + 2);
    assert_eq!(head.path(), "/1");
}

#[test]
fn an_incomplete_head_is_waited_for() {
    let request = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..request.len() {
        assert!(parse(&request[..end]).unwrap().is_none(), "{end}");
    }
    assert_eq!(head(request).path(), "*");
}

#[test]
fn of_several_faults_the_first_one_is_named_however_the_bytes_come() {
    let many = "X: y\r\n".repeat(100);
    for (status, request) in [
        // Lines too many, and in the last one a bare LF; then the other way round.
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\n{many}{many}A: b\n\r\n")),
        (400, format!("GET / HTTP/1.1\r\nHost: a\r\nA: b\n{many}{many}\r\n")),
        (505, "GET / HTTP/2.0\r\nA : b\r\n\r\n".to_owned()),
        (414, format!("GET /{} HTTP/2.0\r\n\r\n", "x".repeat(9_000))),
    ] {
        for step in [1, 3, 50, 1_000, usize::MAX] {
            assert_eq!(drip(request.as_bytes(), &Limits::default(), step).unwrap_err(), status, "{step}");
        }
    }
}

#[test]
fn hopeless_beginnings_are_refused_without_waiting() {
    for start in ["@", "G@", "\0", "GET  ", "GET / HTTQ", "GET / HTTP/1.1\r\nA ", "GET / HTTP/1.1\r\nA: b\0", "GET / X"]
    {
        refused(400, start);
    }
    // Byte by byte the certain end may be seen a little later, but not at the end of the limit.
    let mut dripped = b"GET / HTTP/1.1\r\nA b".to_vec();
    dripped.resize(200, b'c');
    let mut parser = HeadParser::default();
    assert!((1..200).any(|end| parser.parse(&dripped[..end], &Limits::default()).is_err()));
}
