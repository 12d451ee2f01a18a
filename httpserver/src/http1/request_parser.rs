//! Parses request heads: the usual ones in one pass, all others by way of httparse.
//!
//! The [fast path](super::fast_path) takes nearly every head that clients send, and refuses none: what it does not know
//! goes to httparse, whose result is then judged by the same rules. Either way the lines are walked once: their positions
//! go into the table of [`Headers`](crate::Headers), and what decides about the message into [`RequestHeaders`].
//!
//! httparse is lenient in places where RFC 9112 lets a recipient be: a bare LF ends a line, any token is a method, any
//! printable text a target. What it lets pass is looked at again here, in `build` where a head is complete and in
//! `check_partial` where it is not, so that a fault is reported as soon as it is certain. Only bare LFs may be let pass, by
//! an option of [`Limits`].
//!
//! A head is judged in this order, and the first fault is the answer: an empty line in front, the lengths of method and
//! target, the grammar of the whole head, the form of the target, each header line by itself, and last what the lines
//! come to together.
//!
//! Parsing is a quarter of the instructions of a request, and a third where requests are pipelined.

use http::{Method, Version};

use super::{
    fast_path::parse_fast,
    header_lines::{self, Slot, head_too_large, max_head, with_slots},
    refusal::{BARE_LINE_END, bad, has_bare_line_end},
    request_head::RequestHead,
    request_headers::RequestHeaders,
    request_method::RequestMethod,
    target,
};
use crate::{
    Error, Limits,
    headers::is_token_byte,
    span::{Span, offset},
};

/// Longest method. The longest one registered, UPDATEREDIRECTREF, has 17 letters; RFC 9112 3 has what is longer than
/// any method that is implemented answered 501.
pub const MAX_METHOD: usize = 64;

/// `None` while the head is incomplete, else the bytes it takes and the head.
type Parse = Result<Option<(usize, RequestHead)>, Error>;

/// Parses the head of a request that `buf` begins with, one empty line in front tolerated.
///
/// `None` while it is incomplete, else the bytes it takes and the head.
///
/// # Errors
///
/// 400, 413, 414, 431, 501 or 505 by [`Error::status`]; reported before the head is complete where nothing that
/// follows could change it.
///
/// # Examples
///
/// ```
/// use httpserver::{Limits, codec::parse_request_head};
///
/// let buf = b"GET /rooms?page=2 HTTP/1.1\r\nHost: example.com\r\n\r\nGET /next";
/// let (consumed, head) = parse_request_head(buf, &Limits::default())?.expect("a whole head");
/// assert_eq!((head.path(), head.query(), head.host()), ("/rooms", Some("page=2"), Some("example.com")));
/// assert_eq!(&buf[consumed..], b"GET /next");
/// # Ok::<_, httpserver::Error>(())
/// ```
#[inline]
pub fn parse_request_head(buf: &[u8], limits: &Limits) -> Result<Option<(usize, RequestHead)>, Error> {
    let mut head = None;
    let len = parse_request_into(buf, limits, &mut head)?;
    Ok(len.zip(head))
}

/// [`parse_request_head`] with an empty place for the head: moving it from call to call costs more than the calls. It stays
/// empty while the head is incomplete and after an error.
pub(crate) fn parse_request_into(
    buf: &[u8],
    limits: &Limits,
    head: &mut Option<RequestHead>,
) -> Result<Option<usize>, Error> {
    let Some((skipped, window)) = window_of(buf, limits)? else { return Ok(None) };
    match parse_fast(window, limits, head) {
        Some(len) => Ok(Some(skipped + len)),
        // It is parsed anew from its first byte; what the fast path had found is dropped.
        None => put_by_httparse(window, skipped, limits, head),
    }
}

