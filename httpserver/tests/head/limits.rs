//! The limits of a head.

use httpserver::{Limits, codec::HeadParser};

use super::parsing::{parse_with, status_of};

#[test]
fn a_body_has_at_most_max_body_bytes() {
    let limits = Limits::default().max_body(10);
    let post = |length| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    assert!(parse_with(post(9).as_bytes(), &limits).is_ok());
    assert!(parse_with(post(10).as_bytes(), &limits).is_ok());
    assert_eq!(parse_with(post(11).as_bytes(), &limits).unwrap_err(), 413);
}

#[test]
fn a_target_has_at_most_max_target_bytes() {
    let limits = Limits::default().max_target(20);
    let get = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
    assert!(parse_with(get(19).as_bytes(), &limits).is_ok());
    assert!(parse_with(get(20).as_bytes(), &limits).is_ok());
    assert_eq!(parse_with(get(21).as_bytes(), &limits).unwrap_err(), 414);
    // Known before the line is complete, and whatever follows.
    assert_eq!(parse_with(&get(21).as_bytes()[..25], &limits).unwrap_err(), 414);
    assert!(parse_with(&get(20).as_bytes()[..24], &limits).unwrap().is_none());
    let other = get(21).replace("1.1", "2.0");
    assert_eq!(parse_with(other.as_bytes(), &limits).unwrap_err(), 414);
}

#[test]
fn a_target_too_long_is_noticed_while_it_drips() {
    let limits = Limits::default();
    let line = format!("GET /{}", "x".repeat(20_000));
    let mut parser = HeadParser::default();
    let refused = (1..line.len()).find(|&end| parser.parse(&line.as_bytes()[..end], &limits).is_err());
    assert!(refused.expect("refused") <= limits.max_target + 16);
}

#[test]
fn a_head_has_at_most_max_head_bytes() {
    let limits = Limits::default().max_head(100);
    let get = |length: usize| {
        let request = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        request.replace("X: ", &format!("X: {}", "v".repeat(length - request.len())))
    };
    for length in [99, 100] {
        let (consumed, _) = parse_with(get(length).as_bytes(), &limits).unwrap().unwrap();
        assert_eq!(consumed, length);
    }
    assert_eq!(parse_with(get(101).as_bytes(), &limits).unwrap_err(), 431);
    assert_eq!(parse_with(&get(101).as_bytes()[..100], &limits).unwrap_err(), 431);
    assert!(parse_with(&get(101).as_bytes()[..99], &limits).unwrap().is_none());
}

#[test]
fn the_largest_head_there_is_can_be_read_back() {
    let limits = Limits::default().max_head(usize::MAX);
    let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    let filler = 65_536 - start.len() - "\r\nY: z\r\n\r\n".len();
    let request = format!("{start}{}\r\nY: z\r\n\r\n", "v".repeat(filler));
    let (consumed, head) = HeadParser::default().parse(request.as_bytes(), &limits).unwrap().unwrap();
    assert_eq!(consumed, 65_536);
    assert_eq!(head.headers.get("x").map(str::len), Some(filler));
    assert_eq!(head.headers.get("y"), Some("z"));
    let longer = request.replace("Y: z", "Y: zz");
    let error = HeadParser::default().parse(longer.as_bytes(), &limits).unwrap_err();
    assert_eq!(status_of(error), 431);
}

#[test]
fn a_head_too_long_is_refused_with_the_byte_that_fills_the_limit() {
    let limits = Limits::default().max_head(1_000);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "v".repeat(2_000));
    let mut parser = HeadParser::default();
    let refused = (1..request.len()).find(|&end| parser.parse(&request.as_bytes()[..end], &limits).is_err());
    assert_eq!(refused, Some(1_000));
}

#[test]
fn a_head_has_at_most_max_headers_lines() {
    let get = |lines: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(lines - 1));
    for max in [3, 100, 101, 256] {
        let limits = Limits::default().max_headers(max);
        for lines in [max - 1, max] {
            let (_, head) = parse_with(get(lines).as_bytes(), &limits).unwrap().unwrap();
            assert_eq!(head.headers.len(), lines);
        }
        assert_eq!(parse_with(get(max + 1).as_bytes(), &limits).unwrap_err(), 431);
    }
    let limits = Limits::default().max_headers(usize::MAX);
    assert_eq!(parse_with(get(257).as_bytes(), &limits).unwrap_err(), 431);
    // Also when a higher minor version is looked at a second time.
    let limits = Limits::default().max_headers(3);
    let newer = get(4).replace("1.1", "1.5");
    assert_eq!(parse_with(newer.as_bytes(), &limits).unwrap_err(), 431);
}
