//! A second reader of requests, slow and written to be compared with RFC 9112 line by line: a head, a chunked body, and
//! all that comes over a connection. It knows no limits but that of a body, and judges complete heads only.

// Each test binary uses a part of this.
#![allow(dead_code)]

use httpserver::codec::{BodyFraming, ResponseFraming};

/// What the limit of a body is taken to be.
pub(crate) const MAX_BODY: u64 = 100 * 1024 * 1024;

/// What a client has said over a connection that it then ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Conversation {
    pub(crate) requests: Vec<Asked>,
    pub(crate) end: End,
}

/// A request that is to be served.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) host: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
}

/// What became of the connection behind the last request that was served.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    /// Closed in silence: the client had nothing more to say, or the last request asked for it.
    Closed,
    /// Refused with this status, and closed.
    Refused(u16),
    /// Half a head. It is refused if nothing could have made it whole, and closed in silence otherwise.
    HalfAHead,
}

/// Reads all that comes over a connection.
pub(crate) fn converse(mut bytes: &[u8], accept_bare_lf: bool) -> Conversation {
    let mut requests = Vec::new();
    loop {
        let head = match parse_by(bytes, accept_bare_lf) {
            Ok(Some(head)) => head,
            Ok(None) if bytes.is_empty() => return Conversation { requests, end: End::Closed },
            Ok(None) => return Conversation { requests, end: End::HalfAHead },
            Err(status) => return Conversation { requests, end: End::Refused(status) },
        };
        // RFC 9110 10.1.1.
        if head.expects_unknown {
            return Conversation { requests, end: End::Refused(417) };
        }
        bytes = &bytes[head.consumed..];
        let (body, trailers) = match body(head.body, &mut bytes) {
            Ok(body) => body,
            Err(status) => return Conversation { requests, end: End::Refused(status) },
        };
        let (method, target, host) = (head.method, head.target, head.host);
        requests.push(Asked { method, target, host, body, trailers });
        if !head.keep_alive {
            return Conversation { requests, end: End::Closed };
        }
    }
}

pub(crate) type Body = (Vec<u8>, Vec<(String, Vec<u8>)>);

/// Takes a body and its trailers from the front of `bytes`. One that is cut short is 400.
fn body(framing: BodyFraming, bytes: &mut &[u8]) -> Result<Body, u16> {
    match framing {
        BodyFraming::None => Ok((Vec::new(), Vec::new())),
        BodyFraming::Length(length) => {
            let (body, rest) = bytes.split_at_checked(length as usize).ok_or(400u16)?;
            *bytes = rest;
            Ok((body.to_vec(), Vec::new()))
        }
        BodyFraming::Chunked => chunks(bytes),
    }
}

/// RFC 9112 7.1.
pub(crate) fn chunks(bytes: &mut &[u8]) -> Result<Body, u16> {
    let mut body = Vec::new();
    loop {
        let size = chunk_size(line(bytes)?)?;
        if size == 0 {
            break;
        }
        if size > MAX_BODY - body.len() as u64 {
            return Err(413);
        }
        let (data, rest) = bytes.split_at_checked(size as usize).ok_or(400u16)?;
        body.extend_from_slice(data);
        *bytes = rest.strip_prefix(b"\r\n").ok_or(400u16)?;
    }
    let mut trailers = Vec::new();
    loop {
        let line = line(bytes)?;
        if line.is_empty() {
            return Ok((body, trailers));
        }
        let (name, value) = field(line)?;
        // RFC 9110 6.5.1: among others, what decides about framing and routing.
        let forbidden = "authorization cache-control connection content-encoding content-length content-range \
            content-type cookie expect host if-match if-modified-since if-none-match if-range if-unmodified-since \
            keep-alive max-forwards proxy-authorization proxy-connection range te trailer transfer-encoding upgrade";
        if forbidden.split(' ').any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
            return Err(400);
        }
        trailers.push((name, value));
    }
}

/// Takes a line that ends in CR LF. One that has not come to its end is cut short.
fn line<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], u16> {
    let end = bytes.iter().position(|&b| b == b'\n').ok_or(400u16)?;
    let line = bytes[..end].strip_suffix(b"\r").ok_or(400u16)?;
    *bytes = &bytes[end + 1..];
    Ok(line)
}

