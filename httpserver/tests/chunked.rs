//! Chunked bodies: what is accepted, what is refused, and that neither depends on how the bytes arrive.

use httpserver::{
    Error, Trailers,
    codec::{ChunkStep, ChunkedDecoder, append_chunk, append_last_chunk},
};
use proptest::prelude::*;

const MAX_BODY: u64 = 1 << 20;

/// The body, and behind it the trailers as they stand; then the number of bytes left. `None` while it is incomplete; fed in
/// pieces of `step` bytes.
fn decode_in(bytes: &[u8], step: usize) -> Result<Option<(Vec<u8>, usize)>, Error> {
    let mut decoder = ChunkedDecoder::new();
    let (mut body, mut at, mut is_over) = (Vec::new(), 0, false);
    for end in (1..=bytes.len()).filter(|end| end % step == 0 || *end == bytes.len()) {
        loop {
            match decoder.decode(&bytes[at..end], MAX_BODY)? {
                ChunkStep::Data { consumed, data } => {
                    assert!(!data.is_empty() && data.end <= consumed && !is_over);
                    body.extend_from_slice(&bytes[at + data.start..at + data.end]);
                    at += consumed;
                }
                ChunkStep::Trailer { consumed, name, value } => {
                    is_over = true;
                    for (part, end) in [(name, b':'), (value, b'\n')] {
                        body.extend_from_slice(&bytes[at + part.start..at + part.end]);
                        body.push(end);
                    }
                    at += consumed;
                }
                ChunkStep::NeedMore { consumed } => {
                    at += consumed;
                    break;
                }
                ChunkStep::End { consumed } => {
                    assert_eq!(decoder.decode(b"next", MAX_BODY).unwrap(), ChunkStep::End { consumed: 0 });
                    return Ok(Some((body, bytes.len() - at - consumed)));
                }
            }
        }
    }
    Ok(None)
}

/// All ways of feeding come to the same.
fn decode(bytes: impl AsRef<[u8]>) -> Result<Option<(Vec<u8>, usize)>, u16> {
    let bytes = bytes.as_ref();
    let status = |error: Error| error.status().expect("decoding errors have a status").as_u16();
    let whole = decode_in(bytes, usize::MAX).map_err(status);
    assert_eq!(decode_in(bytes, 1).map_err(status), whole, "{}", bytes.escape_ascii());
    assert_eq!(decode_in(bytes, 3).map_err(status), whole, "{}", bytes.escape_ascii());
    whole
}

#[track_caller]
fn accepted(bytes: impl AsRef<[u8]>, body: &str) {
    assert_eq!(decode(bytes), Ok(Some((body.as_bytes().to_vec(), 0))));
}

#[track_caller]
fn refused(status: u16, bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    assert_eq!(decode(bytes), Err(status), "{}", bytes.escape_ascii());
}

#[test]
fn chunks_are_joined() {
    accepted("0\r\n\r\n", "");
    accepted("3\r\nabc\r\n0\r\n\r\n", "abc");
    accepted("1\r\na\r\n000A\r\n0123456789\r\n00\r\n\r\n", "a0123456789");
    accepted("a\r\n0123456789\r\n0\r\n\r\n", "0123456789");
}

#[test]
fn the_bytes_behind_the_body_are_left() {
    assert_eq!(decode("0\r\n\r\nGET /"), Ok(Some((vec![], 5))));
    assert_eq!(decode("0\r\nA: b\r\n\r\nGET /"), Ok(Some((b"A: b\n".to_vec(), 5))));
}

#[test]
fn an_incomplete_body_is_waited_for() {
    let body = "3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n";
    for end in 0..body.len() {
        assert_eq!(decode(&body[..end]), Ok(None), "{end}");
    }
}