/// Parses any head, and puts it into `head`.
#[cold]
fn put_by_httparse(
    window: &[u8],
    skipped: usize,
    limits: &Limits,
    head: &mut Option<RequestHead>,
) -> Result<Option<usize>, Error> {
    let Some((len, parsed)) = parse_by_httparse(window, skipped, limits)? else { return Ok(None) };
    *head = Some(parsed);
    Ok(Some(len))
}

/// [`parse_request_head`] without the fast path, for tests that compare the two.
///
/// # Errors
///
/// As [`parse_request_head`].
#[inline]
pub fn parse_request_head_by_httparse(buf: &[u8], limits: &Limits) -> Result<Option<(usize, RequestHead)>, Error> {
    let Some((skipped, window)) = window_of(buf, limits)? else { return Ok(None) };
    parse_by_httparse(window, skipped, limits)
}

/// What of `buf` may be a head, and how much of it stands in front; `None` while nothing of one has come.
#[inline(always)]
fn window_of<'b>(buf: &'b [u8], limits: &Limits) -> Result<Option<(usize, &'b [u8])>, Error> {
    // One comparison of the first byte: an empty line in front is rare, and stays out of the usual way.
    let skipped = match buf.first() {
        None => return Ok(None),
        Some(b'\r' | b'\n') => match leading_empty_line(buf, limits)? {
            Some(skipped) => skipped,
            None => return Ok(None),
        },
        Some(_) => 0,
    };
    // A head has to end within the limit, so nothing behind it is looked at: neither the bodies nor the heads that were
    // sent along.
    let window = &buf[skipped..];
    Ok(Some((skipped, &window[..window.len().min(max_head(limits))])))
}

/// Parses any head. `skipped` bytes were taken in front of `window`.
#[cold]
fn parse_by_httparse(window: &[u8], skipped: usize, limits: &Limits) -> Parse {
    with_slots(limits, |slots| parse_window(window, skipped, limits, slots))
}

/// RFC 9112 2.2: a server should ignore an empty line in front of the request line. One, with its CRLF.
#[cold]
fn leading_empty_line(buf: &[u8], limits: &Limits) -> Result<Option<usize>, Error> {
    match buf {
        // By the same rules, a CR LF shorter by its CR.
        [b'\n', behind @ ..] if limits.accept_bare_lf => match behind.first() {
            None => Ok(None),
            Some(b'\r' | b'\n') => Err(MORE_EMPTY_LINES),
            Some(_) => Ok(Some(1)),
        },
        [b'\r'] | [b'\r', b'\n'] => Ok(None),
        // A client that goes on sending them would never begin a head, and so never meet the limit of one.
        [b'\r', b'\n', b'\r' | b'\n', ..] => Err(MORE_EMPTY_LINES),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        _ => Err(BARE_LINE_END),
    }
}

/// Parses what of the buffer may be a head.
fn parse_window<'b>(window: &'b [u8], skipped: usize, limits: &Limits, slots: &mut [Slot<'b>]) -> Parse {
    // By its defaults: each of its options would let more pass.
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(window, slots) {
        Ok(httparse::Status::Complete(len)) => build(&window[..len], skipped, &request, limits),
        Ok(httparse::Status::Partial) => check_partial(window, limits),
        Err(error) => explain(window, skipped, error, limits),
    }
}

/// Turns what httparse found into a head, or refuses it.
fn build(head: &[u8], skipped: usize, request: &httparse::Request<'_, '_>, limits: &Limits) -> Parse {
    // httparse sets all three before it reports a complete head; the defaults would be refused below.
    let method = request.method.unwrap_or_default();
    let path = request.path.unwrap_or_default();
    let version = match request.version {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    check_lengths(method.as_bytes(), path.as_bytes(), limits)?;
    // Before the target, whose form depends on it (RFC 9112 3.2).
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad("malformed method"))?;
    let target = target::parse(head, Span::within(head, path.as_bytes()), &method)?;
    let mut known = RequestHeaders::default();
    let headers =
        header_lines::collect(head, request.headers, limits, |name, value, span| known.note(name, value, span))?;
    let is_http11 = version == Version::HTTP_11;
    // Only now have all lines been seen: a Connection line may be the last one.
    let known = known.outcome(is_http11, target.authority, limits.max_body)?;
    let (framing, length) = known.body.split();
    let (method, other_method) = RequestMethod::of(method);
    let request = RequestHead {
        framing,
        length,
        host: known.host,
        keep_alive: known.keep_alive,
        expect: known.expect,
        upgrade: known.upgrade,
        headers,
        method,
        other_method,
        version,
        target,
    };
    Ok(Some((skipped + head.len(), request)))
}

