//! Response heads: what a client reads in them, what it refuses, and that neither depends on how the bytes arrive.

mod reference;

use httpserver::{
    Error, Limits, Method, Version,
    codec::{BodyFraming, HeadParser, ResponseFraming, ResponseHead},
};
use proptest::prelude::*;

fn parse_for(method: &Method, bytes: impl AsRef<[u8]>) -> Result<Option<(usize, ResponseHead)>, Error> {
    let bytes = bytes.as_ref();
    let whole = HeadParser::default().parse_response(bytes, &Limits::default(), method);
    let mut parser = HeadParser::default();
    let mut dripped = Ok(None);
    for end in 1..=bytes.len() {
        dripped = parser.parse_response(&bytes[..end], &Limits::default(), method);
        if !matches!(dripped, Ok(None)) {
            break;
        }
    }
    // The fault of a head that is not complete may be found a little later byte by byte.
    if !matches!((&whole, &dripped), (Err(_), Ok(None) | Err(_))) {
        assert_eq!(format!("{whole:?}"), format!("{dripped:?}"), "{}", bytes.escape_ascii());
    }
    whole
}

fn head_for(method: &Method, bytes: impl AsRef<[u8]>) -> ResponseHead {
    let bytes = bytes.as_ref();
    match parse_for(method, bytes) {
        Ok(Some((consumed, head))) => {
            assert_eq!(consumed, bytes.len());
            head
        }
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

fn head(bytes: impl AsRef<[u8]>) -> ResponseHead {
    head_for(&Method::GET, bytes)
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    match parse_for(&Method::GET, bytes) {
        // No status of a client's fault, or a gateway would pass it on.
        Err(error) => assert!(matches!(error, Error::BadResponse(_)), "{}: {error:?}", bytes.escape_ascii()),
        Ok(other) => panic!("{} gave {other:?}", bytes.escape_ascii()),
    }
}

#[test]
fn a_usual_response_is_taken_apart() {
    let text = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n";
    let (consumed, head) = parse_for(&Method::GET, format!("{text}abcHTTP/1.1 200")).unwrap().unwrap();
    assert_eq!(consumed, text.len());
    assert_eq!((head.status.as_u16(), head.version, head.reason()), (404, Version::HTTP_11, &b"Not Found"[..]));
    assert_eq!(head.headers.get("content-type"), Some("text/plain"));
    assert_eq!(head.body, ResponseFraming::Body(BodyFraming::Length(3)));
    assert!(head.keep_alive && !head.is_interim());
}

#[test]
fn an_incomplete_head_is_waited_for() {
    let response = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    for end in 0..response.len() {
        assert!(parse_for(&Method::GET, &response[..end]).unwrap().is_none(), "{end}");
    }
}

#[test]
fn status_lines_by_grammar() {
    assert_eq!(head("HTTP/1.1 200 \r\n\r\n").reason(), b"");
    assert_eq!(head("HTTP/1.1 200\r\n\r\n").reason(), b"");
    assert_eq!(head("HTTP/1.1 200 \u{e4}\tb\r\n\r\n").reason(), "\u{e4}\tb".as_bytes());
    assert_eq!(head("HTTP/1.1 999 x\r\n\r\n").status.as_u16(), 999);
    assert_eq!(head("HTTP/1.7 200 OK\r\n\r\n").version, Version::HTTP_11);
    assert_eq!(head("HTTP/1.0 200 OK\r\n\r\n").version, Version::HTTP_10);
    for line in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200 O\x01K",
        "HTTP/2.0 200 OK",
        "HTTP/0.9 200 OK",
        "HTTP/1.10 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
        "\r\nHTTP/1.1 200 OK",
        "200 OK",
    ] {
        refused(format!("{line}\r\n\r\n"));
    }
}

#[test]
fn lines_are_held_to_the_rules_of_requests() {
    for lines in [
        "A : b\r\n",
        "A: b\r\n c\r\n",
        ": b\r\n",
        "A\r\n",
        "A: \0\r\n",
        "A: b\rc\r\n",
        "A: b\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 03\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: 18446744073709551615\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        refused(format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
    }
    refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused("HTTP/1.1 200 OK\n\n");
    refused("HTTP/1.1 200 OK\r\n\n");
    refused("HTTP/1.1 200 OK\n\r\n");
    refused(format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(70_000)));
    refused(format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101)));
    // Lines that mean something in a request alone.
    let head = head("HTTP/1.1 200 OK\r\nHost: \r\nHost: a b\r\nExpect: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(head.headers.len(), 4);
}

