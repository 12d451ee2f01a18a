//! How the tests parse: at once and byte by byte.

use httpserver::{
    Limits,
    codec::{HeadParser, RequestHead},
};

/// What `bytes` come to: a head and what it took, or a status. The same byte by byte, except that the fault of a head
/// that is not complete may be found a little later then.
pub(super) fn parse_with(bytes: &[u8], limits: &Limits) -> Result<Option<(usize, RequestHead)>, u16> {
    let whole = HeadParser::default().parse(bytes, limits).map_err(status_of);
    let dripped = drip(bytes, limits, 1);
    if whole.is_ok() || is_complete(bytes) || dripped.is_err() {
        assert_eq!(summary(&whole), summary(&dripped), "{}", bytes.escape_ascii());
    }
    whole
}

pub(super) fn parse(bytes: impl AsRef<[u8]>) -> Result<Option<(usize, RequestHead)>, u16> {
    parse_with(bytes.as_ref(), &Limits::default())
}

pub(super) fn head(bytes: impl AsRef<[u8]>) -> RequestHead {
    let bytes = bytes.as_ref();
    match parse(bytes) {
        Ok(Some((consumed, head))) => {
            assert_eq!(consumed, bytes.len());
            head
        }
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

#[track_caller]
pub(super) fn refused(status: u16, bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    match parse(bytes) {
        Err(actual) => assert_eq!(actual, status, "{}", bytes.escape_ascii()),
        Ok(other) => panic!("{} gave {other:?}", bytes.escape_ascii()),
    }
}

pub(super) fn drip(bytes: &[u8], limits: &Limits, step: usize) -> Result<Option<(usize, RequestHead)>, u16> {
    let mut parser = HeadParser::default();
    for end in (0..bytes.len()).step_by(step).skip(1) {
        if let Some(done) = parser.parse(&bytes[..end], limits).map_err(status_of)? {
            return Ok(Some(done));
        }
    }
    parser.parse(bytes, limits).map_err(status_of)
}

pub(super) fn is_complete(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|four| four == b"\r\n\r\n")
}

pub(super) fn status_of(error: httpserver::Error) -> u16 {
    error.status().expect("parse errors have a status").as_u16()
}

pub(super) fn summary(parsed: &Result<Option<(usize, RequestHead)>, u16>) -> String {
    match parsed {
        Ok(None) => "incomplete".into(),
        Ok(Some((consumed, head))) => {
            format!("{consumed} {head:?} {:?} {:?} {:?}", head.path(), head.query(), head.host())
        }
        Err(status) => format!("{status}"),
    }
}