#[test]
fn sizes_are_hexadecimal_digits_only() {
    for size in ["", "0x3", "-1", "+3", "1_0", "3 ", " 3", "3\t", "g", "\u{ff13}", "3,", "3.", "\"3\"", "-0", "\x0b3"] {
        refused(400, format!("{size}\r\nabc\r\n0\r\n\r\n"));
    }
}

#[test]
fn sizes_that_overflow_are_refused() {
    refused(413, "FFFFFFFFFFFFFFFF\r\n");
    refused(400, "10000000000000000\r\n");
    refused(400, "F0000000000000003\r\nabc\r\n0\r\n\r\n");
    refused(413, "1\r\na\r\nffffffffffffffff\r\n");
}

#[test]
fn sizes_have_no_more_digits_than_64_bits() {
    accepted("0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", "abc");
    refused(400, "00000000000000003\r\nabc\r\n0\r\n\r\n");
    refused(400, "3\r\nabc\r\n00000000000000000\r\n\r\n");
    refused(400, "0".repeat(200));
}

#[test]
fn chunk_data_is_followed_by_cr_lf() {
    for end in ["XX", "\n", "\r", "\r\r\n", "", "\rX"] {
        refused(400, format!("3\r\nabc{end}0\r\n\r\n"));
    }
}

#[test]
fn line_ends_are_cr_lf_and_nothing_else() {
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA: b\r\n\n",
        "3;a\nabc\r\n0\r\n\r\n",
        "0\r\n\rX\r\n",
    ] {
        refused(400, body);
    }
}

#[test]
fn extensions_are_ignored_and_bounded() {
    accepted("3;a\r\nabc\r\n0;b=\"c;\\\"d\"\r\n\r\n", "abc");
    accepted("3 \t; a = b\r\nabc\r\n0\r\n\r\n", "abc");
    let line = |length: usize| format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(length - 3));
    accepted(line(255), "abc");
    accepted(line(256), "abc");
    refused(400, line(257));
}

#[test]
fn extensions_by_grammar() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"\"",
        ";a=\"b c;d=\te\"",
        ";a=\"\\\"\"",
        ";a=\"\\\\\"",
        ";a=\"\u{e4}\\\u{e4}\"",
        ";a;b",
        ";a=1;b=\"2\";c",
        " ; a = b",
        "\t;\ta\t=\t\"b\" ; c ;d",
        ";a=\"b\";c=\"d\"",
        ";!#$%&'*+-.^_`|~=~",
    ] {
        accepted(format!("3{extension}\r\nabc\r\n0\r\n\r\n"), "abc");
        accepted(format!("3\r\nabc\r\n0{extension}\r\n\r\n"), "abc");
    }
    for extension in [
        ";",
        "; ",
        ";;",
        ";a;",
        ";=",
        ";=b",
        ";a=",
        ";a= ",
        ";a==b",
        ";a=b=c",
        ";a=;b",
        ";a b",
        ";a=b c",
        ";a ",
        ";a=b ",
        ";a=\"b\" ",
        ";a=\"x",
        ";a=\"x\\\"",
        ";a=\"x\"y",
        ";a=\"x\"\"y\"",
        ";a=x\"y\"",
        ";\"a\"",
        ";a=\"\rb\"",
        ";a=\"\\\rb\"",
        ";a=\"\x01\"",
        ";a=\"\\\x7f\"",
        ";\0",
        ";a\x7f",
        ";\x01",
        ";a,b",
        ";a=b,c",
        ";\u{e4}",
        ";a=\u{e4}",
        " a",
        " ",
        ",a",
    ] {
        refused(400, format!("3{extension}\r\nabc\r\n0\r\n\r\n"));
        refused(400, format!("3\r\nabc\r\n0{extension}\r\n\r\n"));
    }
}

#[test]
fn extensions_cannot_outweigh_the_data() {
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(200));
    accepted(chunk.repeat(80) + "0\r\n\r\n", &"a".repeat(80));
    refused(400, chunk.repeat(100));
    // Small chunks without extensions are slow, but nothing to refuse.
    accepted("1\r\na\r\n".repeat(20_000) + "0\r\n\r\n", &"a".repeat(20_000));
}