#[test]
fn the_body_ends_as_status_method_and_lines_say() {
    let body = |method: &Method, status: u16, lines: &str| {
        head_for(method, format!("HTTP/1.1 {status} x\r\n{lines}\r\n")).body
    };
    let (none, tunnel) = (ResponseFraming::Body(BodyFraming::None), ResponseFraming::Tunnel);
    let (get, length) = (Method::GET, "Content-Length: 5\r\n");
    assert_eq!(body(&get, 200, length), ResponseFraming::Body(BodyFraming::Length(5)));
    assert_eq!(body(&get, 200, "Content-Length: 0\r\n"), ResponseFraming::Body(BodyFraming::Length(0)));
    assert_eq!(body(&get, 500, "Transfer-Encoding: Chunked\r\n"), ResponseFraming::Body(BodyFraming::Chunked));
    assert_eq!(body(&get, 200, ""), ResponseFraming::UntilClose);
    for lines in ["", length, "Transfer-Encoding: chunked\r\n"] {
        assert_eq!(body(&Method::HEAD, 200, lines), none);
        for status in [100, 103, 199, 204, 304] {
            assert_eq!(body(&get, status, lines), none, "{status}");
        }
        assert_eq!(body(&Method::CONNECT, 200, lines), tunnel);
        assert_eq!(body(&Method::CONNECT, 299, lines), tunnel);
        assert_eq!(body(&get, 101, lines), tunnel);
    }
    // A CONNECT that was refused is answered like anything else.
    assert_eq!(body(&Method::CONNECT, 407, length), ResponseFraming::Body(BodyFraming::Length(5)));
    assert_eq!(body(&get, 205, ""), ResponseFraming::UntilClose);
}

#[test]
fn a_connection_is_kept_when_both_the_lines_and_the_framing_allow_it() {
    let keep_alive = |version, lines: &str| head(format!("HTTP/{version} 200 OK\r\n{lines}\r\n")).keep_alive;
    assert!(keep_alive("1.1", "Content-Length: 0\r\n"));
    assert!(!keep_alive("1.1", "Content-Length: 0\r\nConnection: x, close\r\n"));
    assert!(!keep_alive("1.1", ""));
    assert!(!keep_alive("1.0", "Content-Length: 0\r\n"));
    assert!(keep_alive("1.0", "Content-Length: 0\r\nConnection: Keep-Alive\r\n"));
    assert!(!head("HTTP/1.1 101 x\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n").keep_alive);
}

#[test]
fn interim_responses_are_told_from_the_last_one() {
    for (status, is_interim) in [(100, true), (103, true), (101, false), (200, false)] {
        assert_eq!(head(format!("HTTP/1.1 {status} x\r\n\r\n")).is_interim(), is_interim);
    }
}

/// Heads of responses, mostly with one fault or one oddity.
fn response_bytes() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => "HTTP/1\\.[01] (200|404|100|101|204|304|999) [A-Za-z ]{0,10}",
        1 => "HTTP/[12]\\.[0-9] [0-9]{2,4} ?[ -~\u{e4}\t]{0,10}",
        1 => "[ -~]{0,20}",
    ];
    let line = prop_oneof![
        3 => "[A-Za-z-]{1,12}: ?[ -~\t]{0,20}",
        2 => "(Content-Length|content-length): ?[0-9+, ]{0,3}",
        2 => "Transfer-Encoding: (chunked|gzip, chunked|chunked, gzip|CHUNKED|gzip)?",
        2 => "Connection:[ \t]*(close|keep-alive|x, Close)",
        1 => "[ -~\t]{0,12}",
    ];
    let byte = prop_oneof![prop::sample::select(&b"\r\n \t:\0\x7f\xff0"[..]), any::<u8>()];
    let edit = prop::option::weighted(0.4, (any::<prop::sample::Index>(), 0..3u8, byte));
    let rest = prop_oneof![3 => Just(""), 1 => Just("body"), 1 => Just("HTTP/1.1 200 OK\r\n")];
    (first, prop::collection::vec(line, 0..5), edit, rest).prop_map(|(first, lines, edit, rest)| {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let mut bytes = format!("{first}\r\n{lines}\r\n{rest}").into_bytes();
        if let Some((at, kind, byte)) = edit {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn heads_are_read_as_the_reference_reads_them(
        bytes in response_bytes(),
        method in prop::sample::select(vec![Method::GET, Method::HEAD, Method::CONNECT]),
    ) {
        // Byte by byte, too.
        match (parse_for(&method, &bytes), reference::parse_response(&bytes, method.as_str())) {
            (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
            // The reference judges complete heads only.
            (Err(_), Ok(None)) => {}
            (Ok(Some((consumed, head))), Ok(Some(expected))) => {
                prop_assert_eq!(consumed, expected.consumed);
                prop_assert_eq!((head.status.as_u16(), head.reason()), (expected.status, &expected.reason[..]));
                prop_assert_eq!((head.body, head.keep_alive), (expected.body, expected.keep_alive));
                let lines: Vec<_> = head.headers.iter().map(|(n, v)| (n.to_string(), v.to_vec())).collect();
                prop_assert_eq!(lines, expected.headers);
            }
            (actual, expected) => prop_assert!(false, "{}: {actual:?} but {expected:?}", bytes.escape_ascii()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_for(&Method::GET, &bytes);
        let _ = parse_for(&Method::GET, [b"HTTP/1.1 ", &bytes[..]].concat());
        let _ = parse_for(&Method::GET, [b"HTTP/1.1 200 OK\r\nA: b\r\n", &bytes[..]].concat());
    }
}