/// `chunk-size [ chunk-ext ]`, of at most 16 digits.
fn chunk_size(line: &[u8]) -> Result<u64, u16> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 16 || line.len() > 255 || !are_extensions(&line[digits..]) {
        return Err(400);
    }
    let digits = std::str::from_utf8(&line[..digits]).map_err(|_| 400u16)?;
    u64::from_str_radix(digits, 16).map_err(|_| 400)
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, RFC 9112 7.1.1.
fn are_extensions(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(behind) = skip_space(text).strip_prefix(b";") else { return false };
        let Some(behind) = skip_token(skip_space(behind)) else { return false };
        text = behind;
        if let Some(value) = skip_space(behind).strip_prefix(b"=") {
            let value = skip_space(value);
            let Some(behind) = skip_quoted(value).or_else(|| skip_token(value)) else { return false };
            text = behind;
        }
    }
    true
}

fn skip_space(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|b| b" \t".contains(b)).count()..]
}

fn skip_token(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|&&b| is_token(&[b])).count();
    (length > 0).then(|| &text[length..])
}

fn skip_quoted(text: &[u8]) -> Option<&[u8]> {
    let mut at = text.first().filter(|&&b| b == b'"').map(|_| 1)?;
    loop {
        at += match text.get(at..)? {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b, ..] if is_text(*b) => 2,
            [b, ..] if is_text(*b) && *b != b'\\' => 1,
            _ => return None,
        };
    }
}

fn is_text(b: u8) -> bool {
    b == b'\t' || (b >= b' ' && b != 127)
}

/// A header or trailer line.
fn field(line: &[u8]) -> Result<(String, Vec<u8>), u16> {
    let colon = line.iter().position(|&b| b == b':').ok_or(400u16)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) || !value.iter().all(|&b| is_text(b)) {
        return Err(400);
    }
    Ok((String::from_utf8_lossy(name).into_owned(), trim(value).to_vec()))
}

/// What the reference reads.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) consumed: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) is_http11: bool,
    pub(crate) host: Option<String>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) keep_alive: bool,
    pub(crate) expects_unknown: bool,
    pub(crate) body: BodyFraming,
}

/// `None` for an incomplete head, a status for one to refuse.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Head>, u16> {
    parse_by(bytes, false)
}

/// [`parse`] with or without lines that end in LF alone.
pub(crate) fn parse_by(bytes: &[u8], accept_bare_lf: bool) -> Result<Option<Head>, u16> {
    let skipped = match bytes {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] if accept_bare_lf => 1,
        _ => 0,
    };
    let Some((end, lines)) = head_lines(&bytes[skipped..], accept_bare_lf)? else {
        return Ok(None);
    };
    let (first, lines) = lines.split_first().ok_or(400u16)?;
    let (method, target, is_http11) = request_line(first)?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = field(line)?;
        headers.push((name.to_lowercase(), name, value));
    }
    let all = |name: &str| -> Vec<Vec<u8>> {
        headers.iter().filter(|(n, _, _)| n == name).map(|(_, _, value)| value.clone()).collect()
    };
    let (form_ok, authority) = target_form(&method, &target);
    if !form_ok {
        return Err(400);
    }
    let hosts = all("host");
    if hosts.len() > 1 || (hosts.is_empty() && is_http11) {
        return Err(400);
    }
    if hosts.iter().any(|host| !is_authority(host)) {
        return Err(400);
    }
    let body = framing(&all("content-length"), &all("transfer-encoding"), is_http11)?;
    let tokens: Vec<String> = all("connection")
        .iter()
        .flat_map(|value| {
            value.split(|&b| b == b',').map(|t| String::from_utf8_lossy(trim(t)).to_lowercase()).collect::<Vec<_>>()
        })
        .collect();
    let has = |token: &str| tokens.iter().any(|t| t == token);
    let expects_unknown = all("expect").iter().any(|value| !value.eq_ignore_ascii_case(b"100-continue"));
    Ok(Some(Head {
        consumed: skipped + end,
        host: authority.or(hosts.first().map(|host| String::from_utf8_lossy(host).into_owned())),
        method,
        target,
        is_http11,
        headers: headers.into_iter().map(|(_, name, value)| (name, value)).collect(),
        expects_unknown,
        keep_alive: !has("close") && (is_http11 || has("keep-alive")),
        body,
    }))
}

