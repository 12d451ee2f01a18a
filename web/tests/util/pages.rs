//! Pages that follow event streams over pairs in memory, on a clock that tests move.

use std::{future::Future, net::SocketAddr, time::Duration};

use web::{
    Application, HttpServer, IOLoop, ServerHandle,
    event_stream::{EventParser, ReceivedEvent},
    httpserver::iostream::{IOStream, ioloop::VirtualClock, memory},
};

/// Runs a test on a loop of its own, whose clock stands still unless it is advanced.
pub fn run_virtual<F: Future>(test: impl FnOnce(VirtualClock) -> F) -> F::Output {
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().expect("a loop");
    let output = ioloop.run_sync(test(clock));
    ioloop.close();
    output
}

/// A server of pairs in memory.
pub struct Host {
    server: HttpServer,
    pub handle: ServerHandle,
}

impl Host {
    pub fn new(application: Application) -> Host {
        let server = application.into_server();
        let handle = server.handle();
        Host { server, handle }
    }

    pub fn connect(&self) -> Page {
        self.connect_with(64 * 1024)
    }

    /// With so much room for what the page has not read.
    pub fn connect_with(&self, capacity: usize) -> Page {
        let (end, stream) = memory::pair(capacity);
        let server = self.server.clone();
        let peer: SocketAddr = "192.0.2.1:80".parse().expect("an address");
        IOLoop::current().spawn_detached(async move { server.serve_stream(end, Some(peer)).await });
        Page { stream, parser: EventParser::new() }
    }
}

/// One connection.
pub struct Page {
    pub stream: IOStream,
    pub parser: EventParser,
}

impl Page {
    /// `headers` are whole lines, each with its CRLF.
    pub async fn request(&self, method: &str, target: &str, headers: &str) {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
        self.stream.write(request.as_str()).await.expect("the server reads");
    }

    pub async fn head(&self) -> String {
        let head = self.stream.read_until(b"\r\n\r\n").await.expect("an answer");
        String::from_utf8(head.to_vec()).expect("heads are ASCII here")
    }

    /// Opens an event stream, and returns when its head is there.
    pub async fn open(&self, target: &str) -> String {
        self.request("GET", target, "").await;
        self.head().await
    }

    /// The next chunk of a chunked body; empty at its end.
    pub async fn chunk(&self) -> Vec<u8> {
        let line = self.stream.read_until(b"\r\n").await.expect("a chunk size");
        let line = std::str::from_utf8(&line).expect("a chunk size");
        let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
        let mut chunk = self.stream.read_bytes(size + 2).await.expect("a chunk").to_vec();
        assert_eq!(chunk.split_off(size), b"\r\n");
        chunk
    }

    pub async fn text(&self) -> String {
        String::from_utf8(self.chunk().await).expect("text")
    }

    /// Opens a WebSocket.
    pub async fn open_socket(&self, target: &str) {
        self.request("GET", target, UPGRADE).await;
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }

    /// The next frame: its opcode and its content.
    pub async fn frame(&self) -> (u8, Vec<u8>) {
        let mut frame = self.stream.read_bytes(2).await.expect("a frame").to_vec();
        loop {
            if let Some((opcode, content, _)) = split_frame(&frame) {
                return (opcode, content.to_vec());
            }
            frame.extend_from_slice(&self.stream.read_bytes(1).await.expect("all of it"));
        }
    }

    /// The next message, as text.
    pub async fn message(&self) -> String {
        let (opcode, content) = self.frame().await;
        assert_eq!(opcode, 1);
        String::from_utf8(content).expect("text")
    }

    /// The next event; `None` at the end of the stream.
    pub async fn event(&mut self) -> Option<ReceivedEvent> {
        loop {
            if let Some(event) = self.parser.next_event() {
                return Some(event);
            }
            let chunk = self.chunk().await;
            if chunk.is_empty() {
                return None;
            }
            self.parser.push(&chunk).expect("an event stream");
        }
    }
}

/// The opening of a WebSocket.
pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The first frame of a server, if it is complete: its opcode, its content, and what is behind it.
pub fn split_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (opcode, length) = (bytes.first()? & 0x0f, *bytes.get(1)?);
    let (length, rest) = match length {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().expect("two"))), bytes.get(4..)?),
        127 => panic!("a long frame"),
        length => (usize::from(length), bytes.get(2..)?),
    };
    (rest.len() >= length).then(|| (opcode, &rest[..length], &rest[length..]))
}

/// A frame of a client, with a mask of zeroes.
pub fn client_frame(opcode: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 126).expect("a short frame");
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0], content].concat()
}

pub const SECOND: Duration = Duration::from_secs(1);
