//! Compressed messages: RFC 7692.

use flate2::{Compress, Compression, FlushCompress};
use web::websocket::{
    CloseCode, Message,
    codec::{Decoder, Deflate, DeflateOptions, Encoder, Event, ExtensionError, ProtocolError, Role},
};

/// Both ends of a connection: the server's agreement and the client's.
fn agree(server: &DeflateOptions, client: &DeflateOptions) -> (Deflate, Deflate) {
    let (at_the_server, answer) = Deflate::accept([Deflate::offer(client)], server).expect("an agreement");
    let at_the_client = Deflate::agreed([answer], client).expect("a valid answer").expect("an agreement");
    (at_the_server, at_the_client)
}

/// A client's decoder.
fn client(context_takeover: bool) -> Decoder {
    let options = DeflateOptions::new().context_takeover(context_takeover);
    Decoder::new(Role::Client).deflate(&agree(&options, &options).1)
}

fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<Vec<Message>, ProtocolError> {
    let mut messages = Vec::new();
    while let Some(event) = decoder.decode(&mut bytes)? {
        let Event::Message(message) = event else { panic!("{event:?}") };
        messages.push(message);
    }
    Ok(messages)
}

fn text_of(decoder: &mut Decoder, bytes: &[u8]) -> String {
    let messages = decode(decoder, bytes).unwrap();
    let [Message::Text(text)] = &messages[..] else { panic!("{messages:?}") };
    text.clone()
}

/// A frame of a server, with RSV1.
fn frame(payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[0xc1, payload.len() as u8], payload].concat()
}

/// What a peer sends for `text`.
fn message(text: &[u8]) -> Vec<u8> {
    let mut bytes = compressed(text, FlushCompress::Sync);
    assert_eq!(bytes.split_off(bytes.len() - 4), [0, 0, 0xff, 0xff]);
    bytes
}

/// What a peer's compressor makes of `text`.
fn compressed(text: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1000);
    Compress::new(Compression::best(), false).compress_vec(text, &mut out, flush).unwrap();
    out
}

