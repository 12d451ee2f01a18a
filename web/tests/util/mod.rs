//! A server, and a client that speaks raw bytes to it. By default both are on the thread of the test, at the ends of streams
//! in memory; [`sockets`] has the same over TCP.

// Every test file includes this and uses its own part of it.
#![allow(dead_code, unreachable_pub)]

pub mod in_process;
pub mod pages;
pub mod refusal;
pub mod site;
pub mod sockets;

use std::{net::SocketAddr, rc::Rc, sync::mpsc::Receiver, time::Duration};

use web::{
    Application, HttpServer, IOLoop,
    httpserver::iostream::{IOStream, ioloop::VirtualClock},
    sleep,
    testing::TestClient,
};

/// A running application; it stops when this is dropped.
pub struct Server {
    host: Box<dyn Host>,
}

/// Where a server runs.
trait Host {
    fn connect(&self) -> Box<dyn Wire>;

    /// For those behind a socket.
    fn addr(&self) -> SocketAddr {
        panic!("it has no address")
    }

    /// Lets the server run until `is_done`.
    fn run_until(&self, is_done: &mut dyn FnMut() -> bool);
}

/// A connection.
trait Wire {
    fn send(&mut self, bytes: &[u8]);

    /// What came, and nothing at the end.
    fn receive(&mut self) -> Vec<u8>;

    fn shutdown_write(&self);
}

/// Serves an application on the thread of the test, on a clock that advances by itself. It runs while the test sends,
/// receives or [waits](Server::receive).
pub fn serve(build: impl FnOnce() -> Application) -> Server {
    serve_on(|| build().into_server())
}

/// The same for a server of any service.
pub fn serve_on(build: impl FnOnce() -> HttpServer) -> Server {
    let clock = VirtualClock::auto_advancing();
    let ioloop = Rc::new(TestLoop(IOLoop::builder().virtual_clock(&clock).build().expect("a loop")));
    let client = ioloop.run(async { TestClient::with_server(build()) });
    Server { host: Box::new(InMemory { ioloop, client }) }
}

struct InMemory {
    ioloop: Rc<TestLoop>,
    client: TestClient,
}

impl Host for InMemory {
    fn connect(&self) -> Box<dyn Wire> {
        let stream = self.ioloop.run(async { self.client.connect() });
        stream.set_half_open(true);
        Box::new(Memory { ioloop: Rc::clone(&self.ioloop), stream })
    }

    fn run_until(&self, is_done: &mut dyn FnMut() -> bool) {
        self.ioloop.run(async {
            while !is_done() {
                sleep(Duration::from_millis(1)).await;
            }
        });
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        // Drops what still waits, connections and handlers.
        self.ioloop.0.close();
    }
}

struct TestLoop(IOLoop);

impl TestLoop {
    /// An hour of a clock that advances by itself is over at once if nothing else happens: a missing answer fails the test
    /// instead of hanging it.
    fn run<F: Future>(&self, future: F) -> F::Output {
        self.0.try_run_sync(Some(Duration::from_secs(3600)), future).expect("something comes")
    }
}

struct Memory {
    ioloop: Rc<TestLoop>,
    stream: IOStream,
}

impl Wire for Memory {
    fn send(&mut self, bytes: &[u8]) {
        // What does not fit leaves while the answer is waited for.
        self.ioloop.run(async { drop(self.stream.write(bytes)) });
    }

    fn receive(&mut self) -> Vec<u8> {
        let received = self.ioloop.run(self.stream.read_some(64 * 1024));
        received.map(|bytes| bytes.to_vec()).unwrap_or_default()
    }

    fn shutdown_write(&self) {
        self.ioloop.run(self.stream.shutdown_write()).expect("it is open");
    }
}

impl Server {
    pub fn connect(&self) -> Client {
        Client { wire: self.host.connect(), received: Vec::new() }
    }

    pub fn addr(&self) -> SocketAddr {
        self.host.addr()
    }

    /// Waits for what a handler sends.
    pub fn receive<T>(&self, from: &Receiver<T>) -> T {
        let mut received = None;
        self.host.run_until(&mut || {
            received = from.try_recv().ok();
            received.is_some()
        });
        received.expect("it came")
    }

    /// Lets everything happen that is on its way.
    pub fn settle(&self) {
        let mut rest = 10;
        self.host.run_until(&mut || {
            rest -= 1;
            rest == 0
        });
    }

    pub fn get(&self, target: &str) -> Reply {
        self.send("GET", target, "", "")
    }

    /// One request on a connection of its own. `headers` are whole lines, each with its CRLF.
    pub fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> Reply {
        let mut client = self.connect();
        client.request(method, target, headers, body);
        client.reply_to(method)
    }

    pub fn post_form(&self, target: &str, form: &str) -> Reply {
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.send("POST", target, headers, form)
    }
}

/// One connection.
pub struct Client {
    wire: Box<dyn Wire>,
    received: Vec<u8>,
}

impl Client {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.send(bytes.as_ref());
    }

    pub fn request(&mut self, method: &str, target: &str, headers: &str, body: &str) {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}{length}\r\n{body}"));
    }

    /// A request whose headers need not be text.
    pub fn request_bytes(&mut self, method: &str, target: &str, headers: &[u8]) {
        let line = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        self.send([line.as_bytes(), headers, b"\r\n"].concat());
    }

    /// The next answer, to a request that was not HEAD.
    pub fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    pub fn reply_to(&mut self, method: &str) -> Reply {
        let mut reply = self.head();
        let has_body = method != "HEAD" && !matches!(reply.status, 204 | 304);
        if !has_body {
            return reply;
        }
        reply.body = if reply.header("transfer-encoding") == Some("chunked") {
            self.chunked()
        } else if let Some(length) = reply.header("content-length") {
            let length = length.parse().expect("a number");
            self.take(length)
        } else {
            self.rest()
        };
        reply
    }

    pub fn head(&mut self) -> Reply {
        let head = self.until(b"\r\n\r\n");
        let head = String::from_utf8(head).expect("heads are ASCII here");
        let status =
            head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
        Reply { status: status.unwrap_or_else(|| panic!("no status line: {head:?}")), head, body: Vec::new() }
    }

    /// The next chunk of a chunked body; empty at its end.
    pub fn chunk(&mut self) -> Vec<u8> {
        let line = String::from_utf8(self.until(b"\r\n")).expect("a chunk size");
        let size = usize::from_str_radix(line.trim(), 16).expect("a chunk size");
        let chunk = self.take(size);
        assert_eq!(self.take(2), b"\r\n");
        chunk
    }

    pub fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    pub fn take(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            assert!(self.receive(), "the connection ended too early");
        }
        self.received.drain(..length).collect()
    }

    /// The next line, with its end.
    pub fn line(&mut self) -> Vec<u8> {
        self.until(b"\r\n")
    }

    /// What still comes until the server closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    pub fn shutdown_write(&self) {
        self.wire.shutdown_write();
    }

    fn until(&mut self, delimiter: &[u8]) -> Vec<u8> {
        loop {
            let found = self.received.windows(delimiter.len()).position(|w| w == delimiter);
            if let Some(at) = found {
                return self.take(at + delimiter.len());
            }
            assert!(self.receive(), "the connection ended too early: {:?}", self.received);
        }
    }

    /// Whether something came.
    fn receive(&mut self) -> bool {
        let received = self.wire.receive();
        self.received.extend_from_slice(&received);
        !received.is_empty()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}
