//! What one side encodes, the other reads as it was meant.

use std::time::Instant;

use httpserver::{
    Error, Limits, Method, Response, StatusCode, Version,
    codec::{
        BodyFraming, ChunkStep, ChunkedDecoder, DateCache, EncodeContext, RequestStart, ResponseFraming, StreamFraming,
        append_chunk, append_last_chunk, encode_request_head, encode_response, encode_stream_head, parse_request_head,
        parse_response_head,
    },
};
use proptest::prelude::*;

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        6 => prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE]),
        1 => "[A-Z!#$%&'*+.^_`|~-]{1,20}"
            .prop_filter("its target has a form of its own", |name| name != "CONNECT")
            .prop_map(|name| Method::from_bytes(name.as_bytes()).unwrap()),
    ]
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "/[a-z0-9/._~-]{0,20}(\\?[a-z=&%/?]{0,20})?",
        1 => "http://[a-z]{1,8}(:[0-9]{1,4})?(/[a-z%]{0,10})?",
    ]
}

fn framing() -> impl Strategy<Value = BodyFraming> {
    let length = (0..=100u64 * 1024 * 1024).prop_map(BodyFraming::Length);
    prop_oneof![Just(BodyFraming::None), length, Just(BodyFraming::Chunked)]
}

fn lines() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let value = prop::collection::vec(prop_oneof![b' '..=b'~', 0x80..=0xffu8, Just(b'\t')], 0..30);
    prop::collection::vec(("X-[A-Za-z0-9_-]{1,10}", value), 0..8)
}

fn trimmed(lines: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let is_space = |b: &u8| b" \t".contains(b);
    lines
        .iter()
        .map(|(name, value)| {
            let start = value.iter().position(|b| !is_space(b)).unwrap_or(value.len());
            let end = value.iter().rposition(|b| !is_space(b)).map_or(start, |at| at + 1);
            (name.clone(), value[start..end].to_vec())
        })
        .collect()
}

fn own_lines<'a>(all: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<(String, Vec<u8>)> {
    let own = all.filter(|(name, _)| name.starts_with("X-"));
    own.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_is_read_as_it_was_encoded(
        method in method(), target in target(), host in "[a-z.]{1,20}(:[0-9]{1,4})?", body in framing(),
        keep_alive: bool, has_upgrade: bool, lines in lines(),
    ) {
        let mut out = b"before".to_vec();
        let start = RequestStart { method: &method, target: &target, host: &host, body, keep_alive };
        let upgrade = has_upgrade.then(|| ("Upgrade".to_owned(), b"websocket".to_vec()));
        encode_request_head(&mut out, &start, lines.iter().cloned().chain(upgrade)).unwrap();

        let (consumed, head) = parse_request_head(&out[6..], &Limits::default()).unwrap().unwrap();
        prop_assert_eq!(consumed, out.len() - 6);
        prop_assert_eq!((head.method(), head.target(), head.version), (&method, &*target, Version::HTTP_11));
        prop_assert_eq!(head.headers.get("host"), Some(&*host));
        prop_assert_eq!((head.body(), head.keep_alive, head.upgrade), (body, keep_alive, has_upgrade));
        prop_assert_eq!(own_lines(head.headers.iter()), trimmed(&lines));
    }

    #[test]
    fn a_response_is_read_as_it_was_encoded(
        status in prop_oneof![3 => Just(200u16), 2 => 200..600u16], is_head: bool, is_http11: bool, keep_alive: bool,
        length in 0..40_000usize, lines in lines(),
    ) {
        let mut response = Response::bytes(vec![b'x'; length]).with_status(StatusCode::from_u16(status).unwrap());
        for (name, value) in &lines {
            response.append_header(name.as_str(), &value[..]).unwrap();
        }
        let date = DateCache::new();
        let version = if is_http11 { Version::HTTP_11 } else { Version::HTTP_10 };
        let context = EncodeContext { version, is_head, keep_alive, now: Instant::now(), date: &date };
        let mut out = Vec::new();
        let encoded = encode_response(&mut out, response, &context);
        out.extend_from_slice(&encoded.rest.unwrap_or_default());

        let method = if is_head { Method::HEAD } else { Method::GET };
        let (consumed, head) = parse_response_head(&out, &Limits::default(), &method).unwrap().unwrap();
        prop_assert_eq!((head.status.as_u16(), head.keep_alive), (status, encoded.keep_alive));
        let body = match head.body {
            ResponseFraming::Body(BodyFraming::None) => 0,
            ResponseFraming::Body(BodyFraming::Length(length)) => length as usize,
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(consumed + body, out.len());
        prop_assert_eq!(own_lines(head.headers.iter()), trimmed(&lines));
    }

    #[test]
    fn the_head_of_a_stream_is_read_as_it_was_encoded(
        status in prop_oneof![3 => Just(200u16), 2 => 200..600u16], is_head: bool, is_http11: bool, keep_alive: bool,
        length in prop::option::of(0..1_000_000u64),
    ) {
        let mut response = Response::new(StatusCode::from_u16(status).unwrap());
        if let Some(length) = length {
            response.set_content_length(length);
        }
        let date = DateCache::new();
        let version = if is_http11 { Version::HTTP_11 } else { Version::HTTP_10 };
        let context = EncodeContext { version, is_head, keep_alive, now: Instant::now(), date: &date };
        let mut out = Vec::new();
        let encoded = encode_stream_head(&mut out, &response, &context);

        let method = if is_head { Method::HEAD } else { Method::GET };
        let (consumed, head) = parse_response_head(&out, &Limits::default(), &method).unwrap().unwrap();
        prop_assert_eq!((consumed, head.keep_alive), (out.len(), encoded.keep_alive));
        let expected = match encoded.framing {
            // 205 says that there is nothing by a length.
            StreamFraming::None if status == 205 && !is_head => ResponseFraming::Body(BodyFraming::Length(0)),
            StreamFraming::None => ResponseFraming::Body(BodyFraming::None),
            StreamFraming::Chunked => ResponseFraming::Body(BodyFraming::Chunked),
            StreamFraming::Counted(length) => ResponseFraming::Body(BodyFraming::Length(length)),
            StreamFraming::UntilClose => ResponseFraming::UntilClose,
        };
        prop_assert_eq!(head.body, expected);
    }
}