#[test]
fn trailers_are_shown_line_by_line() {
    accepted("1\r\na\r\n0\r\nX-Sum: 1\r\nEmpty:\r\nB:\tc \u{e4}\r\n\r\n", "aX-Sum: 1\nEmpty:\nB:\tc \u{e4}\n");
    for line in ["A : b", " A: b", "A", ": b", "A: \0", "A: b\x7f", "A: b\rc", "A\u{e4}: b"] {
        refused(400, format!("0\r\n{line}\r\n\r\n"));
    }
}

#[test]
fn trailers_that_frame_or_route_are_refused() {
    for name in
        ["Content-Length", "transfer-encoding", "HOST", "Connection", "Trailer", "TE", "Authorization", "Expect"]
    {
        refused(400, format!("0\r\nA: b\r\n{name}: 1\r\n\r\n"));
    }
}

#[test]
fn trailers_are_bounded() {
    let trailer = |length: usize| format!("0\r\nA: {}\r\n\r\n", "v".repeat(length - 5));
    accepted(trailer(8 * 1024), &format!("A: {}\n", "v".repeat(8 * 1024 - 5)));
    refused(431, trailer(8 * 1024 + 3));
    refused(431, format!("0\r\n{}", "v".repeat(9_000)));
    accepted(format!("0\r\n{}\r\n", "A: 123\r\n".repeat(1024)), &"A: 123\n".repeat(1024));
    refused(431, format!("0\r\n{}\r\n", "A: 123\r\n".repeat(1026)));
}

#[test]
fn a_body_has_at_most_max_body_bytes() {
    let run = |max| {
        let (mut decoder, mut at) = (ChunkedDecoder::new(), 0);
        let body = b"5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n";
        loop {
            match decoder.decode(&body[at..], max).map_err(|error| error.status().unwrap().as_u16())? {
                ChunkStep::Data { consumed, .. } => at += consumed,
                end => return Ok(end),
            }
        }
    };
    assert!(matches!(run(11), Ok(ChunkStep::End { .. })));
    assert!(matches!(run(10), Ok(ChunkStep::End { .. })));
    assert_eq!(run(9), Err(413));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
        trailers in prop::collection::vec(("X-[A-Za-z0-9-]{0,10}", "[ -~\t\u{80}-\u{2fff}]{0,40}"), 0..4),
        step in 1usize..50,
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            append_chunk(&mut wire, chunk);
        }
        let mut sent = Trailers::new();
        let mut expected = chunks.concat();
        for (name, value) in &trailers {
            sent.append(name, value).unwrap();
            expected.extend_from_slice(format!("{name}: {}\n", value.trim_matches([' ', '\t'])).as_bytes());
        }
        append_last_chunk(&mut wire, Some(&sent));
        wire.extend_from_slice(b"next");
        let expected = Some((expected, 4));
        prop_assert_eq!(decode_in(&wire, step).unwrap(), expected);
    }

    #[test]
    fn broken_bodies_are_refused_alike_in_any_split(
        pieces in prop::collection::vec(
            prop_oneof![
                8 => Just("\r\n".to_string()), 4 => Just("1\r\na\r\n".to_string()), 4 => Just("0\r\n".to_string()),
                2 => "[0-9a-f]{1,2}", 2 => "[ ;=\t\"\\\\a]", 1 => "[a-z]{1,4}: [a-z]{0,4}\r\n", 1 => any::<String>(),
            ],
            0..12,
        ),
        step in 1usize..9,
    ) {
        let bytes = pieces.concat().into_bytes();
        let status = |error: Error| error.status().unwrap().as_u16();
        let whole = decode_in(&bytes, usize::MAX).map_err(status);
        prop_assert_eq!(decode_in(&bytes, step).map_err(status), whole);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode_in(&bytes, 7);
    }
}
