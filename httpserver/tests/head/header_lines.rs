//! The lines of a head, where they end, and what they may hold.

use httpserver::{Limits, codec::HeadParser};

use super::parsing::{drip, head, parse, refused};

#[test]
fn line_ends_are_cr_lf_and_nothing_else() {
    for request in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nB:\nC: d\r\n\r\n",
        "GET / HTTP/1.0\n\r\n",
        "GET / HTTP/1.0\r\n\n",
        "GET / HTTP/1.1\rHost: a\r\r",
        "GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refused(400, request);
    }
    assert_eq!(parse("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().unwrap().0, 29);
}

#[test]
fn header_lines_by_grammar() {
    for line in [
        "A : b",
        " A: b",
        "\tA: b",
        ": b",
        "A",
        "A\u{e4}: b",
        "A(b): c",
        "A: b\r\n c",
        "A: b\r\n\tc",
        "A: \0",
        "A: \x01",
        "A: \x7f",
        "A: b\x0bc",
        "A: b\x0c",
        "A\0: b",
        "\"A\": b",
        "A: b\r\n \r\n: c",
    ] {
        refused(400, format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n"));
        refused(400, format!("GET / HTTP/1.1\r\n{line}\r\nHost: a\r\n\r\n"));
    }
    let lines = b"GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:  \t\r\nC: \xff\tx \r\n\r\n";
    let head = head(lines);
    assert_eq!(head.headers.get("a"), Some(""));
    assert_eq!(head.headers.get("b"), Some(""));
    assert_eq!(head.headers.get_bytes("c"), Some(&b"\xff\tx"[..]));
}

#[test]
fn every_byte_is_judged_alike_at_every_place_of_a_value() {
    // The vectorised loops of the parser below see a byte in different lanes.
    for b in 0..=255u8 {
        for place in [0, 1, 7, 8, 15, 16, 31, 32, 63, 64] {
            let mut request = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
            request.extend(std::iter::repeat_n(b'v', place));
            request.push(b);
            request.extend_from_slice(b"v\r\n\r\n");
            let allowed = b == b'\t' || (b >= b' ' && b != 0x7f);
            let parsed = HeadParser::default().parse(&request, &Limits::default());
            assert_eq!(parsed.is_ok(), allowed, "{b:#x} at {place}");
        }
    }
}

#[test]
fn host_is_there_exactly_once_and_well_formed() {
    for lines in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a/b\r\n",
        "Host: http://a\r\n",
        "Host: u@a\r\n",
        "Host: a:b\r\n",
        "Host: a:65536\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host: \u{e4}\r\n",
        "Host: :80\r\n",
        "Host: a\tb\r\n",
        "Host:\r\n",
        "Host: \t \r\n",
        "Host: a%\r\n",
        "Host: a%4\r\n",
        "Host: a%zz\r\n",
        "Host: a%4:80\r\n",
        "Host: a%00\r\n",
    ] {
        refused(400, format!("GET / HTTP/1.1\r\n{lines}\r\n"));
    }
    refused(400, "GET http://b/ HTTP/1.1\r\n\r\n");
    refused(400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n");
    // Neither is an empty line excused by a version or a target that names the host.
    refused(400, "GET / HTTP/1.0\r\nHost:\r\n\r\n");
    refused(400, "GET http://b/ HTTP/1.1\r\nHost:\r\n\r\n");
    refused(400, "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n");
    refused(400, "OPTIONS / HTTP/1.1\r\nHost: \r\n\r\n");
    assert_eq!(head("GET / HTTP/1.1\r\nHost: a%4A%2fb\r\n\r\n").host(), Some("a%4A%2fb"));
    assert_eq!(head("GET / HTTP/1.1\r\nhOST: [::1]:80\r\n\r\n").host(), Some("[::1]:80"));
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").host(), None);
}

#[test]
fn a_bare_line_feed_is_refused_before_the_head_is_complete() {
    refused(400, "GET / HTTP/1.1\nHost: a");
    let request = b"GET / HTTP/1.1\r\nHost: a\nB: c";
    let mut parser = HeadParser::default();
    let refused = (1..request.len()).find(|&end| parser.parse(&request[..end], &Limits::default()).is_err());
    assert_eq!(refused, Some(24));
}

#[test]
fn a_bare_line_feed_ends_a_line_where_that_is_accepted() {
    let limits = Limits::default().accept_bare_lf(true);
    for request in [
        "GET /a?b HTTP/1.1\nHost: a\nX: y \n\n",
        "GET /a?b HTTP/1.1\r\nHost: a\nX: y\r\n\n",
        "GET /a?b HTTP/1.1\nHost: a\r\nX: y\n\r\n",
        "\nGET /a?b HTTP/1.1\nHost: a\nX: y\n\n",
        "\r\nGET /a?b HTTP/1.1\nHost: a\nX: y\n\n",
        "GET /a?b HTTP/1.4\nHost: a\nX: y\n\n",
    ] {
        assert!(parse(request).is_err(), "{request:?}");
        for step in [1, 2, 5, usize::MAX] {
            let (consumed, head) = drip(request.as_bytes(), &limits, step).unwrap().unwrap();
            assert_eq!(consumed, request.len());
            assert_eq!((head.target(), head.host(), head.headers.get("x")), ("/a?b", Some("a"), Some("y")));
        }
    }
    // Nothing else becomes lenient.
    for (status, request) in [
        (400, "GET / HTTP/1.1\nHost: a\nA: b\n c\n\n"),
        (400, "GET / HTTP/1.1\nHost: a\nA: b\rc\n\n"),
        (400, "GET / HTTP/1.1\nHost: a\nA: b\r\r\n\n"),
        (400, "GET / HTTP/1.1\rHost: a\r\r"),
        (400, "GET / HTTP/1.1\nHost: a\nA : b\n\n"),
        (400, "GET / HTTP/1.1\n\n"),
        (400, "\n\nGET / HTTP/1.1\nHost: a\n\n"),
        (400, "\n\r\nGET / HTTP/1.1\nHost: a\n\n"),
        (505, "GET / HTTP/2.0\nHost: a\n\n"),
        (505, "GET / HTTP/2.0\r\nHost: a\n\n"),
    ] {
        assert_eq!(drip(request.as_bytes(), &limits, usize::MAX).unwrap_err(), status, "{request:?}");
        assert_eq!(drip(request.as_bytes(), &limits, 1).unwrap_err(), status, "{request:?}");
    }
}
