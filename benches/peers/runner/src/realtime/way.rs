use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
};

/// What a client asks of a server, and how it gets its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A WebSocket that echoes every message.
    Echo,
    /// The same with permessage-deflate.
    Deflate,
    /// A WebSocket that brings what is published.
    WebSocket,
    /// An event stream that brings what is published.
    Events,
    /// A request that is answered with what is published next.
    Poll,
}

impl Way {
    pub(super) const ALL: [Way; 5] = [Way::Echo, Way::Deflate, Way::WebSocket, Way::Events, Way::Poll];

    pub(super) fn path(self) -> &'static str {
        match self {
            Way::Echo => "/echo",
            Way::Deflate => "/deflate",
            Way::WebSocket => "/broadcast",
            Way::Events => "/events",
            Way::Poll => "/poll",
        }
    }

    pub(super) fn request(self) -> String {
        self.request_from("")
    }

    /// The request of a client that has seen everything up to `cursor`, if that is not empty.
    pub(super) fn request_from(self, cursor: &str) -> String {
        let query = if cursor.is_empty() { String::new() } else { format!("?cursor={cursor}") };
        let head = format!("GET {}{query} HTTP/1.1\r\nHost: localhost\r\n", self.path());
        let deflate = match self {
            Way::Deflate => {
                "Sec-WebSocket-Extensions: \
                 permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
            }
            _ => "",
        };
        match self {
            Way::Events => format!("{head}Accept: text/event-stream\r\n\r\n"),
            Way::Poll => format!("{head}\r\n"),
            _ => format!(
                "{head}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: {KEY}\r\n{deflate}\r\n"
            ),
        }
    }

    /// Connects and sends the request. What comes later is read without blocking.
    pub(super) fn connect(self, server: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.write_all(self.request().as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    /// How long the head is at the beginning of an answer; `None` while it is not complete. A wrong one is an error.
    pub(super) fn check_head(self, answer: &[u8]) -> io::Result<Option<usize>> {
        let Some(end) = find(answer, b"\r\n\r\n").map(|start| start + 4) else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&answer[..end]);
        let good = match self {
            Way::Events | Way::Poll => head.starts_with("HTTP/1.1 200 "),
            Way::Echo | Way::WebSocket => head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT),
            Way::Deflate => head.starts_with("HTTP/1.1 101 ") && head.contains("permessage-deflate"),
        };
        if good { Ok(Some(end)) } else { Err(io::Error::other(format!("bad answer: {}", head.escape_debug()))) }
    }
}

/// Where the first occurrence is.
pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The example of RFC 6455, 1.3, and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
