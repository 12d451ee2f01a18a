//! A response that has its `Cache-Control` with its type, beside one with the same header line, which is the model.

use std::time::Instant;

use httpserver::{
    Body, Response, StatusCode, Version,
    codec::{DateCache, EncodeContext, encode_response},
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Change {
    Set(&'static str, &'static str),
    Append(&'static str, &'static str),
    Remove(&'static str),
    Type(&'static str),
    Status(u16),
    Close,
    Body(&'static str),
    Refused,
}

fn change() -> impl Strategy<Value = Change> {
    let name =
        || prop::sample::select(vec!["Cache-Control", "cache-control", "Content-Type", "X-A", "Date", "Set-Cookie"]);
    let value = || prop::sample::select(vec!["no-store", "max-age=60", "text/x", "", "a=1"]);
    prop_oneof![
        4 => (name(), value()).prop_map(|(name, value)| Change::Set(name, value)),
        4 => (name(), value()).prop_map(|(name, value)| Change::Append(name, value)),
        4 => name().prop_map(Change::Remove),
        1 => prop::sample::select(vec!["text/csv", "application/json"]).prop_map(Change::Type),
        1 => prop::sample::select(vec![200_u16, 202, 204, 304, 404, 500]).prop_map(Change::Status),
        1 => Just(Change::Close),
        1 => prop::sample::select(vec!["", "other"]).prop_map(Change::Body),
        1 => Just(Change::Refused),
    ]
}

fn make(mut response: Response, change: &Change) -> Response {
    match change {
        Change::Set(name, value) => response.set_header(name, value).expect("a header"),
        Change::Append(name, value) => response.append_header(name, value).expect("a header"),
        Change::Remove(name) => response.remove_header(name),
        Change::Type(value) => response.set_content_type(value).expect("a type"),
        Change::Status(status) => response.set_status(StatusCode::from_u16(*status).expect("a status")),
        Change::Close => response.close_connection(),
        Change::Body(body) => response.set_body(*body),
        Change::Refused => return response.with_header("X-Bad", "a\nb"),
    }
    response
}

fn headers(response: &Response) -> Vec<(String, Vec<u8>)> {
    response.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

fn encoded(response: Response, (is_head, is_11, keep_alive): (bool, bool, bool)) -> (Vec<u8>, bool) {
    let version = if is_11 { Version::HTTP_11 } else { Version::HTTP_10 };
    // Two of a kind in a row: the first of a second makes the date, and the second takes another way.
    let (now, date) = (Instant::now(), DateCache::with_wall_clock(|| std::time::SystemTime::UNIX_EPOCH));
    date.append_line(&mut Vec::new(), now);
    let mut out = Vec::new();
    let encoded =
        encode_response(&mut out, response, &EncodeContext { version, is_head, keep_alive, now, date: &date });
    (out, encoded.keep_alive)
}

proptest! {
    #[test]
    fn it_is_the_same_as_one_with_the_line(
        changes in prop::collection::vec(change(), 0..6),
        asked in any::<(bool, bool, bool)>(),
        is_streamed in prop::bool::weighted(0.1),
    ) {
        let body = || if is_streamed { Body::writer(async |_| Ok(())) } else { Body::from("{}") };
        let mut folded = Response::uncached_json_bytes(body());
        let mut model = Response::json_bytes(body()).with_header("Cache-Control", "no-store");
        for change in &changes {
            (folded, model) = (make(folded, change), make(model, change));
            prop_assert_eq!(headers(&folded), headers(&model));
        }
        for name in ["cache-control", "content-type", "x-a"] {
            prop_assert_eq!(folded.header(name), model.header(name));
        }
        if !is_streamed {
            prop_assert_eq!(encoded(folded, asked), encoded(model, asked));
        }
    }
}

#[test]
fn it_takes_no_line_of_its_own() {
    let (plain, _) = encoded(Response::uncached_json_bytes("{}"), (false, true, true));
    let text = String::from_utf8(plain).expect("a head of ASCII");
    assert!(
        text.ends_with("\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\n{}"),
        "{text}"
    );
}
