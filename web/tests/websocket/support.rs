//! An application on this thread's loop, and clients that send frame by frame what they are told.

// Each file uses a part of this.
#![allow(dead_code, unreachable_pub)]

use std::{future::Future, net::SocketAddr, time::Duration};

use web::{
    Application, Bytes, IOLoop, Method, ServerHandle,
    httpserver::{
        Limits,
        codec::parse_response_head,
        iostream::{IOStream, Parsed, ioloop::VirtualClock, memory},
    },
    spawn,
    websocket::{
        CloseCode, CloseFrame, Message,
        codec::{Decoder, Encoder, Event, Role},
    },
    yield_now,
};

/// Far above what any test needs: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

pub const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Runs `future` on a loop of its own.
pub fn run<F: Future>(future: F) -> F::Output {
    let ioloop = IOLoop::new().expect("a loop");
    let output = ioloop.try_run_sync(Some(PATIENCE), future).expect("a test is not to hang");
    ioloop.close();
    output
}

/// Runs a test on a clock that it moves.
pub fn run_virtual<F: Future>(test: impl FnOnce(VirtualClock) -> F) -> F::Output {
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().expect("a loop");
    let output = ioloop.run_sync(test(clock));
    ioloop.close();
    output
}

/// Lets everything that is ready run.
pub async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// Waits until something holds.
pub async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// A server whose clients connect in memory.
pub struct Memory {
    server: web::HttpServer,
    pub handle: ServerHandle,
}

impl Memory {
    pub fn new(application: Application) -> Memory {
        let server = application.into_server();
        Memory { handle: server.handle(), server }
    }

    /// A connection on which nothing was sent, with so much on its way at most.
    pub fn connect(&self, capacity: usize) -> Peer {
        let (end, stream) = memory::pair(capacity);
        let server = self.server.clone();
        let _detached = spawn(async move { server.serve_stream(end, None).await });
        Peer::new(stream)
    }

    /// An open WebSocket at `/ws`.
    pub async fn open(&self) -> Peer {
        let mut peer = self.connect(64 * 1024);
        peer.upgrade("").await;
        peer
    }
}

/// The other end of a WebSocket, which does nothing by itself.
pub struct Peer {
    pub stream: IOStream,
    pub decoder: Decoder,
    pub encoder: Encoder,
}

impl Peer {
    pub fn new(stream: IOStream) -> Peer {
        stream.set_half_open(true);
        stream.set_max_buffer_size(64 * 1024 * 1024);
        let decoder = Decoder::new(Role::Client).max_message_size(64 * 1024 * 1024);
        Peer { stream, decoder, encoder: Encoder::new(Role::Client) }
    }

    pub async fn connect(addr: SocketAddr) -> Peer {
        Peer::new(IOStream::connect(addr).await.expect("the server listens"))
    }

    /// Sends the handshake, with more lines, and expects it to be accepted.
    pub async fn upgrade(&mut self, lines: &str) -> String {
        self.raw(format!("{HANDSHAKE}{lines}\r\n")).await;
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        head
    }

    /// The head of an answer.
    pub async fn head(&self) -> String {
        let head = self.stream.read_until(b"\r\n\r\n").await.expect("an answer");
        assert!(parse_response_head(&head, &Limits::default(), &Method::GET).is_ok_and(|parsed| parsed.is_some()));
        String::from_utf8(head.to_vec()).expect("text")
    }

    /// Sends bytes as they are. That the server has gone is no failure.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write(bytes.as_ref()).await;
    }

    pub async fn text(&mut self, text: &str) {
        let frame = self.encoder.text(text);
        self.raw(frame).await;
    }

    pub async fn binary(&mut self, bytes: &[u8]) {
        let frame = self.encoder.binary(bytes);
        self.raw(frame).await;
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned() };
        let frame = self.encoder.close(Some(&frame)).expect("a frame that can be sent");
        self.raw(frame).await;
    }

    /// The next event; `None` at the end of the stream.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            let decoded = self.stream.read_with(|bytes| {
                let mut rest = bytes;
                let event = self.decoder.decode(&mut rest).expect("a server that keeps to the protocol");
                Parsed::Done { consumed: bytes.len() - rest.len(), value: event }
            });
            match decoded.await {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
    }

    pub async fn message(&mut self) -> Message {
        match self.event().await {
            Some(Event::Message(message)) => message,
            other => panic!("a message, not {other:?}"),
        }
    }

    pub async fn expect_text(&mut self, text: &str) {
        assert_eq!(self.message().await, Message::from(text));
    }

    /// The server's close frame, and then the end of the connection.
    pub async fn expect_close(&mut self, code: impl Into<Option<u16>>) {
        let expected: Option<u16> = code.into();
        assert_eq!(self.close_frame().await, expected.map(CloseCode::from));
        assert_eq!(self.event().await, None);
    }

    /// The server's close frame.
    pub async fn close_frame(&mut self) -> Option<CloseCode> {
        match self.event().await {
            Some(Event::Close(frame)) => frame.map(|frame| frame.code),
            other => panic!("a close frame, not {other:?}"),
        }
    }

    /// All that comes until the end of the connection.
    pub async fn rest(&self) -> Bytes {
        self.stream.read_until_close().await.unwrap_or_default()
    }

    /// Whether the server has nothing to say.
    pub fn is_silent(&self) -> bool {
        self.stream.buffered() == 0 && !self.stream.is_readable()
    }
}