/// What a head takes, and its lines without the empty one.
type Lines<'b> = (usize, Vec<&'b [u8]>);

/// Splits a head into lines; `None` while it has no end.
fn head_lines(bytes: &[u8], accept_bare_lf: bool) -> Result<Option<Lines<'_>>, u16> {
    // The end of a head is an empty line. One with other line ends is over as well, and then refused.
    let Some(end) = end_of_head(bytes) else {
        return Ok(None);
    };
    let text = &bytes[..end];
    let is_bare = |i: usize| text[i] == b'\n' && (i == 0 || text[i - 1] != b'\r');
    let is_lone_cr = |i: usize| text[i] == b'\r' && text[i + 1] != b'\n';
    if (0..text.len()).any(|i| (!accept_bare_lf && is_bare(i)) || is_lone_cr(i)) {
        return Err(400);
    }
    let mut lines: Vec<&[u8]> =
        text.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    // The empty line, and nothing behind it.
    lines.truncate(lines.len() - 2);
    Ok(Some((end, lines)))
}

/// What the reference reads of a response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) consumed: usize,
    pub(crate) status: u16,
    pub(crate) reason: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) keep_alive: bool,
    pub(crate) body: ResponseFraming,
}

/// `None` for an incomplete head, any status for one to refuse.
pub(crate) fn parse_response(bytes: &[u8], method: &str) -> Result<Option<Response>, u16> {
    let Some((consumed, lines)) = head_lines(bytes, false)? else {
        return Ok(None);
    };
    let (first, lines) = lines.split_first().ok_or(400u16)?;
    let (is_http11, status, reason) = status_line(first)?;
    let headers = lines.iter().map(|line| field(line)).collect::<Result<Vec<_>, u16>>()?;
    let all = |name: &str| -> Vec<Vec<u8>> {
        headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone()).collect()
    };
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    // RFC 9112 6.3, in its order.
    let body = match status {
        101 => ResponseFraming::Tunnel,
        200..=299 if method == "CONNECT" => ResponseFraming::Tunnel,
        100..=199 | 204 | 304 => ResponseFraming::Body(BodyFraming::None),
        _ if method == "HEAD" => ResponseFraming::Body(BodyFraming::None),
        _ if lengths.is_empty() && codings.is_empty() => ResponseFraming::UntilClose,
        _ => ResponseFraming::Body(framing(&lengths, &codings, is_http11)?),
    };
    // Whatever the status says, a line that is malformed or repeated is refused.
    if lengths.len() > 1 || lengths.iter().any(|length| framing(std::slice::from_ref(length), &[], true) == Err(400)) {
        return Err(400);
    }
    if !codings.is_empty() && framing(&[], &codings, true) == Err(400) && !is_unfinished(&codings) {
        return Err(400);
    }
    let tokens = all("connection").join(&b',');
    let has = |token: &str| tokens.split(|&b| b == b',').any(|item| trim(item).eq_ignore_ascii_case(token.as_bytes()));
    let keep_alive = !has("close") && (is_http11 || has("keep-alive")) && matches!(body, ResponseFraming::Body(_));
    Ok(Some(Response { consumed, status, reason, headers, keep_alive, body }))
}

/// Whether the codings are well-formed and only lack a final `chunked`.
fn is_unfinished(codings: &[Vec<u8>]) -> bool {
    let mut codings = codings.to_vec();
    codings.push(b"chunked".to_vec());
    framing(&[], &codings, true) == Err(501)
}

