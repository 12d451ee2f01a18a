//! Responses on the wire.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use httpserver::{
    Body, BodyStream, Frame, IOLoop, Response, Result, StatusCode, Version,
    codec::{
        DateCache, EncodeContext, Encoded, MAX_COPIED_BODY, StreamFraming, append_chunk, encode_response,
        encode_stream_head, encode_switch,
    },
    iostream::ioloop::VirtualClock,
};

const HTTP_11: EncodeKind = EncodeKind { version: Version::HTTP_11, is_head: false, keep_alive: true };
const HTTP_10: EncodeKind = EncodeKind { version: Version::HTTP_10, ..HTTP_11 };
const HEAD: EncodeKind = EncodeKind { is_head: true, ..HTTP_11 };
const CLOSING: EncodeKind = EncodeKind { keep_alive: false, ..HTTP_11 };

#[derive(Clone, Copy)]
struct EncodeKind {
    version: Version,
    is_head: bool,
    keep_alive: bool,
}

impl EncodeKind {
    fn context(self, date: &DateCache) -> EncodeContext<'_> {
        let EncodeKind { version, is_head, keep_alive } = self;
        EncodeContext { version, is_head, keep_alive, now: Instant::now(), date }
    }
}

fn encode(response: Response, kind: EncodeKind) -> (String, Encoded) {
    let mut out = Vec::new();
    let encoded = encode_response(&mut out, response, &kind.context(&DateCache::new()));
    (without_date(out), encoded)
}

fn stream(response: &Response, kind: EncodeKind) -> (String, bool, StreamFraming) {
    let mut out = Vec::new();
    let encoded = encode_stream_head(&mut out, response, &kind.context(&DateCache::new()));
    (without_date(out), encoded.keep_alive, encoded.framing)
}

/// Takes out the Date line, which has to be there and right behind the status line.
fn without_date(out: Vec<u8>) -> String {
    let text = String::from_utf8(out).unwrap();
    let start = text.find("\r\n").unwrap() + 2;
    let line = &text[start..start + 37];
    assert!(line.starts_with("Date: ") && line.ends_with(" GMT\r\n"), "{text}");
    text.replace(line, "")
}

#[test]
fn a_small_response_is_one_piece() {
    let (text, encoded) = encode(Response::text("Hello, World!"), HTTP_11);
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n\r\nHello, World!"
    );
    assert!(encoded.keep_alive && encoded.rest.is_none());
}

#[test]
fn a_large_body_is_sent_from_where_it_is() {
    let (text, encoded) = encode(Response::bytes(vec![b'x'; MAX_COPIED_BODY]), HTTP_11);
    assert!(encoded.rest.is_none());
    assert_eq!(text.matches('x').count(), MAX_COPIED_BODY);
    let (text, encoded) = encode(Response::bytes(vec![b'x'; MAX_COPIED_BODY + 1]), HTTP_11);
    assert!(text.ends_with("Content-Length: 16385\r\n\r\n"));
    assert_eq!(encoded.rest.unwrap().len(), MAX_COPIED_BODY + 1);
}

#[test]
fn responses_of_one_batch_follow_each_other() {
    let mut out = Vec::new();
    for body in ["a", "b"] {
        let _ = encode_response(&mut out, Response::text(body), &HTTP_11.context(&DateCache::new()));
    }
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2);
    assert!(text.contains("\r\n\r\naHTTP/1.1"));
}

