//! Events as they are written, and as clients read them.

use std::time::Duration;

use proptest::prelude::*;
use web::event_stream::{Event, EventParser, ReceivedEvent};

fn encoded(event: Event) -> String {
    let event = event.encode().expect("a valid event");
    String::from_utf8(event.as_bytes().to_vec()).expect("text")
}

/// What a client makes of a stream, with the bytes in one piece.
fn read(stream: &str) -> Vec<(String, String, String)> {
    let mut parser = EventParser::new();
    parser.push(stream.as_bytes()).expect("short enough");
    events(&mut parser)
}

fn events(parser: &mut EventParser) -> Vec<(String, String, String)> {
    std::iter::from_fn(|| parser.next_event()).map(|ReceivedEvent { name, data, id, .. }| (name, data, id)).collect()
}

fn event(name: &str, data: &str, id: &str) -> (String, String, String) {
    (name.to_owned(), data.to_owned(), id.to_owned())
}

#[test]
fn an_event_is_a_line_for_each_field_and_an_empty_one() {
    assert_eq!(encoded(Event::new("hello")), "data: hello\n\n");
    assert_eq!(encoded(Event::new("").name("ping").id("7")), "data: \nevent: ping\nid: 7\n\n");
    assert_eq!(encoded(Event::without_data().retry(Duration::from_millis(2500))), "retry: 2500\n\n");
    assert_eq!(encoded(Event::new("a").comment("two\nlines")), "data: a\n: two\n: lines\n\n");
    assert_eq!(encoded(Event::without_data().id("")), "id: \n\n");
    let event = Event::json(&serde_json::json!({ "text": "a\r\nb" })).unwrap();
    assert_eq!(encoded(event), "data: {\"text\":\"a\\r\\nb\"}\n\n");
}

#[test]
fn data_is_split_at_every_kind_of_line_break() {
    for (data, lines) in [
        ("a\nb", "data: a\ndata: b\n\n"),
        ("a\rb", "data: a\ndata: b\n\n"),
        ("a\r\nb", "data: a\ndata: b\n\n"),
        ("a\n\rb", "data: a\ndata: \ndata: b\n\n"),
        ("\r\n", "data: \ndata: \n\n"),
        ("a\n", "data: a\ndata: \n\n"),
        (" a", "data:  a\n\n"),
        ("id: 9\n\nevent: forged", "data: id: 9\ndata: \ndata: event: forged\n\n"),
    ] {
        assert_eq!(encoded(Event::new(data)), lines, "{data:?}");
    }
}

#[test]
fn names_and_ids_cannot_begin_a_line_of_their_own() {
    for text in ["a\nb", "a\rb", "a\r\n", "\n"] {
        assert!(Event::new("x").name(text).encode().is_err(), "{text:?}");
        assert!(Event::new("x").id(text).encode().is_err(), "{text:?}");
        // A later one does not make up for it.
        assert!(Event::new("x").id(text).id("1").encode().is_err(), "{text:?}");
    }
    let error = Event::new("x").id("1\u{0}2").encode().unwrap_err();
    assert_eq!((error.status().as_u16(), error.to_string().as_str()), (500, "Invalid event: a NUL in the id"));
}

