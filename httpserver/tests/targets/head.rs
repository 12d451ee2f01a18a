//! The head of a request: by the fast path and by way of httparse, as a whole and in pieces.

use httpserver::{
    Limits,
    codec::{HeadParser, RequestHead, parse_request_head, parse_request_head_by_httparse},
};

/// A byte that says how large the pieces are and whether LF ends a line, and then the head and what follows it.
pub fn run(input: &[u8]) {
    let Some((&how, bytes)) = input.split_first() else { return };
    let limits = Limits::default().accept_bare_lf(how & 1 == 1);
    let whole = parse_request_head(bytes, &limits).map_err(status);
    let slow = parse_request_head_by_httparse(bytes, &limits).map_err(status);
    assert_eq!(summary(&whole), summary(&slow), "{}", bytes.escape_ascii());
    let first = HeadParser::default().parse(bytes, &limits).map_err(status);
    if whole.is_ok() {
        assert_eq!(summary(&whole), summary(&first));
    }
    let pieces = drip(bytes, &limits, 1 + usize::from(how >> 1));
    match (&first, &pieces) {
        // A fault that is found in pieces may be found later than its last byte.
        (Err(_), Ok(None)) => {}
        _ => assert_eq!(summary(&first), summary(&pieces), "{}", bytes.escape_ascii()),
    }
}

fn drip(bytes: &[u8], limits: &Limits, step: usize) -> Result<Option<(usize, RequestHead)>, u16> {
    let mut parser = HeadParser::default();
    for end in (step..bytes.len()).step_by(step).chain([bytes.len()]) {
        if let Some(done) = parser.parse(&bytes[..end], limits).map_err(status)? {
            return Ok(Some(done));
        }
    }
    Ok(None)
}

fn status(error: httpserver::Error) -> u16 {
    error.status().expect("parse errors have a status").as_u16()
}

fn summary(parsed: &Result<Option<(usize, RequestHead)>, u16>) -> String {
    match parsed {
        Ok(None) => "incomplete".to_owned(),
        Ok(Some((consumed, head))) => {
            format!("{consumed} {head:?} {:?} {:?} {:?}", head.path(), head.query(), head.host())
        }
        Err(status) => status.to_string(),
    }
}