#[test]
fn lines_set_are_sent_as_they_were_set() {
    let response = Response::new(StatusCode::NOT_FOUND).with_header("X-b", "1").with_header("A", "2");
    let (text, _) = encode(response, HTTP_11);
    assert_eq!(text, "HTTP/1.1 404 Not Found\r\nX-b: 1\r\nA: 2\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn a_date_that_was_set_is_the_only_one() {
    let mut out = Vec::new();
    let response = Response::text("").with_header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let _ = encode_response(&mut out, response, &HTTP_11.context(&DateCache::new()));
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n") && !text.contains("Date"), "{text}");
}

thread_local! {
    static WALL: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn wall() -> SystemTime {
    UNIX_EPOCH + WALL.get()
}

#[test]
fn each_loop_of_a_thread_has_its_own_date() {
    let clocks = [VirtualClock::new(), VirtualClock::new()];
    let [behind, ahead] = clocks.each_ref().map(|clock| IOLoop::builder().virtual_clock(clock).build().unwrap());
    // What a server keeps for its loop.
    let caches = [DateCache::with_wall_clock(wall), DateCache::with_wall_clock(wall)];
    let date = |ioloop: &IOLoop, cache: &DateCache| {
        let now = ioloop.run_sync(async { IOLoop::current().turn_time() });
        let mut out = Vec::new();
        let _ = encode_response(&mut out, Response::text(""), &EncodeContext { now, ..HTTP_11.context(cache) });
        let text = String::from_utf8(out).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap().to_owned()
    };

    clocks[1].skip(Duration::from_secs(3600));
    assert_eq!(date(&behind, &caches[0]), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(date(&ahead, &caches[1]), "Thu, 01 Jan 1970 00:00:00 GMT");
    WALL.set(Duration::from_secs(2));
    clocks[0].skip(Duration::from_secs(2));
    assert_eq!(date(&behind, &caches[0]), "Thu, 01 Jan 1970 00:00:02 GMT");
    // On the other clock no time has passed.
    assert_eq!(date(&ahead, &caches[1]), "Thu, 01 Jan 1970 00:00:00 GMT");
}

#[test]
fn the_connection_line_says_what_the_version_does_not() {
    let connection = |kind, closes: bool| {
        let mut response = Response::text("");
        if closes {
            response.close_connection();
        }
        let (text, encoded) = encode(response, kind);
        let line = text.lines().find_map(|line| line.strip_prefix("Connection: ")).map(str::to_string);
        (line, encoded.keep_alive)
    };
    assert_eq!(connection(HTTP_11, false), (None, true));
    assert_eq!(connection(HTTP_10, false), (Some("keep-alive".into()), true));
    assert_eq!(connection(CLOSING, false), (Some("close".into()), false));
    assert_eq!(connection(HTTP_11, true), (Some("close".into()), false));
    assert_eq!(connection(HTTP_10, true), (Some("close".into()), false));
    let switching = Response::new(StatusCode::SWITCHING_PROTOCOLS).with_header("Upgrade", "x");
    let mut out = Vec::new();
    encode_switch(&mut out, &switching, &HTTP_11.context(&DateCache::new()));
    assert_eq!(without_date(out), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
}

#[test]
fn a_426_names_its_upgrade_line_whatever_its_body_is() {
    let answer = |body: Body| {
        let response = Response::new(StatusCode::UPGRADE_REQUIRED).with_header("Upgrade", "websocket");
        response.with_body(body)
    };
    let (mut whole, mut streamed) = (Vec::new(), Vec::new());
    let date = DateCache::new();
    let _ = encode_response(&mut whole, answer(Body::from("x")), &HTTP_11.context(&date));
    let _ = encode_stream_head(&mut streamed, &answer(Body::stream(Sized(None))), &HTTP_11.context(&date));
    for head in [whole, streamed] {
        let head = without_date(head);
        assert!(head.contains("\r\nUpgrade: websocket\r\n") && head.contains("\r\nConnection: Upgrade\r\n"), "{head}");
    }
}

#[test]
fn head_gets_the_head_of_the_answer_alone() {
    let (text, encoded) = encode(Response::html("<p>"), HEAD);
    assert!(text.ends_with("Content-Length: 3\r\n\r\n"), "{text}");
    assert!(encoded.rest.is_none());
    let (_, encoded) = encode(Response::bytes(vec![0; MAX_COPIED_BODY + 1]), HEAD);
    assert!(encoded.rest.is_none());
    let mut response = Response::new(StatusCode::OK);
    response.set_content_length(70_000);
    assert!(encode(response, HEAD).0.ends_with("Content-Length: 70000\r\n\r\n"));
}

/// A stream that knows its size, or does not.
struct Sized(Option<u64>);

impl BodyStream for Sized {
    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        unreachable!("the encoder asks for nothing but the size")
    }

    fn exact_size(&self) -> Option<u64> {
        self.0
    }
}

#[test]
fn head_gets_the_content_length_of_get_whatever_was_set() {
    let length = |text: &str| text.lines().find(|line| line.starts_with("Content-Length")).map(str::to_owned);
    for status in [200, 204, 205, 206, 304, 404, 500] {
        for set in [None, Some(3), Some(70_000)] {
            let finished = |body: Body| {
                let mut response = Response::text(body).with_status(StatusCode::from_u16(status).unwrap());
                if let Some(length) = set {
                    response.set_content_length(length);
                }
                response
            };
            let whole = || finished(Body::from("hello"));
            assert_eq!(length(&encode(whole(), HEAD).0), length(&encode(whole(), HTTP_11).0), "{status} {set:?}");
            for size in [None, Some(0), Some(9)] {
                let response = finished(Body::stream(Sized(size)));
                let (get, head) = (stream(&response, HTTP_11).0, stream(&response, HEAD).0);
                assert_eq!(length(&head), length(&get), "{status} {set:?} {size:?}");
            }
        }
    }
}

#[test]
fn statuses_without_content_have_none() {
    for (status, length) in [(204, None), (304, None), (205, Some("Content-Length: 0"))] {
        let mut response = Response::text("must not be seen");
        response.set_status(StatusCode::from_u16(status).unwrap());
        let (text, encoded) = encode(response, HTTP_11);
        assert!(text.ends_with("\r\n\r\n") && !text.contains("seen"), "{text}");
        assert_eq!(text.lines().find(|line| line.starts_with("Content-Length")), length);
        assert!(encoded.keep_alive && encoded.rest.is_none());
    }
    let mut response = Response::new(StatusCode::NOT_MODIFIED);
    response.set_content_length(5);
    assert!(encode(response, HTTP_11).0.contains("Content-Length: 5\r\n"));
    let mut response = Response::new(StatusCode::NO_CONTENT);
    response.set_content_length(5);
    assert!(!encode(response, HTTP_11).0.contains("Content-Length"));
}

#[test]
fn the_length_of_a_given_body_cannot_be_contradicted() {
    let mut response = Response::text("abc");
    response.set_content_length(10);
    let (text, _) = encode(response, HTTP_11);
    assert!(text.contains("Content-Length: 3\r\n") && !text.contains("10"), "{text}");
}

#[test]
fn a_success_that_opens_a_tunnel_has_neither_length_nor_coding() {
    let mut out = Vec::new();
    encode_switch(
        &mut out,
        &Response::text("dropped").with_header("Via", "1.1 a"),
        &HTTP_11.context(&DateCache::new()),
    );
    assert_eq!(without_date(out), "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nVia: 1.1 a\r\n\r\n");
}

#[test]
fn a_length_without_a_body_is_a_mistake_where_a_body_belongs() {
    let announcing = |status| {
        let mut response = Response::new(status);
        response.set_content_length(5);
        response
    };
    let (text, _) = encode(announcing(StatusCode::OK), HTTP_11);
    assert!(text.starts_with("HTTP/1.1 500 ") && text.ends_with("Content-Length: 0\r\n\r\n"), "{text}");
    assert!(encode(announcing(StatusCode::OK), HEAD).0.starts_with("HTTP/1.1 200 "));
    assert!(encode(announcing(StatusCode::NOT_MODIFIED), HTTP_11).0.starts_with("HTTP/1.1 304 "));
}

#[test]
fn a_status_without_a_name_keeps_its_space() {
    let (text, _) = encode(Response::new(StatusCode::from_u16(599).unwrap()), HTTP_11);
    assert!(text.starts_with("HTTP/1.1 599 \r\n"), "{text}");
    let (text, _) = encode(Response::new(StatusCode::IM_A_TEAPOT), HTTP_11);
    assert!(text.starts_with("HTTP/1.1 418 I'm a teapot\r\n"), "{text}");
}

#[test]
fn every_usual_status_line_is_what_the_table_of_statuses_says() {
    for code in 200..600 {
        let status = StatusCode::from_u16(code).unwrap();
        let (text, _) = encode(Response::new(status), HTTP_11);
        let line = format!("HTTP/1.1 {code} {}\r\n", status.canonical_reason().unwrap_or_default());
        assert!(text.starts_with(&line), "{text}");
    }
}

#[test]
fn streams_are_framed_by_what_the_client_understands() {
    let response = Response::text("");
    let (text, keep_alive, framing) = stream(&response, HTTP_11);
    assert!(text.contains("Transfer-Encoding: chunked\r\n") && !text.contains("Content-Length"), "{text}");
    assert_eq!((keep_alive, framing), (true, StreamFraming::Chunked));
    let (text, keep_alive, framing) = stream(&response, HTTP_10);
    assert!(text.contains("Connection: close\r\n") && !text.contains("Transfer-Encoding"), "{text}");
    assert_eq!((keep_alive, framing), (false, StreamFraming::UntilClose));
    let (text, keep_alive, framing) = stream(&response, HEAD);
    assert!(!text.contains("Transfer-Encoding") && !text.contains("Content-Length"), "{text}");
    assert_eq!((keep_alive, framing), (true, StreamFraming::None));
    let (_, keep_alive, framing) = stream(&response, CLOSING);
    assert_eq!((keep_alive, framing), (false, StreamFraming::Chunked));
}

#[test]
fn a_stream_of_known_length_is_counted() {
    let mut response = Response::text("");
    response.set_content_length(5);
    for kind in [HTTP_11, HTTP_10] {
        let (text, keep_alive, framing) = stream(&response, kind);
        assert!(text.contains("Content-Length: 5\r\n") && !text.contains("Transfer-Encoding"), "{text}");
        assert_eq!((keep_alive, framing), (true, StreamFraming::Counted(5)));
    }
    let (text, _, framing) = stream(&response, HEAD);
    assert!(text.contains("Content-Length: 5\r\n"), "{text}");
    assert_eq!(framing, StreamFraming::None);
    response.set_status(StatusCode::NO_CONTENT);
    let (text, _, framing) = stream(&response, HTTP_11);
    assert!(!text.contains("Content-Length"), "{text}");
    assert_eq!(framing, StreamFraming::None);
}

#[test]
fn chunks_have_their_size_in_hexadecimal() {
    let mut out = Vec::new();
    append_chunk(&mut out, b"");
    assert!(out.is_empty());
    append_chunk(&mut out, b"abc");
    assert_eq!(out, b"3\r\nabc\r\n");
    for len in [1usize, 15, 16, 17, 255, 256, 65_535, 65_536, 1_048_575] {
        out.clear();
        append_chunk(&mut out, &vec![b'x'; len]);
        assert!(out.starts_with(format!("{len:x}\r\nx").as_bytes()), "{len}");
    }
}