#[test]
fn a_chunked_request_goes_through_whole() {
    let start = RequestStart {
        method: &Method::POST,
        target: "/upload",
        host: "a",
        body: BodyFraming::Chunked,
        keep_alive: false,
    };
    let mut out = Vec::new();
    encode_request_head(&mut out, &start, [("TE", "trailers")]).unwrap();
    append_chunk(&mut out, b"abc");
    append_last_chunk(&mut out, None);
    let (consumed, head) = parse_request_head(&out, &Limits::default()).unwrap().unwrap();
    assert_eq!(head.headers.get("connection"), Some("close, TE"));
    let mut decoder = ChunkedDecoder::new();
    let ChunkStep::Data { consumed: taken, data } = decoder.decode(&out[consumed..], 10).unwrap() else {
        panic!("no data");
    };
    assert_eq!(out[consumed..][data], *b"abc");
    assert!(matches!(decoder.decode(&out[consumed + taken..], 10), Ok(ChunkStep::End { .. })));
}

#[test]
fn what_could_be_read_as_another_request_is_not_encoded() {
    let good = RequestStart { method: &Method::GET, target: "/", host: "a", body: BodyFraming::None, keep_alive: true };
    let none: [(&str, &str); 0] = [];
    let mut out = b"before".to_vec();
    let mut refused = |start: &RequestStart<'_>, lines: &[(&str, &str)]| {
        let result = encode_request_head(&mut out, start, lines.iter().copied());
        assert!(matches!(result, Err(Error::InvalidHeader(_))), "{start:?} {lines:?}");
        assert_eq!(out, b"before");
    };
    for target in ["", "a", "/ HTTP/1.1\r\nX: y", "/a b", "/a\nb", "*", "/#a", "/\u{e4}", "a:80", "/%00"] {
        refused(&RequestStart { target, ..good }, &none);
    }
    refused(&RequestStart { target: &format!("/{}", "a".repeat(70_000)), ..good }, &none);
    refused(&RequestStart { target: "/", method: &Method::CONNECT, ..good }, &none);
    for host in ["", "a b", "a\r\nX: y", "u@a", "a,b", "a%"] {
        refused(&RequestStart { host, ..good }, &none);
    }
    for line in [
        ("A", "b\r\nX: y"),
        ("A", "b\0"),
        ("A b", "c"),
        ("", "a"),
        ("Host", "b"),
        ("connection", "keep-alive"),
        ("Content-Length", "1"),
        ("transfer-encoding", "chunked"),
    ] {
        refused(&good, &[("A", "b"), line]);
    }
}
