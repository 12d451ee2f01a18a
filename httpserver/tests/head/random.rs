//! Random requests, against a simple reference.

use httpserver::{Limits, Version, codec::HeadParser};
use proptest::prelude::*;

use super::{
    parsing::{drip, is_complete, status_of, summary},
    reference,
};

/// Pieces of requests, good and bad, so that random combinations get past the first line.
fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => Just("Host: a".to_string()),
        1 => Just("host: b:80".to_string()),
        1 => "Host: ?(a|%[0-9a-g]{1,2}|:[0-9]{1,5}){0,2}",
        2 => "(Content-Length|content-length): ?[0-9+, ]{0,4}",
        2 => "Transfer-Encoding: (chunked|gzip, chunked|chunked, gzip|CHUNKED|x)?",
        2 => "Connection:[ \t]*(close|keep-alive|Keep-Alive, close|upgrade|, ,x)",
        1 => "Expect: (100-continue|100-CONTINUE|x)",
        1 => "Upgrade: websocket",
        4 => "[A-Za-z-]{1,12}: ?[ -~\t]{0,40}",
        1 => "[ -~\t]{0,12}",
        1 => any::<String>(),
    ];
    let end = prop_oneof![30 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n ")];
    let first = prop_oneof![
        8 => "(GET|POST|OPTIONS|CONNECT|FOO) (/|/a|/a\\?b=c|\\*|http://h/p|h:80|/%41|/a#|/%[0-2]{1,2}|http://%[0-9g]{2}/%0[01]|h:0) HTTP/1\\.[0-2]",
        1 => "(GET|PRI) (/|\\*) HTTP/[0-3]\\.[0-1]",
        1 => "[ -~]{0,20}",
    ];
    let leading = prop_oneof![8 => Just(""), 1 => Just("\r\n"), 1 => Just("\n")];
    let lines = prop::collection::vec((line, end.clone()), 0..6);
    (leading, first, end.clone(), lines, end, "[ -~]{0,10}").prop_map(|(leading, first, end, lines, last, rest)| {
        let mut text = format!("{leading}{first}{end}");
        for (line, end) in lines {
            text += &line;
            text += end;
        }
        text += last;
        text += &rest;
        text.into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn heads_are_read_as_the_reference_reads_them(bytes in request_bytes()) {
        let limits = Limits::default();
        let actual = HeadParser::default().parse(&bytes, &limits).map_err(status_of);
        let expected = reference::parse(&bytes);
        match (actual, expected) {
            (Ok(None), Ok(None)) => {}
            // Which of several faults is named first is open.
            (Err(_), Err(_)) => {}
            // The reference judges complete heads only.
            (Err(_), Ok(None)) => {}
            (Ok(Some((consumed, head))), Ok(Some(expected))) => {
                prop_assert_eq!(consumed, expected.consumed);
                prop_assert_eq!(head.method().as_str(), expected.method);
                prop_assert_eq!(head.target(), expected.target);
                prop_assert_eq!(head.host(), expected.host.as_deref());
                prop_assert_eq!(head.version == Version::HTTP_11, expected.is_http11);
                prop_assert_eq!(head.keep_alive, expected.keep_alive);
                prop_assert_eq!(head.body(), expected.body);
                let lines: Vec<_> = head.headers.iter().map(|(n, v)| (n.to_string(), v.to_vec())).collect();
                prop_assert_eq!(lines, expected.headers);
            }
            (actual, expected) => prop_assert!(false, "{:?} but {:?}", actual, expected),
        }
    }

    #[test]
    fn any_split_gives_the_same_result(bytes in request_bytes(), step in 1usize..40) {
        let limits = Limits::default().max_target(30).max_head(200).max_headers(4);
        let whole = HeadParser::default().parse(&bytes, &limits).map_err(status_of);
        let pieces = drip(&bytes, &limits, step);
        match (&whole, &pieces) {
            (Err(_), Ok(None)) => prop_assert!(!is_complete(&bytes)),
            _ => prop_assert_eq!(summary(&whole), summary(&pieces)),
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = HeadParser::default().parse(&bytes, &Limits::default());
        let mut request = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        request.extend(bytes);
        let _ = HeadParser::default().parse(&request, &Limits::default());
    }
}
