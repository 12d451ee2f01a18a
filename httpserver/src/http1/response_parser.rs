//! Parses response heads with httparse, and applies the same framing rules as for requests.
//!
//! There is no fast path as for requests: a client reads one head for each request that it has made, and spends most of
//! its time waiting.

use http::{Method, StatusCode, Version};

use super::{
    framing::FramingHeaders,
    header_lines::{self, Slot, head_too_large, max_head, with_slots},
    refusal::{BARE_LINE_END, bad, fault_of_server, has_bare_line_end},
    response_head::{ResponseFraming, ResponseHead},
};
use crate::{Error, Limits, span::Span};

type Parse = Result<Option<(usize, ResponseHead)>, Error>;

/// Parses the response head at the start of `buf`. `method` is that of the request it answers, because the framing of a
/// response depends on it.
///
/// Returns the number of bytes that the head takes, and the head; `None` while it is incomplete. Three of the limits
/// apply: [`max_head`](Limits::max_head), [`max_headers`](Limits::max_headers), and [`max_body`](Limits::max_body) for a
/// Content-Length.
///
/// # Errors
///
/// [`Error::BadResponse`] for everything that is refused in a request, too: lines that do not end in CR LF, folded lines,
/// control characters, a length that two programs could read differently, and a head or a body that is too long. The error
/// is returned before the head is complete if no further byte could change it.
///
/// # Examples
///
/// ```
/// use httpserver::{Limits, Method, codec::{BodyFraming, ResponseFraming, parse_response_head}};
///
/// let buf = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// let (consumed, head) = parse_response_head(buf, &Limits::default(), &Method::GET)?.expect("a whole head");
/// assert_eq!((head.status.as_u16(), head.body), (200, ResponseFraming::Body(BodyFraming::Length(5))));
/// assert_eq!(&buf[consumed..], b"hello");
///
/// // The same head in answer to HEAD ends the response.
/// let (_, head) = parse_response_head(buf, &Limits::default(), &Method::HEAD)?.expect("a whole head");
/// assert_eq!(head.body, ResponseFraming::Body(BodyFraming::None));
/// # Ok::<_, httpserver::Error>(())
/// ```
#[inline]
pub fn parse_response_head(
    buf: &[u8],
    limits: &Limits,
    method: &Method,
) -> Result<Option<(usize, ResponseHead)>, Error> {
    parse(buf, limits, method).map_err(fault_of_server)
}

#[inline]
fn parse(buf: &[u8], limits: &Limits, method: &Method) -> Parse {
    // httparse skips empty lines here. An empty line belongs to no response, so the framing before it went wrong.
    if let Some(b'\r' | b'\n') = buf.first() {
        return Err(MALFORMED);
    }
    let window = &buf[..buf.len().min(max_head(limits))];
    with_slots(limits, |slots| parse_window(window, limits, method, slots))
}

/// Parses the part of the buffer that the limit allows for a head.
#[inline]
fn parse_window<'b>(window: &'b [u8], limits: &Limits, method: &Method, slots: &mut [Slot<'b>]) -> Parse {
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, window, slots) {
        Ok(httparse::Status::Complete(len)) => build(&window[..len], &response, limits, method),
        Ok(httparse::Status::Partial) => check_partial(window, limits),
        Err(httparse::Error::Version) => other_version(window, limits, method),
        Err(error) => Err(header_lines::explain(error, limits, MALFORMED)),
    }
}

/// Builds the head from the result of httparse, or refuses it.
#[inline]
fn build(head: &[u8], response: &httparse::Response<'_, '_>, limits: &Limits, method: &Method) -> Parse {
    let is_http11 = response.version == Some(1);
    // httparse accepts any three digits, also those below 100.
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(MALFORMED)?;
    let mut framing = FramingHeaders::default();
    let headers = header_lines::collect(head, response.headers, limits, |name, value, _| framing.note(name, value))?;
    let body = match ResponseFraming::by_status(status, method) {
        Some(body) => body,
        None => framing.body(is_http11, limits.max_body)?.map_or(ResponseFraming::UntilClose, ResponseFraming::Body),
    };
    let response = ResponseHead {
        keep_alive: framing.keep_alive(is_http11) && matches!(body, ResponseFraming::Body(_)),
        reason: reason(head),
        version: if is_http11 { Version::HTTP_11 } else { Version::HTTP_10 },
        status,
        headers,
        body,
    };
    Ok(Some((head.len(), response)))
}

/// The position of the reason phrase in a complete head. Found here, because httparse drops one with bytes above 127.
#[inline]
fn reason(head: &[u8]) -> Span {
    let start = b"HTTP/1.1 200".len();
    let line = head.iter().position(|&b| matches!(b, b'\r' | b'\n')).unwrap_or(start);
    // Some servers leave out the space together with the phrase.
    let start = (start + 1).min(line);
    Span::new(start, line - start)
}

/// Returns `None` if an incomplete head may still become a valid one.
#[cold]
#[inline]
fn check_partial(window: &[u8], limits: &Limits) -> Parse {
    if !limits.accept_bare_lf && has_bare_line_end(window) {
        return Err(BARE_LINE_END);
    }
    if window.len() >= max_head(limits) {
        return Err(head_too_large(limits));
    }
    Ok(None)
}

/// A version other than 1.0 and 1.1: a higher minor one is read as 1.1 (RFC 9110 2.5), another major one is refused.
#[cold]
#[inline]
fn other_version(window: &[u8], limits: &Limits, method: &Method) -> Parse {
    match window {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', b' ', ..] => {
            let mut served = window.to_vec();
            served[b"HTTP/1.".len()] = b'1';
            with_slots(limits, |slots| parse_window(&served, limits, method, slots))
        }
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9', b' ', ..] => Err(Error::VersionNotSupported),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => check_partial(window, limits),
        _ => Err(MALFORMED),
    }
}

const MALFORMED: Error = bad("malformed status line");
