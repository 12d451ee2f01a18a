//! A server on a thread of its own, and a client that speaks raw bytes to it.

// Every test file includes this and uses its own part of it.
#![allow(dead_code, unreachable_pub)]

pub mod in_process;
pub mod pages;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use web::{Application, HttpServer, IOLoop};

/// A running application; it stops when this is dropped.
pub struct Server {
    pub addr: SocketAddr,
    stop: Option<Box<dyn FnOnce()>>,
    thread: Option<JoinHandle<()>>,
}

/// Builds the application on the thread that will serve it: it cannot leave that thread.
pub fn serve(build: impl FnOnce() -> Application + Send + 'static) -> Server {
    serve_on(|| build().into_server())
}

/// The same for a server of any service.
pub fn serve_on(build: impl FnOnce() -> HttpServer + Send + 'static) -> Server {
    let (ready, started) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let server = build().listen(("127.0.0.1", 0)).expect("a free port");
        let ioloop = IOLoop::current();
        let addr = server.local_addrs()[0];
        ready.send((addr, ioloop.handle())).expect("the test waits");
        ioloop.start();
        // Drops what still waits, connections and handlers, while the thread is alive.
        ioloop.close();
    });
    let (addr, handle) = started.recv().expect("the application could be built");
    Server {
        addr,
        stop: Some(Box::new(move || {
            let _ = handle.stop();
        })),
        thread: Some(thread),
    }
}

impl Server {
    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
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

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(result.is_ok() || std::thread::panicking(), "the loop panicked");
        }
    }
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect(addr).expect("the server listens");
        // So that a missing answer fails the test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out can be set");
        Client { stream, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
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

    /// What still comes until the server closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.received)
    }

    pub fn shutdown_write(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("it is open");
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
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(n) => {
                self.received.extend_from_slice(&chunk[..n]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
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
