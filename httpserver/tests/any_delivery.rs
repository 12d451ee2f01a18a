//! However the bytes of a connection arrive, in whatever pieces and however many requests at once, they come to the same:
//! what a slow and plain reader makes of them.

mod targets;

use proptest::prelude::*;
use targets::{connection::check, reference};

/// Well-formed requests with all ways of framing, usual and unusual.
fn request() -> impl Strategy<Value = String> {
    let first = prop_oneof![
        4 => Just("POST / HTTP/1.1\r\nHost: a"),
        2 => Just("GET /a?b=%41 HTTP/1.1\r\nhost: b:80"),
        1 => Just("HEAD http://c/d HTTP/1.1\r\nHost: a"),
        1 => Just("OPTIONS * HTTP/1.1\r\nHost: [::1]:8"),
        1 => Just("CONNECT a:1 HTTP/1.1\r\nHost: a:1"),
        1 => Just("\r\nFOO /x HTTP/1.7\r\nHost: a"),
        1 => Just("POST / HTTP/1.0\r\nConnection: keep-alive"),
        1 => Just("\r\nGET / HTTP/1.0"),
    ];
    let line = prop_oneof![
        4 => Just(String::new()),
        2 => "[A-Za-z-]{1,8}: ?[!-~]{0,10}\r\n",
        1 => Just("Expect: 100-continue\r\n".to_owned()),
        1 => Just("Connection: x, Close\r\n".to_owned()),
        1 => Just("Connection: upgrade\r\nUpgrade: other\r\n".to_owned()),
    ];
    let chunk = prop_oneof![
        4 => Just("1\r\na\r\n"),
        2 => Just("00A\r\n0123456789\r\n"),
        1 => Just("3 ; a = \"b\\\"\" ;c\r\n\r\n\r\r\n"),
    ];
    let trailer = prop_oneof![2 => Just(""), 1 => Just("X-Sum:  7 \r\n"), 1 => Just("A:\r\nA: b\r\n")];
    let chunked = (prop::collection::vec(chunk, 0..4), trailer).prop_map(|(chunks, trailer)| {
        format!("Transfer-Encoding: chunked\r\n\r\n{}0\r\n{trailer}\r\n", chunks.concat())
    });
    let counted = "[a-z\r\n ]{0,12}".prop_map(|body: String| format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let body = prop_oneof![2 => Just("\r\n".to_owned()), 2 => counted, 3 => chunked];
    (first, line, body).prop_map(|(first, line, body)| format!("{first}\r\n{line}{body}"))
}

/// Several requests with some bytes replaced, inserted or removed, and perhaps the end cut off.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => prop::sample::select(&b"\r\n \t:;,0193ag%\"\0\x7f\xff"[..]), 1 => any::<u8>()];
    let edit = (any::<prop::sample::Index>(), any::<bool>(), 0..12u8, byte);
    (prop::collection::vec(request(), 1..4), prop::collection::vec(edit, 0..3)).prop_map(|(requests, edits)| {
        let mut bytes = requests.concat().into_bytes();
        for (at, is_near_end, kind, byte) in edits {
            // Half of the edits are where names, values and lines end: mostly one fault, or one oddity.
            let ends: Vec<usize> = (0..bytes.len()).filter(|&at| b"\r\n:; ".contains(&bytes[at])).collect();
            let at = if is_near_end && !ends.is_empty() { ends[at.index(ends.len())] } else { at.index(bytes.len()) };
            match kind {
                0..4 => bytes[at] = byte,
                4..8 => bytes.insert(at, byte),
                8..11 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(bytes.len() / 2)),
            }
        }
        bytes
    })
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![3 => 1..8usize, 2 => 1..80usize], 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_connection_comes_to_the_same_in_any_delivery(bytes in conversation(), sizes in pieces()) {
        check(&bytes, sizes, false);
    }

    #[test]
    fn so_does_one_whose_lines_may_end_in_lf(bytes in conversation(), strip in any::<u64>(), sizes in pieces()) {
        // Some of the CRs go: those in front of the line feeds that `strip` has a bit for.
        let mut lenient = Vec::new();
        let mut count = 0;
        for &byte in &bytes {
            if byte == b'\n' {
                count += 1;
                if strip >> (count % 64) & 1 == 1 && lenient.last() == Some(&b'\r') {
                    lenient.pop();
                }
            }
            lenient.push(byte);
        }
        check(&lenient, sizes, true);
    }
}

#[test]
fn requests_sent_one_by_one_are_answered_as_those_sent_together() {
    let requests = [
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        "\r\nGET /4 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /unheard HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    check(requests.concat().as_bytes(), requests.iter().map(|request| request.len()).collect(), false);
    assert_eq!(reference::converse(requests.concat().as_bytes(), false).requests.len(), 5);
}