/// The limits of the request line. The method comes first: one that is too long is not the fault of the target behind it.
fn check_lengths(method: &[u8], target: &[u8], limits: &Limits) -> Result<(), Error> {
    if method.len() > MAX_METHOD {
        return Err(Error::NotImplemented("a method this long"));
    }
    if target.len() > limits.max_target {
        return Err(Error::TargetTooLong { limit: limits.max_target });
    }
    Ok(())
}

/// Whether an incomplete head can still become one. A client that sends a fault and waits is told now, not after the
/// time-out for heads.
#[cold]
fn check_partial(window: &[u8], limits: &Limits) -> Parse {
    let (method, target) = method_and_target(window);
    check_lengths(method, target.unwrap_or_default(), limits)?;
    if !limits.accept_bare_lf && has_bare_line_end(window) {
        return Err(BARE_LINE_END);
    }
    // The window ends at the limit, so it is full.
    if window.len() >= max_head(limits) {
        return Err(head_too_large(limits));
    }
    Ok(None)
}

/// Why httparse refused; the version is looked at again, because httparse knows 1.0 and 1.1 only.
#[cold]
fn explain(window: &[u8], skipped: usize, error: httparse::Error, limits: &Limits) -> Parse {
    // The usual mistake behind unreadable bytes is `https://` for a port of plain HTTP.
    if window.starts_with(&[TLS_HANDSHAKE]) {
        return Err(bad("this port speaks plain HTTP, not TLS"));
    }
    // A method or target that is too long has a status of its own, whatever is wrong behind it.
    let (method, target) = method_and_target(window);
    check_lengths(method, target.unwrap_or_default(), limits)?;
    match error {
        httparse::Error::Version => other_version(window, skipped, limits),
        _ => Err(header_lines::explain(error, limits, bad("malformed request line"))),
    }
}

/// The record type that every TLS connection begins with (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A version other than 1.0 and 1.1: a higher minor one is served as 1.1, another major one is 505 (RFC 9110 2.5 and
/// 15.6.6). The preface of HTTP/2 begins like a request of version 2.0, and ends here.
fn other_version(window: &[u8], skipped: usize, limits: &Limits) -> Parse {
    let Some(start) = version_start(window) else {
        return Err(MALFORMED_VERSION);
    };
    let text = &window[start..];
    let has_bare_lf = limits.accept_bare_lf && text.get(b"HTTP/d.d".len()) == Some(&b'\n');
    let pattern: &[u8] = if has_bare_lf { b"HTTP/d.d\n" } else { b"HTTP/d.d\r\n" };
    let fits = text.iter().zip(pattern).all(|(&b, &pattern)| match pattern {
        b'd' => b.is_ascii_digit(),
        _ => b == pattern,
    });
    match text {
        _ if !fits => Err(MALFORMED_VERSION),
        // What has come of it fits, and more may follow.
        _ if text.len() < pattern.len() => check_partial(window, limits),
        [_, _, _, _, _, b'1', ..] => {
            // A copy of the head, because httparse knows no such version. No client is known that sends one.
            let mut served = window.to_vec();
            served[start + b"HTTP/1.".len()] = b'1';
            with_slots(limits, |slots| parse_window(&served, skipped, limits, slots))
        }
        _ => Err(Error::VersionNotSupported),
    }
}