/// The streams that the standard gives as examples, with what it says of them.
#[test]
fn the_examples_of_the_standard_are_read_as_it_says() {
    let messages = read(
        "data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\ndata: This is the third message.\n\n",
    );
    let texts: Vec<_> = messages.iter().map(|(_, data, _)| data.as_str()).collect();
    assert_eq!(
        texts,
        ["This is the first message.", "This is the second message, it\nhas two lines.", "This is the third message."]
    );
    assert_eq!(
        read("event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n"),
        [event("add", "73857293", ""), event("remove", "2153", ""), event("add", "113411", "")]
    );
    assert_eq!(read("data: YHOO\ndata: +2\ndata: 10\n\n"), [event("message", "YHOO\n+2\n10", "")]);
    assert_eq!(
        read(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"),
        [
            event("message", "first event", "1"),
            event("message", "second event", ""),
            event("message", " third event", "")
        ]
    );
    // The last block is thrown away, because no empty line follows it.
    assert_eq!(read("data\n\ndata\ndata\n\ndata:"), [event("message", "", ""), event("message", "\n", "")]);
    assert_eq!(read("data:test\n\ndata: test\n\n"), [event("message", "test", ""), event("message", "test", "")]);
}

#[test]
fn what_the_rules_leave_out_is_left_out() {
    assert_eq!(read("\u{feff}data: a\n\n"), [event("message", "a", "")]);
    assert_eq!(read("data: \u{feff}a\n\n"), [event("message", "\u{feff}a", "")]);
    assert_eq!(read("unknown: 1\ndata: a\nDATA: b\n\n"), [event("message", "a", "")]);
    assert_eq!(read("event: x\n\ndata: a\n\n"), [event("message", "a", "")], "a name does not outlast its event");
    assert_eq!(read("id: 1\n\ndata: a\n\n"), [event("message", "a", "1")], "an id does");
    assert_eq!(read("id: 1\n\nid: 2\0\ndata: a\n\n"), [event("message", "a", "1")]);
    let mut parser = EventParser::new();
    parser.push(b"retry: 3000\nretry: 2s\nretry: -1\nid: 4\ndata: cut").unwrap();
    assert_eq!(events(&mut parser), []);
    assert_eq!((parser.retry(), parser.last_event_id()), (Some(Duration::from_secs(3)), ""));
    parser.push(&[0xff, b'\n', b'\n']).unwrap();
    assert_eq!(events(&mut parser), [event("message", "cut\u{fffd}", "4")]);
}

#[test]
fn an_event_that_never_ends_is_given_up() {
    let mut parser = EventParser::new().max_event(1000);
    let mut pushed = 0;
    while parser.push(b"data: 0123456789").is_ok() {
        pushed += 16;
        assert_eq!(parser.next_event(), None);
        assert!(pushed < 2000);
    }
    let mut parser = EventParser::new().max_event(1000);
    let mut pushed = 0;
    while parser.push(b"data: 0123456789\n").is_ok() {
        pushed += 17;
        assert_eq!(parser.next_event(), None);
        assert!(pushed < 2000);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![Just('\n'), Just('\r'), Just(':'), Just(' '), Just('\0'), any::<char>()], 0..20)
        .prop_map(|chars| chars.into_iter().collect())
}

fn line() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace(['\n', '\r'], ""))
}

proptest! {
    #[test]
    fn what_is_sent_is_what_is_read(
        sent in prop::collection::vec((text(), prop::option::of(line()), prop::option::of(line())), 0..8),
        cut in prop::collection::vec(1_usize..9, 1..20),
    ) {
        let (mut stream, mut expected, mut last_id) = (Vec::new(), Vec::new(), String::new());
        for (data, name, id) in &sent {
            let mut event = Event::new(data).comment(data);
            if let Some(name) = name {
                event = event.name(name);
            }
            if let Some(id) = id.as_ref().map(|id| id.replace('\0', "")) {
                event = event.id(&id);
                last_id = id;
            }
            stream.extend_from_slice(event.encode().unwrap().as_bytes());
            let name = name.clone().filter(|name| !name.is_empty()).unwrap_or("message".into());
            expected.push((name, data.replace("\r\n", "\n").replace('\r', "\n"), last_id.clone()));
        }
        let (mut parser, mut read, mut cuts) = (EventParser::new(), Vec::new(), cut.iter().cycle());
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            parser.push(piece).unwrap();
            read.extend(events(&mut parser));
            rest = behind;
        }
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn line_endings_and_pieces_make_no_difference(
        lines in prop::collection::vec(prop_oneof![Just("data: a"), Just("id: 1"), Just(""), Just(": c"), Just("event: e")], 0..20),
        ends in prop::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 20),
        size in 1_usize..7,
    ) {
        // An LF behind an empty line that ended with CR would belong to that one.
        let mut stream = String::new();
        for (line, end) in lines.iter().zip(&ends) {
            let end = if line.is_empty() && *end == "\n" && stream.ends_with('\r') { "\r\n" } else { end };
            stream.push_str(line);
            stream.push_str(end);
        }
        let expected = read(&lines.iter().flat_map(|line| [line, "\n"]).collect::<String>());
        let (mut parser, mut got) = (EventParser::new(), Vec::new());
        for piece in stream.as_bytes().chunks(size) {
            parser.push(piece).unwrap();
            got.extend(events(&mut parser));
        }
        prop_assert_eq!(got, expected);
    }
}
