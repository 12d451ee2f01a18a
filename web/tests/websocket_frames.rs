//! The codec of WebSockets, frame by frame: RFC 6455.

#![cfg(feature = "websocket")]

use httpserver::Bytes;
use web::websocket::{
    CloseCode, CloseFrame, Message,
    codec::{Decoder, EncodeError, Encoder, Event, ProtocolError, Role},
};

type Decoded = Result<Vec<Event>, ProtocolError>;

/// What a decoder makes of bytes that come all at once.
fn decode(mut decoder: Decoder, mut bytes: &[u8]) -> Decoded {
    let mut events = Vec::new();
    while let Some(event) = decoder.decode(&mut bytes)? {
        events.push(event);
    }
    assert!(bytes.is_empty());
    Ok(events)
}

/// The same, byte by byte. Also returns how many were taken before an error.
fn decode_bytewise(mut decoder: Decoder, bytes: &[u8]) -> (Decoded, usize) {
    let mut events = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        let mut piece = std::slice::from_ref(byte);
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (Err(error), at),
            }
        }
    }
    (Ok(events), bytes.len())
}

/// What a client makes of a server's frames, in both deliveries.
fn client(bytes: &[u8]) -> Decoded {
    let whole = decode(Decoder::new(Role::Client), bytes);
    assert_eq!(decode_bytewise(Decoder::new(Role::Client), bytes).0, whole);
    whole
}

fn server(bytes: &[u8]) -> Decoded {
    let whole = decode(Decoder::new(Role::Server), bytes);
    assert_eq!(decode_bytewise(Decoder::new(Role::Server), bytes).0, whole);
    whole
}

fn text(text: &str) -> Event {
    Event::Message(Message::from(text))
}

fn binary(bytes: impl Into<Vec<u8>>) -> Event {
    Event::Message(Message::from(bytes.into()))
}

fn violates(decoded: Decoded) -> bool {
    matches!(decoded, Err(ProtocolError::Violation(_)))
}