/// Where the version begins, behind a method, a target and single spaces.
fn version_start(window: &[u8]) -> Option<usize> {
    let target = method_and_target(window).1?;
    let end = offset(window, target) + target.len();
    (window.get(end) == Some(&b' ')).then_some(end + 1)
}

/// Method and target of the request line as far as they have come; `None` for a target that has not begun.
fn method_and_target(window: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = window.iter().position(|&b| !is_token_byte(b)).unwrap_or(window.len());
    let (method, behind) = window.split_at(end);
    let [b' ', rest @ ..] = behind else {
        return (method, None);
    };
    let is_end = |&b: &u8| b <= b' ' || b == 0x7f;
    let target = &rest[..rest.iter().position(is_end).unwrap_or(rest.len())];
    (method, Some(target).filter(|_| !method.is_empty()))
}

const MORE_EMPTY_LINES: Error = bad("more than one empty line before the request");
const MALFORMED_VERSION: Error = bad("malformed HTTP version");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &[u8] = b"POST /a/%41b?c=d HTTP/1.1\r\nHost: a:80\r\nUser-Agent: some client of some length\r\n\
        X_1: \xff\r\nEmpty:\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc";

    /// The request with some bytes replaced, inserted or removed, half of them around the ends of names and values:
    /// mostly heads with one fault or one oddity.
    fn request_like() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![prop::sample::select(&b"\r\n \t:?#/\x7f\0\xffa0%,-\"[]"[..]), any::<u8>()];
        let is_end = |&at: &usize| matches!(REQUEST[at], b'\r' | b':' | b' ') || REQUEST[at - 1] == b'\n';
        let ends: Vec<usize> = (1..REQUEST.len()).filter(is_end).collect();
        let edit = (prop_oneof![prop::sample::select(ends), 0..REQUEST.len()], 0..3u8, byte);
        prop::collection::vec(edit, 0..4).prop_map(|edits| {
            let mut request = REQUEST.to_vec();
            for (at, kind, byte) in edits {
                let at = at.min(request.len() - 1);
                match kind {
                    0 => request[at] = byte,
                    1 => request.insert(at, byte),
                    _ => drop(request.remove(at)),
                }
            }
            request
        })
    }

    fn parse_fast(window: &[u8], limits: &Limits) -> Option<(usize, RequestHead)> {
        let mut head = None;
        let len = super::parse_fast(window, limits, &mut head)?;
        Some((len, head.expect("put there with the length")))
    }

    fn summary(len: usize, head: &RequestHead) -> String {
        format!("{len} {head:?} {} {} {:?} {:?}", head.target(), head.path(), head.query(), head.host())
    }

    #[test]
    fn usual_heads_take_the_fast_path_and_odd_ones_do_not() {
        for method in ["GET", "POST", "HEAD", "PUT", "DELETE"] {
            for version in [Version::HTTP_11, Version::HTTP_10] {
                let request = format!("{method} /a/b?c=d {version:?}\r\nHost: a:80\r\n\r\nrest");
                let (len, head) = parse_fast(request.as_bytes(), &Limits::default()).expect("usual");
                assert_eq!(len, request.len() - 4);
                assert_eq!((head.method().as_str(), head.version), (method, version));
                assert_eq!((head.path(), head.query(), head.host()), ("/a/b", Some("c=d"), Some("a:80")));
            }
        }
        assert!(parse_fast(REQUEST, &Limits::default()).is_some());
        let is_usual = |request: String| parse_fast(request.as_bytes(), &Limits::default()).is_some();
        for odd in ["CONNECT a:1", "OPTIONS *", "GET http://a/", "get /", "GET  /"] {
            assert!(!is_usual(format!("{odd} HTTP/1.1\r\nHost: a\r\n\r\n")), "{odd}");
        }
        // Values would have to be trimmed, or hold a tab.
        for odd in ["X:  y", "X: y ", "X:\ty", "X: y\t", "X: y\tz"] {
            assert!(!is_usual(format!("GET / HTTP/1.1\r\nHost: a\r\n{odd}\r\n\r\n")), "{odd}");
        }
    }

    /// A head with one header line of that name length and value length, and what stands behind it.
    fn of_lengths(target: usize, name: usize, value: usize, behind: usize) -> (usize, Vec<u8>) {
        let text = |letters: &[u8], len: usize| letters.repeat(len / letters.len() + 1)[..len].to_vec();
        let (target, name, value) = (text(b"a-_/7", target), text(b"X-Ray", name), text(b"v: t, q=0.9;", value));
        let value = value.trim_ascii();
        let head = [b"GET /", &target[..], b" HTTP/1.1\r\nHost: a\r\n", &name, b": ", value, b"\r\n\r\n"].concat();
        (head.len(), [head, vec![b'b'; behind]].concat())
    }

    /// What the fast path says of `request`, after comparing it with httparse's way.
    fn fast(request: &[u8], limits: &Limits) -> Option<(usize, RequestHead)> {
        let (len, head) = parse_fast(request, limits)?;
        match parse_by_httparse(request, 0, limits) {
            Ok(Some((expected_len, expected))) => {
                assert_eq!(summary(len, &head), summary(expected_len, &expected), "{}", request.escape_ascii());
            }
            other => panic!("{}: {other:?}", request.escape_ascii()),
        }
        Some((len, head))
    }

    #[test]
    fn the_lengths_of_names_values_and_targets_decide_nothing() {
        let limits = Limits::default();
        let lengths = || (0..36).chain([47, 48, 49, 64, 200]);
        let cases = lengths()
            .flat_map(|value| lengths().filter(|&name| name != 0).map(move |name| (1, name, value)))
            .chain(lengths().flat_map(|target| [(target, 1, 0), (target, 9, 16)]));
        for (target, name, value) in cases {
            for behind in [0, 1, 15, 16, 40] {
                let (len, request) = of_lengths(target, name, value, behind);
                let taken = fast(&request, &limits).map(|(len, _)| len);
                assert_eq!(taken, Some(len), "{}", request.escape_ascii());
            }
        }
    }

    #[test]
    fn a_fault_at_any_place_is_found_and_no_beginning_is_a_head() {
        let limits = Limits::default();
        let (len, request) = of_lengths(20, 17, 35, 0);
        for end in 0..len {
            assert!(parse_fast(&request[..end], &limits).is_none());
        }
        for place in 0..len {
            for b in 0..=255 {
                let mut request = request.clone();
                request[place] = b;
                fast(&request, &limits);
                request.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
                fast(&request, &limits);
            }
        }
    }

    #[test]
    fn lines_up_to_the_most_are_taken_and_one_more_is_left_to_httparse() {
        for (most, limit) in [(32, 100), (5, 5)] {
            let limits = Limits::default().max_headers(limit);
            let of = |lines: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(lines - 1));
            for lines in 1..=most {
                assert!(fast(of(lines).as_bytes(), &limits).is_some(), "{lines} of {most}");
            }
            assert!(fast(of(most + 1).as_bytes(), &limits).is_none(), "{most}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_fast_path_takes_only_what_httparse_takes_alike(request in request_like()) {
            fast(&request, &Limits::default());
        }

        #[test]
        fn heads_of_any_lengths_with_some_faults_are_taken_as_httparse_takes_them(
            target in 0usize..200,
            name in 1usize..200,
            value in 0usize..200,
            behind in 0usize..40,
            faults in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            end in any::<prop::sample::Index>(),
        ) {
            let (_, mut request) = of_lengths(target, name, value, behind);
            for (place, b) in faults {
                let place = place.index(request.len());
                request[place] = b;
            }
            fast(&request, &Limits::default());
            // As it may have come so far.
            fast(&request[..end.index(request.len())], &Limits::default());
        }
    }
}
