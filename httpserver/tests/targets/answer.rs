//! What a program gives for an answer, a request to send on, and trailers: it is refused, or read back as it was given.

use std::time::Instant;

use httpserver::{
    Limits, Method, Response, StatusCode, Trailers, Version,
    codec::{
        BodyFraming, ChunkStep, ChunkedDecoder, DateCache, EncodeContext, RequestStart, ResponseFraming,
        append_last_chunk, encode_request_head, encode_response, parse_request_head, parse_response_head,
    },
};

type Line = (String, Vec<u8>);

/// Two bytes for status and circumstances, then fields that end in 0xff: names and values in turn.
pub fn run(input: &[u8]) {
    let [how, status, rest @ ..] = input else { return };
    let fields: Vec<&[u8]> = rest.split(|&b| b == 0xff).collect();
    let pairs: Vec<(&str, &[u8])> = fields
        .chunks_exact(2)
        .filter_map(|pair| Some((std::str::from_utf8(pair[0]).ok()?, pair[1])))
        .take(50)
        .collect();
    answer(*how, 100 + 3 * u16::from(*status), &pairs);
    request(*how, &pairs);
    trailers(&pairs);
}

fn answer(how: u8, status: u16, pairs: &[(&str, &[u8])]) {
    let status = StatusCode::from_u16(status).expect("three digits");
    // Those are sent by ways of their own.
    if status.is_informational() {
        return;
    }
    let mut response = Response::bytes(vec![b'x'; 1 + usize::from(how >> 3)]).with_status(status);
    let mut given: Vec<Line> = Vec::new();
    for (name, value) in pairs {
        if response.append_header(name, value).is_ok() && is_free(name) {
            given.push((name.to_string(), trimmed(value)));
        }
    }
    let date = DateCache::new();
    let version = if how & 1 == 0 { Version::HTTP_11 } else { Version::HTTP_10 };
    let is_head = how & 2 == 2;
    let context = EncodeContext { version, is_head, keep_alive: how & 4 == 0, now: Instant::now(), date: &date };
    let mut out = Vec::new();
    let encoded = encode_response(&mut out, response, &context);
    out.extend_from_slice(&encoded.rest.unwrap_or_default());
    let method = if is_head { Method::HEAD } else { Method::GET };
    let (consumed, head) =
        parse_response_head(&out, &Limits::default(), &method).expect("an answer").expect("a whole one");
    assert_eq!((head.status, head.keep_alive), (status, encoded.keep_alive));
    let body = match head.body {
        ResponseFraming::Body(BodyFraming::None) => 0,
        ResponseFraming::Body(BodyFraming::Length(length)) => length as usize,
        other => panic!("{other:?}"),
    };
    assert_eq!(consumed + body, out.len());
    let read: Vec<Line> = lines(head.headers.iter());
    assert_eq!(read, given);
}

fn request(how: u8, pairs: &[(&str, &[u8])]) {
    let (target, host) = pairs.first().map_or(("/", &b"a"[..]), |(name, value)| (*name, *value));
    let Ok(host) = std::str::from_utf8(host) else { return };
    let method = [Method::GET, Method::POST, Method::OPTIONS, Method::CONNECT][usize::from(how & 3)].clone();
    let start = RequestStart { method: &method, target, host, body: BodyFraming::None, keep_alive: how & 4 == 0 };
    let mut out = Vec::new();
    if encode_request_head(&mut out, &start, pairs.iter().skip(1).copied()).is_err() {
        assert!(out.is_empty());
        return;
    }
    let limits = Limits::default().max_target(60_000);
    let (consumed, head) = parse_request_head(&out, &limits).expect("a request").expect("a whole one");
    assert_eq!(consumed, out.len());
    assert_eq!((head.method(), head.target(), head.keep_alive), (&method, target, start.keep_alive));
    assert_eq!(head.headers.get("host"), Some(host));
    let free = pairs.iter().skip(1).filter(|(name, _)| is_free(name));
    assert_eq!(
        lines(head.headers.iter()),
        free.map(|(name, value)| (name.to_string(), trimmed(value))).collect::<Vec<_>>()
    );
}

fn trailers(pairs: &[(&str, &[u8])]) {
    let mut trailers = Trailers::new();
    let mut given: Vec<Line> = Vec::new();
    for (name, value) in pairs {
        if trailers.append(name, value).is_ok() {
            given.push((name.to_string(), trimmed(value)));
        }
    }
    let mut out = Vec::new();
    append_last_chunk(&mut out, Some(&trailers));
    // More than is taken of a client is for a program to send.
    if out.len() > 8 * 1024 {
        return;
    }
    let (mut decoder, mut at, mut read) = (ChunkedDecoder::new(), 0, Vec::new());
    loop {
        let shown = &out[at..];
        match decoder.decode(shown, 0).expect("trailers") {
            ChunkStep::Trailer { consumed, name, value } => {
                read.push((String::from_utf8(shown[name].to_vec()).unwrap(), trimmed(&shown[value])));
                at += consumed;
            }
            end => {
                assert_eq!((end, read), (ChunkStep::End { consumed: shown.len() }, given));
                return;
            }
        }
    }
}

/// Whether a line is left as it was given, and not made or changed by the encoder.
fn is_free(name: &str) -> bool {
    let own = ["connection", "content-length", "content-type", "date", "host", "server", "transfer-encoding"];
    !own.iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn lines<'a>(all: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<Line> {
    all.filter(|(name, _)| is_free(name)).map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

fn trimmed(value: &[u8]) -> Vec<u8> {
    let is_space = |b: &u8| b" \t".contains(b);
    let start = value.iter().position(|b| !is_space(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !is_space(b)).map_or(start, |at| at + 1);
    value[start..end].to_vec()
}
