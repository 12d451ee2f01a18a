//! A second reader of request heads, slow and written to be compared with RFC 9112 line by line. It knows no limits and
//! judges complete heads only.

use httpserver::codec::BodyFraming;

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
    pub(crate) body: BodyFraming,
}

/// `None` for an incomplete head, a status for one to refuse.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Head>, u16> {
    let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let rest = &bytes[skipped..];
    // The end of a head is an empty line. One with other line ends is over as well, and then refused.
    let Some(end) = end_of_head(rest) else {
        return Ok(None);
    };
    let text = &rest[..end];
    if (0..text.len()).any(|i| (text[i] == b'\n') != (i > 0 && text[i - 1] == b'\r')) {
        return Err(400);
    }
    let text = text.strip_suffix(b"\r\n\r\n").ok_or(400u16)?;
    let mut lines = text.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (method, target, is_http11) = request_line(lines.next().unwrap_or_default())?;
    let mut headers = Vec::new();
    for line in lines {
        let colon = line.iter().position(|&b| b == b':').ok_or(400u16)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) || value.iter().any(|&b| (b < 32 && b != 9) || b == 127) {
            return Err(400);
        }
        headers.push((String::from_utf8_lossy(name).to_lowercase(), name.to_vec(), trim(value).to_vec()));
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
    Ok(Some(Head {
        consumed: skipped + end,
        host: authority.or(hosts.first().map(|host| String::from_utf8_lossy(host).into_owned())),
        method,
        target,
        is_http11,
        headers: headers
            .into_iter()
            .map(|(_, name, value)| (String::from_utf8_lossy(&name).into_owned(), value))
            .collect(),
        keep_alive: !has("close") && (is_http11 || has("keep-alive")),
        body,
    }))
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
    if lengths.len() > 1 || codings.len() > 1 || (lengths.len() + codings.len() > 1) {
        return Err(400);
    }
    if let Some(length) = lengths.first() {
        let text = std::str::from_utf8(length).map_err(|_| 400u16)?;
        let has_zeros = text.len() > 1 && text.starts_with('0');
        if text.is_empty() || has_zeros || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(400);
        }
        let length: u64 = text.parse().map_err(|_| 400u16)?;
        return if length > 100 * 1024 * 1024 { Err(413) } else { Ok(BodyFraming::Length(length)) };
    }
    let Some(coding) = codings.first() else {
        return Ok(BodyFraming::None);
    };
    let items: Vec<String> =
        coding.split(|&b| b == b',').map(|item| String::from_utf8_lossy(trim(item)).to_lowercase()).collect();
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
