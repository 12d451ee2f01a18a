//! What a peer sends, in several deliveries, against each other and against the slow reference.

use web::websocket::{
    Message,
    codec::{Decoder, Deflate, DeflateOptions, Event, ProtocolError, Role},
};

use super::reference::{self, End, Item, Settings};

const MAX_MESSAGE_SIZE: usize = 3_000;

/// A byte that says who receives, what was agreed on and how large the pieces are, and then what the peer sends.
pub fn run(input: &[u8]) {
    let Some((&how, bytes)) = input.split_first() else { return };
    let role = if how & 1 == 0 { Role::Client } else { Role::Server };
    let deflate = [None, Some(false), Some(true)][usize::from(how >> 1) % 3];
    check(bytes, role, deflate, 1 + usize::from(how >> 3));
}

/// Asserts that `bytes` come to the same in every delivery, and to what the reference says.
pub fn check(bytes: &[u8], role: Role, deflate: Option<bool>, step: usize) {
    let settings = Settings { is_server: role == Role::Server, deflate, max_message_size: MAX_MESSAGE_SIZE };
    let (expected, end) = reference::decode(bytes, settings);
    for step in [usize::MAX, 1, step] {
        let (items, result) = decode(bytes, decoder(role, deflate), step);
        let shown = bytes.escape_ascii();
        assert_eq!(items, expected, "{shown}\n{deflate:?} {step}");
        let fits = match (end, result) {
            (End::Open | End::Closed, result) => result.is_ok(),
            (End::WithinCompressed, Ok(())) => true,
            (End::WithinCompressed, Err(error)) => error.close_code().as_u16() != 1002,
            // Which of several faults of a compressed message is found first is open.
            (End::Fault(1007 | 1009), Err(error)) if deflate.is_some() => error.close_code().as_u16() != 1002,
            (End::Fault(code), Err(error)) => error.close_code().as_u16() == code,
            (End::Fault(_), Ok(())) => false,
        };
        assert!(fits, "{shown}\n{deflate:?} {step} {end:?} {result:?}");
    }
}

/// A decoder for one side of a connection where both agreed on compression with or without contexts.
pub fn decoder(role: Role, deflate: Option<bool>) -> Decoder {
    let decoder = Decoder::new(role).max_message_size(MAX_MESSAGE_SIZE);
    let Some(context_takeover) = deflate else { return decoder };
    let options = DeflateOptions::new().context_takeover(context_takeover);
    let (at_the_server, answer) = Deflate::accept([Deflate::offer(&options)], &options).expect("an offer of our own");
    let at_the_client = Deflate::agreed([answer], &options).expect("an answer of our own").expect("an agreement");
    decoder.deflate(if role == Role::Server { &at_the_server } else { &at_the_client })
}

/// What a decoder makes of bytes that come in pieces of `step`.
pub fn decode(bytes: &[u8], mut decoder: Decoder, step: usize) -> (Vec<Item>, Result<(), ProtocolError>) {
    let mut items = Vec::new();
    for mut piece in bytes.chunks(step.min(bytes.len().max(1))) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(event)) => items.push(item(event)),
                Ok(None) => break,
                Err(error) => return (items, Err(error)),
            }
        }
        assert!(piece.is_empty(), "without an event, all is taken");
    }
    (items, Ok(()))
}

fn item(event: Event) -> Item {
    match event {
        Event::Message(Message::Text(text)) => Item::Text(text),
        Event::Message(Message::Binary(bytes)) => Item::Binary(bytes.to_vec()),
        Event::Ping(payload) => Item::Ping(payload.to_vec()),
        Event::Pong(payload) => Item::Pong(payload.to_vec()),
        Event::Close(content) => Item::Close(content.map(|frame| (frame.code.as_u16(), frame.reason))),
    }
}