#[test]
fn the_examples_of_rfc_6455() {
    // 5.7
    assert_eq!(client(b"\x81\x05Hello").unwrap(), [text("Hello")]);
    assert_eq!(server(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").unwrap(), [text("Hello")]);
    assert_eq!(client(b"\x01\x03Hel\x80\x02lo").unwrap(), [text("Hello")]);
    assert_eq!(client(b"\x89\x05Hello").unwrap(), [Event::Ping(Bytes::from("Hello"))]);
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(server(pong).unwrap(), [Event::Pong(Bytes::from("Hello"))]);
    assert_eq!(client(&[&b"\x82\x7e\x01\x00"[..], &[7; 256]].concat()).unwrap(), [binary([7; 256])]);
    let long = vec![7; 65536];
    assert_eq!(client(&[b"\x82\x7f\0\0\0\0\0\x01\0\0", &long[..]].concat()).unwrap(), [binary(long)]);
}

#[test]
fn lengths_are_written_as_short_as_possible() {
    let mut encoder = Encoder::new(Role::Server);
    for (length, head) in [
        (0, &b"\x82\x00"[..]),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65535, b"\x82\x7e\xff\xff"),
        (65536, b"\x82\x7f\0\0\0\0\0\x01\0\0"),
    ] {
        let content = vec![1; length];
        let frame = encoder.binary(&content);
        assert_eq!(frame, [head, &content].concat());
        assert_eq!(client(&frame).unwrap(), [binary(content)]);
    }
    for head in [&b"\x82\x7e\x00\x7d"[..], b"\x82\x7f\0\0\0\0\0\0\xff\xff", b"\x82\x7f\0\0\0\0\0\0\0\x05"] {
        assert!(violates(client(head)), "{head:x?}");
    }
}

#[test]
fn a_length_of_64_bits_is_refused_where_it_has_the_highest_bit() {
    assert!(violates(client(b"\x82\x7f\x80\0\0\0\0\0\0\0")));
    let largest = b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
    let unlimited = Decoder::new(Role::Client).max_message_size(usize::MAX);
    assert_eq!(decode(unlimited, largest).unwrap(), []); // and no memory is taken for it
    assert!(matches!(client(largest), Err(ProtocolError::MessageTooBig { .. })));
}

#[test]
fn what_a_byte_breaks_is_found_when_it_comes() {
    let found = |role, bytes: &[u8]| {
        let (decoded, at) = decode_bytewise(Decoder::new(role), bytes);
        decoded.map_err(|error| (at, error.close_code().as_u16()))
    };
    // Reserved opcodes and bits.
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(found(Role::Client, &[0x80 | opcode, 0]), Err((0, 1002)));
    }
    assert_eq!(found(Role::Client, b"\xa1\x00"), Err((0, 1002)));
    assert_eq!(found(Role::Client, b"\x91\x00"), Err((0, 1002)));
    assert_eq!(found(Role::Client, b"\xc1\x00"), Err((1, 1002)));
    // Control frames in fragments, and too long.
    for opcode in [8, 9, 10] {
        assert_eq!(found(Role::Client, &[opcode, 0]), Err((0, 1002)));
        assert_eq!(found(Role::Client, &[0x80 | opcode, 126, 0, 126]), Err((1, 1002)));
    }
    // Masks by role.
    assert_eq!(found(Role::Server, b"\x81\x05Hello"), Err((1, 1002)));
    assert_eq!(found(Role::Client, b"\x81\x85\x37\xfa\x21\x3d\x7f"), Err((1, 1002)));
    // Fragments out of order.
    assert_eq!(found(Role::Client, b"\x80\x00"), Err((1, 1002)));
    assert_eq!(found(Role::Client, b"\x01\x01a\x81\x01b"), Err((4, 1002)));
    assert_eq!(found(Role::Client, b"\x81\x01a\x80\x01b"), Err((4, 1002)));
    // Text that is not UTF-8, within a frame and where the second fragment brings it.
    assert_eq!(found(Role::Client, b"\x81\x05He\xff"), Err((4, 1007)));
    assert_eq!(found(Role::Client, b"\x01\x02a\xe2\x00\x02\x82x"), Err((7, 1007)));
    // Text that ends within a character.
    assert_eq!(found(Role::Client, b"\x81\x02a\xe2"), Err((3, 1007)));
    assert_eq!(found(Role::Client, b"\x01\x02a\xe2\x80\x00"), Err((5, 1007)));
}

#[test]
fn control_frames_come_between_fragments() {
    let bytes = b"\x01\x03Hel\x89\x01?\x00\x00\x8a\x01!\x80\x02lo\x82\x01x";
    let (ping, pong) = (Event::Ping(Bytes::from("?")), Event::Pong(Bytes::from("!")));
    assert_eq!(client(bytes).unwrap(), [ping, pong, text("Hello"), binary(*b"x")]);
}

#[test]
fn empty_messages_are_messages() {
    assert_eq!(client(b"\x81\x00\x82\x00").unwrap(), [text(""), binary([])]);
    assert_eq!(client(b"\x01\x00\x00\x00\x80\x00").unwrap(), [text("")]);
    assert_eq!(server(b"\x81\x80\x01\x02\x03\x04").unwrap(), [text("")]);
}

#[test]
fn characters_go_over_the_borders_of_frames() {
    assert_eq!(client(b"\x01\x02a\xe2\x00\x01\x82\x80\x02\xacz").unwrap(), [text("a€z")]);
}

#[test]
fn the_limit_counts_all_fragments_and_holds_before_they_come() {
    let limited = || Decoder::new(Role::Client).max_message_size(10);
    assert_eq!(decode(limited(), b"\x82\x0a0123456789").unwrap(), [binary(*b"0123456789")]);
    let error = ProtocolError::MessageTooBig { limit: 10 };
    assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
    assert_eq!(decode(limited(), b"\x82\x0b"), Err(error));
    assert_eq!(decode(limited(), b"\x02\x0501234\x80\x06"), Err(error));
    assert_eq!(decode(limited(), b"\x02\x040123\x00\x044567\x80\x03"), Err(error));
    // The next message begins at nothing.
    let two = b"\x02\x0501234\x80\x0556789\x82\x0a0123456789";
    assert_eq!(decode(limited(), two).unwrap().len(), 2);
    // Control frames do not count.
    assert_eq!(decode(limited(), b"\x02\x0501234\x89\x0b01234567890\x80\x0556789").unwrap().len(), 2);
    assert_eq!(decode(limited().max_message_size(0), b"\x81\x00").unwrap(), [text("")]);
}