#[test]
fn the_examples_of_rfc_7692() {
    // 7.2.3.1: one frame, and the same in two fragments.
    let bytes = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
    assert_eq!(text_of(&mut client(false), bytes), "Hello");
    let fragments = b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00";
    assert_eq!(text_of(&mut client(false), fragments), "Hello");
    // 7.2.3.2: a second message with the first one's window, and without.
    let mut decoder = client(true);
    assert_eq!(text_of(&mut decoder, bytes), "Hello");
    assert_eq!(text_of(&mut decoder, b"\xc1\x05\xf2\x00\x11\x00\x00"), "Hello");
    // That window is gone without context takeover.
    let mut decoder = client(false);
    assert_eq!(text_of(&mut decoder, bytes), "Hello");
    assert_eq!(decode(&mut decoder, b"\xc1\x05\xf2\x00\x11\x00\x00"), Err(ProtocolError::InvalidCompression));
    for has_context in [false, true] {
        let mut decoder = client(has_context);
        // 7.2.3.3: a block without compression.
        assert_eq!(text_of(&mut decoder, b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), "Hello");
        // 7.2.3.4: a final block.
        assert_eq!(text_of(&mut decoder, b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "Hello");
        // 7.2.3.5: two blocks.
        assert_eq!(text_of(&mut decoder, b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "Hello");
        // 7.2.3.6: an empty message.
        assert_eq!(text_of(&mut decoder, b"\xc1\x01\x00"), "");
        assert_eq!(text_of(&mut decoder, bytes), "Hello");
    }
}

#[test]
fn the_encoder_sends_what_the_rfc_shows() {
    let options = DeflateOptions::new().threshold(0).context_takeover(true);
    let mut encoder = Encoder::new(Role::Server).deflate(&agree(&options, &options).0);
    assert_eq!(encoder.text("Hello"), b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"[..]);
    assert_eq!(encoder.text("Hello"), b"\xc1\x05\xf2\x00\x11\x00\x00"[..]);
    assert_eq!(encoder.text(""), b"\x81\x00"[..]);
}

#[test]
fn messages_below_the_threshold_and_those_that_do_not_shrink_are_sent_as_they_are() {
    let options = DeflateOptions::new().threshold(10);
    let mut encoder = Encoder::new(Role::Server).deflate(&agree(&options, &options).0);
    assert_eq!(encoder.text("aaaaaaaaa")[0], 0x81);
    assert_eq!(encoder.text("aaaaaaaaaa")[0], 0xc1);
    assert_eq!(encoder.text("qwertzuiopasdf")[0], 0x81);
    assert_eq!(encoder.ping(b"aaaaaaaaaaaaaaaaaaa").unwrap()[0], 0x89);
    let mut out = b"in front".to_vec();
    encoder.append(&Message::from("b".repeat(1000)), &mut out);
    encoder.append(&Message::from("short"), &mut out);
    assert!(out.len() < 50);
    assert_eq!(decode(&mut client(false), &out[8..]).unwrap(), [Message::from("b".repeat(1000)), "short".into()]);
}

#[test]
fn reserved_bits_stand_where_a_compressed_message_begins() {
    let refused = |bytes: &[u8]| matches!(decode(&mut client(false), bytes), Err(ProtocolError::Violation(_)));
    assert!(refused(b"\x41\x03\xf2\x48\xcd\xc0\x04\xc9\xc9\x07\x00")); // a continuation
    assert!(refused(b"\xc9\x00")); // a ping
    assert!(refused(b"\xa1\x00")); // RSV2
    let mut plain = Decoder::new(Role::Client); // without an agreement
    assert!(matches!(decode(&mut plain, b"\xc1\x00"), Err(ProtocolError::Violation(_))));
}

#[test]
fn plain_messages_go_between_compressed_ones() {
    for has_context in [false, true] {
        let mut decoder = client(has_context);
        let bytes = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x02Hi\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(decode(&mut decoder, bytes).unwrap(), ["Hello".into(), "Hi".into(), "Hello".into()]);
    }
}

#[test]
fn control_frames_between_fragments_change_no_context() {
    let mut decoder = client(true);
    let mut bytes = &b"\x41\x03\xf2\x48\xcd\x89\x00\x80\x04\xc9\xc9\x07\x00"[..];
    assert!(matches!(decoder.decode(&mut bytes), Ok(Some(Event::Ping(_)))));
    assert_eq!(decoder.decode(&mut bytes), Ok(Some(Event::Message("Hello".into()))));
    assert_eq!(text_of(&mut decoder, b"\xc1\x05\xf2\x00\x11\x00\x00"), "Hello");
}

#[test]
fn what_comes_out_is_limited_while_it_comes_out() {
    let bomb = message(&vec![b'a'; 60_000]);
    for has_context in [false, true] {
        assert_eq!(text_of(&mut client(has_context), &frame(&bomb)).len(), 60_000);
        assert_eq!(text_of(&mut client(has_context).max_message_size(60_000), &frame(&bomb)).len(), 60_000);
        let error = decode(&mut client(has_context).max_message_size(59_999), &frame(&bomb)).unwrap_err();
        assert_eq!(error, ProtocolError::MessageTooBig { limit: 59_999 });
        assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
    }
    // It is found before the message is whole, too.
    let bomb = message(&vec![b'a'; 6_000_000]);
    let head = [&[0x41, 126][..], &(bomb.len() as u16 + 1).to_be_bytes()].concat();
    let mut decoder = client(false).max_message_size(1_000_000);
    assert_eq!(decode(&mut decoder, &head), Ok(vec![]));
    let found = bomb.chunks(100).position(|piece| decode(&mut decoder, piece).is_err());
    assert!(found.is_some_and(|piece| piece * 100 < 4_200 && bomb.len() > 5_000), "{found:?}");
}

#[test]
fn a_message_has_to_be_whole() {
    let payload = &message(b"Hello, Hello, and so on: Hello!")[..];
    assert_eq!(text_of(&mut client(false), &frame(payload)).len(), 31);
    for cut in 1..payload.len() {
        let decoded = decode(&mut client(false), &frame(&payload[..cut]));
        assert!(decoded.is_err(), "{cut}: {decoded:?}");
    }
    for garbage in [&b"\xff"[..], b"\x06", b"\x07\x00", b"\x00\x05\x00\xfa\xffHell"] {
        assert!(decode(&mut client(false), &frame(garbage)).is_err(), "{garbage:x?}");
    }
}

#[test]
fn compressed_text_is_utf8() {
    let bytes = message(b"caf\xe9 au lait");
    assert_eq!(decode(&mut client(false), &frame(&bytes)), Err(ProtocolError::InvalidUtf8));
}

#[test]
fn final_blocks_end_no_message_and_are_not_free() {
    // Three streams in one message; the second refers to the first, whose window goes on.
    let first = compressed(b"a rather long sentence, ", FlushCompress::Finish);
    let mut second = Vec::with_capacity(1000);
    let mut compress = Compress::new(Compression::best(), false);
    compress.set_dictionary(b"a rather long sentence, ").unwrap();
    compress.compress_vec(b"a rather long sentence, and", &mut second, FlushCompress::Finish).unwrap();
    let payload = [&first[..], &second, b"\x00"].concat();
    for has_context in [false, true] {
        let mut decoder = client(has_context);
        let expected = "a rather long sentence, a rather long sentence, and";
        assert_eq!(text_of(&mut decoder, &frame(&payload)), expected);
        // The byte behind it may be missing; the next message is none the worse for it.
        assert_eq!(text_of(&mut decoder, &frame(&payload[..payload.len() - 1])), expected);
        assert_eq!(text_of(&mut decoder, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), "Hello");
    }
    // The next message may refer to one that ended its stream.
    let mut decoder = client(true);
    assert_eq!(text_of(&mut decoder, b"\xc1\x07\xf3\x48\xcd\xc9\xc9\x07\x00"), "Hello");
    assert_eq!(text_of(&mut decoder, b"\xc1\x05\xf2\x00\x11\x00\x00"), "Hello");
    // Empty ones have two bytes.
    let many = b"\x03\x00".repeat(30_000);
    let head = [0xc1, 126, (many.len() >> 8) as u8, many.len() as u8];
    let decoded = decode(&mut client(false).max_message_size(1 << 20), &[&head[..], &many].concat());
    assert_eq!(decoded, Err(ProtocolError::MessageTooBig { limit: 1 << 20 }));
}

#[test]
fn a_frame_for_all_and_a_frame_for_one() {
    let options = DeflateOptions::new();
    let text = "the same for all, all, all ".repeat(20);
    let mut encoder = Encoder::new(Role::Server).deflate(&agree(&options, &options).0);
    let frame = encoder.text(&text);
    assert!(frame.len() < 60);
    let (mut first, mut second) = (client(false), client(false));
    for decoder in [&mut first, &mut second] {
        assert_eq!(text_of(decoder, &frame), text);
    }
}

/// The server's answer to an offer.
fn answer(offers: &[&str], options: &DeflateOptions) -> Option<String> {
    Deflate::accept(offers, options).map(|(_, answer)| answer)
}

#[test]
fn servers_answer_each_parameter() {
    let default = DeflateOptions::new();
    let no_contexts = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer(&["permessage-deflate"], &default).unwrap(), no_contexts);
    assert_eq!(answer(&["permessage-deflate; client_max_window_bits"], &default).unwrap(), no_contexts);
    let keeping = DeflateOptions::new().context_takeover(true);
    for (offer, expected) in [
        ("", ""),
        ("; server_no_context_takeover", "; server_no_context_takeover"),
        ("; client_no_context_takeover", "; client_no_context_takeover"),
        ("; server_max_window_bits=10", "; server_max_window_bits=10"),
        ("; server_max_window_bits=15", "; server_max_window_bits=15"),
        ("; client_max_window_bits", ""),
        ("; client_max_window_bits=8", "; client_max_window_bits=8"),
        ("; client_max_window_bits=12", "; client_max_window_bits=12"),
    ] {
        let answer = answer(&[&format!("permessage-deflate{offer}")], &keeping);
        assert_eq!(answer.unwrap(), format!("permessage-deflate{expected}"), "{offer}");
    }
    let small = DeflateOptions::new().context_takeover(true).max_window_bits(11);
    for (offer, expected) in [
        ("", "; server_max_window_bits=11"),
        ("; server_max_window_bits=10", "; server_max_window_bits=10"),
        ("; server_max_window_bits=15", "; server_max_window_bits=11"),
        ("; client_max_window_bits", "; server_max_window_bits=11; client_max_window_bits=11"),
        ("; client_max_window_bits=9", "; server_max_window_bits=11; client_max_window_bits=9"),
        ("; client_max_window_bits=15", "; server_max_window_bits=11; client_max_window_bits=11"),
    ] {
        let answer = answer(&[&format!("permessage-deflate{offer}")], &small);
        assert_eq!(answer.unwrap(), format!("permessage-deflate{expected}"), "{offer}");
    }
}

#[test]
fn servers_take_the_first_offer_that_they_can() {
    let options = DeflateOptions::new().context_takeover(true);
    assert_eq!(answer(&[], &options), None);
    assert_eq!(answer(&["x-webkit-deflate-frame"], &options), None);
    // zlib cannot compress with windows of 256 bytes.
    assert_eq!(answer(&["permessage-deflate; server_max_window_bits=8"], &options), None);
    let offers = [
        "x-other; a=b",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=\"9\"",
        "permessage-deflate",
    ];
    assert_eq!(answer(&offers, &options).unwrap(), "permessage-deflate; server_max_window_bits=9");
}

#[test]
fn clients_check_the_answer() {
    let agreed = |answer: &str, options: &DeflateOptions| Deflate::agreed([answer], options);
    let default = DeflateOptions::new();
    assert_eq!(
        Deflate::offer(&default),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
    );
    assert_eq!(Deflate::agreed([""; 0], &default), Ok(None));
    assert!(agreed("permessage-deflate; server_no_context_takeover", &default).is_ok());
    assert!(agreed("permessage-deflate; server_no_context_takeover; client_max_window_bits=8", &default).is_ok());
    let is_refused = |answer: &str, options| {
        let error: ExtensionError = agreed(answer, options).expect_err(answer);
        assert!(!error.to_string().is_empty());
    };
    is_refused("permessage-deflate", &default); // would keep its context
    is_refused("permessage-deflate; server_no_context_takeover; client_max_window_bits", &default);
    is_refused("permessage-deflate; server_no_context_takeover; server_max_window_bits=7", &default);
    is_refused("permessage-deflate; server_no_context_takeover; unknown", &default);
    is_refused("permessage-deflate; server_no_context_takeover; server_no_context_takeover", &default);
    is_refused("x-other", &default);
    let twice = ["permessage-deflate; server_no_context_takeover"; 2];
    assert!(Deflate::agreed(twice, &default).is_err());
    let small = DeflateOptions::new().context_takeover(true).max_window_bits(10);
    assert_eq!(Deflate::offer(&small), "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10");
    assert!(agreed("permessage-deflate; server_max_window_bits=9; client_max_window_bits=10", &small).is_ok());
    is_refused("permessage-deflate", &small);
    is_refused("permessage-deflate; server_max_window_bits=11", &small);
    is_refused("permessage-deflate; server_max_window_bits=10; client_max_window_bits=11", &small);
}

#[test]
fn a_client_with_a_window_of_256_bytes_does_not_compress() {
    let options = DeflateOptions::new().context_takeover(true).threshold(0);
    let agreed = Deflate::agreed(["permessage-deflate; client_max_window_bits=8"], &options).unwrap().unwrap();
    let frame = Encoder::new(Role::Client).deflate(&agreed).text(&"a".repeat(1000));
    assert_eq!(frame[0], 0x81);
}

#[test]
fn small_windows_are_kept_to() {
    // The second half repeats the first from farther away than the window reaches, so it cannot be much shorter.
    let noise: String =
        (0..2_000u32).map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 27) as u8 % 26)).collect();
    let text = noise.repeat(2);
    let length = |bits| {
        let options = DeflateOptions::new().max_window_bits(bits);
        let (server, client) = agree(&options, &options);
        let frame = Encoder::new(Role::Server).deflate(&server).text(&text);
        assert_eq!(text_of(&mut Decoder::new(Role::Client).deflate(&client), &frame), text);
        frame.len()
    };
    let (small, large) = (length(9), length(15));
    assert!(small > large * 17 / 10, "{small} {large}");
}

#[test]
fn a_decoder_with_compression_is_small_too() {
    assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
    assert!(size_of::<Encoder>() <= 32, "{}", size_of::<Encoder>());
}
