//! A chunked body, as a whole and in pieces.

use httpserver::codec::{ChunkStep, ChunkedDecoder};

use super::reference;

const MAX_BODY: u64 = 1 << 20;

/// What was decoded: data, trailer lines, and the bytes behind them once the body has ended.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    data: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    behind: Option<usize>,
}

/// A byte that says how large the pieces are, and then the body and what follows it.
pub fn run(input: &[u8]) {
    let Some((&step, body)) = input.split_first() else { return };
    let whole = decode(body, usize::MAX);
    assert_eq!(decode(body, 1 + usize::from(step)), whole);
    assert_eq!(decode(body, 1), whole);
    // The reference has no limits but that of a body, and so few bytes meet none.
    if body.len() < 400 {
        compare(body, whole);
    }
}

fn compare(body: &[u8], decoded: Result<Decoded, u16>) {
    let mut rest = body;
    match (decoded, reference::chunks(&mut rest)) {
        (Ok(Decoded { data, trailers, behind: Some(behind) }), Ok((expected, expected_trailers))) => {
            assert_eq!((data, behind), (expected, rest.len()));
            for ((name, value), expected) in trailers.iter().zip(&expected_trailers) {
                assert_eq!((name.as_slice(), value.trim_ascii()), (expected.0.as_bytes(), expected.1.trim_ascii()));
            }
            assert_eq!(trailers.len(), expected_trailers.len());
        }
        // A body that is cut short is a failure to the reference.
        (Ok(Decoded { behind: None, .. }) | Err(_), Err(_)) => {}
        (decoded, expected) => panic!("{}: {decoded:?} but {expected:?}", body.escape_ascii()),
    }
}

fn decode(body: &[u8], step: usize) -> Result<Decoded, u16> {
    let mut decoder = ChunkedDecoder::new();
    let (mut decoded, mut at, mut end) = (Decoded::default(), 0, 0);
    while end < body.len() {
        end = body.len().min(end.saturating_add(step));
        loop {
            let shown = &body[at..end];
            let step = decoder.decode(shown, MAX_BODY).map_err(|error| error.status().expect("a status").as_u16())?;
            match step {
                ChunkStep::Data { consumed, data } => {
                    assert!(!data.is_empty() && data.end <= consumed && decoded.trailers.is_empty());
                    decoded.data.extend_from_slice(&shown[data]);
                    at += consumed;
                }
                ChunkStep::Trailer { consumed, name, value } => {
                    decoded.trailers.push((shown[name].to_vec(), shown[value].to_vec()));
                    at += consumed;
                }
                ChunkStep::NeedMore { consumed } => {
                    at += consumed;
                    break;
                }
                ChunkStep::End { consumed } => {
                    decoded.behind = Some(body.len() - at - consumed);
                    return Ok(decoded);
                }
            }
        }
    }
    assert!(decoded.data.len() as u64 <= MAX_BODY);
    Ok(decoded)
}