/// `HTTP-version SP status-code [ SP reason-phrase ]`; some servers leave out the space together with the phrase.
fn status_line(line: &[u8]) -> Result<(bool, u16, Vec<u8>), u16> {
    let (version, rest) = line.split_at_checked(b"HTTP/1.1 ".len()).ok_or(400u16)?;
    let is_http11 = match version {
        b"HTTP/1.0 " => false,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9', b' '] => true,
        _ => return Err(400),
    };
    let (status, reason) = rest.split_at_checked(3).ok_or(400u16)?;
    if !status.iter().all(u8::is_ascii_digit) || status[0] == b'0' {
        return Err(400);
    }
    let reason = match reason {
        [] => &[],
        [b' ', reason @ ..] => reason,
        _ => return Err(400),
    };
    if !reason.iter().all(|&b| is_text(b)) {
        return Err(400);
    }
    let status = status.iter().fold(0, |status, digit| 10 * status + u16::from(digit - b'0'));
    Ok((is_http11, status, reason.to_vec()))
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for (i, &b) in bytes.iter().enumerate() {
        if b == b'\n' {
            let line = &bytes[line_start..i];
            if line.is_empty() || line == b"\r" {
                return Some(i + 1);
            }
            line_start = i + 1;
        }
    }
    None
}

fn request_line(line: &[u8]) -> Result<(String, String, bool), u16> {
    let parts: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err(400);
    };
    if !is_token(method) || target.is_empty() || target.iter().any(|&b| b <= 32 || b == 127) {
        return Err(400);
    }
    if method.len() > 64 {
        return Err(501);
    }
    let is_http11 = match version {
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => true,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(505),
        _ => return Err(400),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(method), text(target), is_http11))
}

/// Whether the target fits the method, and the authority it names.
fn target_form(method: &str, target: &str) -> (bool, Option<String>) {
    if target.bytes().any(|b| !b.is_ascii_graphic() || b"\"<>#".contains(&b)) {
        return (false, None);
    }
    if method == "CONNECT" {
        let has_port = target
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && !port.is_empty() && port.bytes().any(|b| b != b'0'));
        return (has_port && is_authority(target.as_bytes()), Some(target.to_string()));
    }
    let lower = target.to_lowercase();
    let path_ok = |path: &str| {
        let path = path.split('?').next().unwrap_or_default();
        !path.contains('\\') && !path.contains("%00")
    };
    if target.starts_with('/') {
        (path_ok(target), None)
    } else if target == "*" {
        (method == "OPTIONS", None)
    } else if lower.starts_with("http://") || lower.starts_with("https://") {
        let rest = &target[target.find("//").unwrap() + 2..];
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        (is_authority(&rest.as_bytes()[..end]) && path_ok(&rest[end..]), Some(rest[..end].to_string()))
    } else {
        (false, None)
    }
}

fn is_authority(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).into_owned();
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') => (&text[..colon], &text[colon + 1..]),
        _ => (&text[..], ""),
    };
    let port_ok = port.is_empty() || (port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let host_ok = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&b))
                && host.split('%').skip(1).all(|rest| {
                    let digits = rest.as_bytes().get(..2);
                    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit) && digits != b"00")
                })
        }
    };
    host_ok && port_ok
}

fn framing(lengths: &[Vec<u8>], codings: &[Vec<u8>], is_http11: bool) -> Result<BodyFraming, u16> {
    if lengths.len() > 1 || (!lengths.is_empty() && !codings.is_empty()) {
        return Err(400);
    }
    if let Some(length) = lengths.first() {
        let text = std::str::from_utf8(length).map_err(|_| 400u16)?;
        let has_zeros = text.len() > 1 && text.starts_with('0');
        if text.is_empty() || has_zeros || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(400);
        }
        let length: u64 = text.parse().map_err(|_| 400u16)?;
        return if length > MAX_BODY { Err(413) } else { Ok(BodyFraming::Length(length)) };
    }
    if codings.is_empty() {
        return Ok(BodyFraming::None);
    }
    // Several lines are one list.
    let list = codings.join(&b',');
    let items: Vec<String> =
        list.split(|&b| b == b',').map(|item| String::from_utf8_lossy(trim(item)).to_lowercase()).collect();
    let (last, before) = items.split_last().unwrap();
    if last != "chunked" || before.iter().any(|item| item == "chunked" || !is_token(item.as_bytes())) || !is_http11 {
        Err(400)
    } else if before.is_empty() {
        Ok(BodyFraming::Chunked)
    } else {
        Err(501)
    }
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !b" \t".contains(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !b" \t".contains(b)).map_or(start, |end| end + 1);
    &bytes[start..end]
}