#[test]
fn close_frames_have_a_code_and_a_reason_or_neither() {
    assert_eq!(client(b"\x88\x00").unwrap(), [Event::Close(None)]);
    let frame = CloseFrame { code: CloseCode::NORMAL, reason: "bye".to_owned() };
    assert_eq!(client(b"\x88\x05\x03\xe8bye").unwrap(), [Event::Close(Some(frame))]);
    assert!(violates(client(b"\x88\x01\x03")));
    assert_eq!(client(b"\x88\x03\x03\xe8\xff"), Err(ProtocolError::InvalidUtf8));
}

#[test]
fn close_codes_are_those_that_may_be_sent() {
    let sendable = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    let encoder = Encoder::new(Role::Server);
    for code in (0..=65535).step_by(7).chain(990..1020).chain(sendable).chain([2999, 5000]) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: String::new() };
        let [high, low] = code.to_be_bytes();
        let received = client(&[0x88, 2, high, low]);
        if sendable.contains(&code) || (3000..5000).contains(&code) {
            assert_eq!(encoder.close(Some(&frame)).unwrap(), [0x88, 2, high, low][..]);
            assert_eq!(received.unwrap(), [Event::Close(Some(frame))]);
        } else {
            assert_eq!(encoder.close(Some(&frame)), Err(EncodeError::InvalidCloseCode(code.into())));
            assert!(violates(received), "{code}");
        }
    }
}

#[test]
fn nothing_comes_after_a_close_frame() {
    assert_eq!(client(b"\x88\x00\x81\x01a\xff\xff\xff").unwrap(), [Event::Close(None)]);
}

#[test]
fn an_error_stays() {
    let mut decoder = Decoder::new(Role::Client);
    let error = decoder.decode(&mut &b"\x83\x00"[..]).unwrap_err();
    assert_eq!(decoder.decode(&mut &b"\x81\x01a"[..]), Err(error));
}

#[test]
fn control_frames_that_do_not_fit_are_not_made() {
    let encoder = Encoder::new(Role::Server);
    assert_eq!(encoder.ping(&[0; 125]).unwrap().len(), 127);
    assert_eq!(encoder.ping(&[0; 126]), Err(EncodeError::ControlTooLong { length: 126 }));
    assert_eq!(encoder.pong(&[0; 126]), Err(EncodeError::ControlTooLong { length: 126 }));
    let frame = |length| CloseFrame { code: CloseCode::NORMAL, reason: "x".repeat(length) };
    assert_eq!(encoder.close(Some(&frame(123))).unwrap().len(), 127);
    assert_eq!(encoder.close(Some(&frame(124))), Err(EncodeError::ControlTooLong { length: 126 }));
    assert_eq!(encoder.close(None).unwrap(), [0x88, 0][..]);
}

#[test]
fn clients_mask_each_frame_with_a_key_of_its_own() {
    let mut encoder = Encoder::new(Role::Client);
    let (first, second) = (encoder.text("Hello"), encoder.text("Hello"));
    assert_eq!(first[..2], [0x81, 0x85]);
    assert_ne!(first[2..6], second[2..6]);
    assert_eq!(server(&first).unwrap(), [text("Hello")]);
    let mut out = Vec::new();
    encoder.append(&Message::from("one"), &mut out);
    encoder.append(&Message::from(vec![2]), &mut out);
    assert_eq!(server(&out).unwrap(), [text("one"), binary([2])]);
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
    let mut decoder = Decoder::new(Role::Client);
    assert!(!decoder.is_busy());
    decoder.decode(&mut &b"\x81"[..]).unwrap();
    assert!(decoder.is_busy());
    decoder.decode(&mut &b"\x02a"[..]).unwrap();
    assert!(decoder.is_busy());
    decoder.decode(&mut &b"b"[..]).unwrap().unwrap();
    assert!(!decoder.is_busy());
}
