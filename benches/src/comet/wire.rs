//! The bytes between client and server: requests, and reading what comes back.

use std::{io, ops::Range};

use memchr::memmem;

use super::{message::last_cursor, options::Kind};

/// The request with which a client comes, or comes back with the cursor that it was told last.
pub(super) fn request(kind: Kind, path: &str, cursor: &str) -> String {
    let query = match (cursor, kind) {
        ("", _) | (_, Kind::Events) => String::new(),
        (cursor, _) => format!("?cursor={cursor}"),
    };
    let mut request = format!("GET {path}{query} HTTP/1.1\r\nHost: localhost\r\n");
    match kind {
        Kind::Poll => {}
        Kind::Events => {
            request += "Accept: text/event-stream\r\n";
            if !cursor.is_empty() {
                request += &format!("Last-Event-ID: {cursor}\r\n");
            }
        }
        Kind::WebSocket => request += UPGRADE,
    }
    request + "\r\n"
}

/// With the key of RFC 6455 1.3: nothing between here and there could take it for something else.
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its length, with the empty line.
    pub(super) length: usize,
    pub(super) body: Body,
}

/// How an answer goes on behind its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Length(usize),
    Chunked,
    UntilClose,
    WebSocket,
}

/// Reads a head, if it is there as a whole. Anything but the success that `kind` wants is an error.
pub(super) fn head(bytes: &[u8], kind: Kind) -> io::Result<Option<Head>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let text = str::from_utf8(&bytes[..end]).map_err(io::Error::other)?;
    let status = text.split(' ').nth(1).unwrap_or_default();
    let line = |name: &str| {
        let named = |line: &&str| line.split_once(':').is_some_and(|(its, _)| its.eq_ignore_ascii_case(name));
        text.lines().find(named).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    };
    let body = match (kind, status) {
        (Kind::WebSocket, "101") if line("sec-websocket-accept") == Some(ACCEPT) => Body::WebSocket,
        (Kind::Poll, "204") => Body::Length(0),
        (Kind::Poll | Kind::Events, "200") => match line("content-length") {
            Some(length) => Body::Length(length.parse().map_err(io::Error::other)?),
            None if line("transfer-encoding").is_some() => Body::Chunked,
            None => Body::UntilClose,
        },
        _ => return Err(io::Error::other(format!("a bad answer: {text}"))),
    };
    Ok(Some(Head { length: end + 4, body }))
}

/// The data of the chunk in front of `bytes`, and where the next one begins. An empty one is the last.
pub(super) fn chunk(bytes: &[u8]) -> io::Result<Option<(Range<usize>, usize)>> {
    let Some(line) = memmem::find(bytes, b"\r\n") else { return Ok(None) };
    let digits = str::from_utf8(&bytes[..line]).map_err(io::Error::other)?;
    let length = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
    let data = line + 2..line + 2 + length;
    let end = data.end + 2;
    Ok((bytes.len() >= end).then_some((data, end)))
}

/// What a server's frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Data,
    Ping,
    Pong,
    Close,
}

/// The frame in front of `bytes`: its kind, its payload, and where the next one begins.
pub(super) fn frame(bytes: &[u8]) -> io::Result<Option<(Frame, Range<usize>, usize)>> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    if first & 0x70 != 0 || second & 0x80 != 0 {
        return Err(io::Error::other("a frame with a reserved bit or a mask"));
    }
    let (start, length): (usize, usize) = match second {
        126 => match bytes.get(2..4) {
            Some(length) => (4, usize::from(length[0]) << 8 | usize::from(length[1])),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10) {
            Some(length) => (10, length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte))),
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    let kind = match first & 0xf {
        0..=2 => Frame::Data,
        8 => Frame::Close,
        9 => Frame::Ping,
        10 => Frame::Pong,
        _ => return Err(io::Error::other("a frame of an unknown kind")),
    };
    let end = start.saturating_add(length);
    Ok((bytes.len() >= end).then_some((kind, start..end, end)))
}

/// A client's frame. The mask is zero, so that the payload is itself: there is nobody here to be protected from.
pub(super) fn masked_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0xfe);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The cursor that a piece of a delivery tells, if it does.
pub(super) fn cursor_in(kind: Kind, bytes: &[u8]) -> Option<&str> {
    match kind {
        Kind::Poll | Kind::WebSocket => last_cursor(bytes),
        Kind::Events => {
            let lines = bytes.rsplit(|&byte| byte == b'\n').skip(1);
            let id = lines.filter_map(|line| line.strip_prefix(b"id:")).next()?;
            str::from_utf8(id).ok().map(str::trim)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_how_the_answer_goes_on() {
        let poll = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n";
        let body = |bytes: &[u8], kind| head(bytes, kind).map(|head| head.map(|head| head.body));
        assert_eq!(body(poll, Kind::Poll).unwrap(), Some(Body::Length(12)));
        assert_eq!(body(&poll[..20], Kind::Poll).unwrap(), None);
        let events = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(body(events, Kind::Events).unwrap(), Some(Body::Chunked));
        assert!(body(events, Kind::WebSocket).is_err());
        assert!(body(b"HTTP/1.1 503 No\r\n\r\n", Kind::Poll).is_err());
        let accepted = format!("HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n");
        assert_eq!(body(accepted.as_bytes(), Kind::WebSocket).unwrap(), Some(Body::WebSocket));
        assert!(body(b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\n\r\n", Kind::WebSocket).is_err());
    }

    #[test]
    fn frames_and_chunks_are_taken_when_they_are_whole() {
        let bytes = b"\x81\x02hi\x89\x00\x81\x7e\x00\x03abc";
        assert_eq!(frame(&bytes[..3]).unwrap(), None);
        assert_eq!(frame(bytes).unwrap(), Some((Frame::Data, 2..4, 4)));
        assert_eq!(frame(&bytes[4..]).unwrap(), Some((Frame::Ping, 2..2, 2)));
        assert_eq!(frame(&bytes[6..]).unwrap(), Some((Frame::Data, 4..7, 7)));
        assert!(frame(b"\x81\x82").is_err());
        assert_eq!(chunk(b"a\r\n0123456789\r").unwrap(), None);
        assert_eq!(chunk(b"a\r\n0123456789\r\n").unwrap(), Some((3..13, 15)));
        assert_eq!(chunk(b"0\r\n\r\n").unwrap(), Some((3..3, 5)));
        assert!(chunk(b"x\r\n").is_err());
        assert_eq!(masked_frame(1, b"hi"), b"\x81\x82\0\0\0\0hi");
    }

    #[test]
    fn clients_come_back_with_their_cursor() {
        assert!(request(Kind::Poll, "/poll", "").starts_with("GET /poll HTTP/1.1\r\n"));
        assert!(request(Kind::Poll, "/poll", "a.1").starts_with("GET /poll?cursor=a.1 HTTP/1.1\r\n"));
        let events = request(Kind::Events, "/events", "a.1");
        assert!(events.starts_with("GET /events HTTP/1.1\r\n") && events.contains("\r\nLast-Event-ID: a.1\r\n"));
        assert_eq!(cursor_in(Kind::Events, b"id: a.1\ndata: x\n\nid: a.2\ndata: y\n\n"), Some("a.2"));
    }
}
