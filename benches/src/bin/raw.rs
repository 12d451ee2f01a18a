//! The yardstick: the least a server has to do on one thread.
//!
//! Level-triggered epoll, one `recv` and one `send` per wake-up, accept until there is nothing more. A request ends where its empty
//! line is; nothing else of HTTP is looked at, except the length of a body to echo. All requests of one `recv` are answered in one
//! `send`. Every path answers "Hello, World!", but for `GET /json` and `POST /echo`.
//!
//! Run with `cargo run --release -p benches --bin raw -- --port 8080`.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use benches::{
    options::{ServerOptions, announce},
    process::raise_descriptor_limit,
};
use memchr::memmem::Finder;
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        socket::{Backlog, listen},
    },
};

fn main() -> io::Result<()> {
    let options = ServerOptions::from_env();
    raise_descriptor_limit()?;
    let listener = TcpListener::bind(options.socket_addr())?;
    // std asks for 128, which a burst of connections overflows; calling it again changes the length of the queue.
    listen(&listener, Backlog::new(4096)?)?;
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?)?;
    Server::new(listener)?.run()
}

struct Server {
    epoll: Epoll,
    listener: TcpListener,
    /// Indexed by descriptor, which is also what epoll is told.
    connections: Vec<Option<Connection>>,
    /// Where every `recv` goes.
    input: Box<[u8]>,
    /// The answers of one wake-up.
    output: Vec<u8>,
    end_of_head: Finder<'static>,
}

impl Server {
    fn new(listener: TcpListener) -> io::Result<Server> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, interest(&listener, EpollFlags::EPOLLIN))?;
        Ok(Server {
            epoll,
            listener,
            connections: Vec::new(),
            input: vec![0; 64 * 1024].into_boxed_slice(),
            output: Vec::with_capacity(64 * 1024),
            end_of_head: Finder::new(END_OF_HEAD),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result?,
            };
            for event in &events[..count] {
                let fd = event.data() as usize;
                if fd == self.listener.as_raw_fd() as usize {
                    self.accept()?;
                } else {
                    self.serve(fd, event.events());
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            self.epoll.add(&stream, interest(&stream, EpollFlags::EPOLLIN))?;
            let fd = stream.as_raw_fd() as usize;
            if fd >= self.connections.len() {
                self.connections.resize_with(fd + 1, || None);
            }
            self.connections[fd] = Some(Connection { stream, unanswered: Vec::new(), unsent: Vec::new() });
        }
    }

    fn serve(&mut self, fd: usize, events: EpollFlags) {
        let Some(connection) = self.connections[fd].as_mut() else {
            return;
        };
        let result = if events.contains(EpollFlags::EPOLLOUT) {
            connection.send_rest(&self.epoll)
        } else {
            connection.answer(&self.epoll, &mut self.input, &mut self.output, &self.end_of_head)
        };
        if result.is_err() {
            self.connections[fd] = None;
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a request whose rest has not come; empty but for large bodies.
    unanswered: Vec<u8>,
    /// What the kernel did not take; while there is some, nothing is read.
    unsent: Vec<u8>,
}

impl Connection {
    /// One `recv`, one `send`. An error also stands for the end of the input.
    fn answer(
        &mut self,
        epoll: &Epoll,
        input: &mut [u8],
        output: &mut Vec<u8>,
        end_of_head: &Finder<'_>,
    ) -> io::Result<()> {
        let received = self.stream.read(input)?;
        if received == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        output.clear();
        if self.unanswered.is_empty() {
            let answered = answer_all(&input[..received], output, end_of_head);
            self.unanswered.extend_from_slice(&input[answered..received]);
        } else {
            self.unanswered.extend_from_slice(&input[..received]);
            let answered = answer_all(&self.unanswered, output, end_of_head);
            self.unanswered = self.unanswered.split_off(answered);
        }
        if output.is_empty() {
            return Ok(());
        }
        self.send(epoll, output)
    }

    fn send(&mut self, epoll: &Epoll, output: &[u8]) -> io::Result<()> {
        let sent = match self.stream.write(output) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        if sent < output.len() {
            self.unsent = output[sent..].to_vec();
            epoll.modify(&self.stream, &mut interest(&self.stream, EpollFlags::EPOLLOUT))?;
        }
        Ok(())
    }

    fn send_rest(&mut self, epoll: &Epoll) -> io::Result<()> {
        let sent = self.stream.write(&self.unsent)?;
        self.unsent = self.unsent.split_off(sent);
        if self.unsent.is_empty() {
            epoll.modify(&self.stream, &mut interest(&self.stream, EpollFlags::EPOLLIN))?;
        }
        Ok(())
    }
}

/// Appends the answers to all complete requests in `input` and returns how far these reach.
fn answer_all(input: &[u8], output: &mut Vec<u8>, end_of_head: &Finder<'_>) -> usize {
    let mut start = 0;
    while let Some(found) = end_of_head.find(&input[start..]) {
        let end = start + found + END_OF_HEAD.len();
        let head = &input[start..end];
        if head.starts_with(b"POST") {
            let Some(body) = input.get(end..end.saturating_add(content_length(head))) else {
                break;
            };
            echo(body, output);
            start = end + body.len();
        } else {
            output.extend_from_slice(if head.starts_with(b"GET /json ") { JSON } else { PLAINTEXT });
            start = end;
        }
    }
    start
}

fn echo(body: &[u8], output: &mut Vec<u8>) {
    write!(
        output,
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nDate: {DATE}\r\n\r\n",
        body.len()
    )
    .expect("a Vec takes everything");
    output.extend_from_slice(body);
}

/// The value of Content-Length, 0 without one.
fn content_length(head: &[u8]) -> usize {
    head.split(|&byte| byte == b'\n')
        .filter_map(|line| line.split_at_checked(NAME.len()))
        .find(|(name, _)| name.eq_ignore_ascii_case(NAME))
        .and_then(|(_, value)| str::from_utf8(value).ok()?.trim().parse().ok())
        .unwrap_or(0)
}

fn interest(stream: &impl AsRawFd, events: EpollFlags) -> EpollEvent {
    EpollEvent::new(events, stream.as_raw_fd() as u64)
}

/// Without the first `\r`: the search then looks for `\n\r`, which no other line ends in, and saves some 70 instructions a request.
const END_OF_HEAD: &[u8] = b"\n\r\n";

const NAME: &[u8] = b"content-length:";

/// As long as a real one, so that the answers of all servers have about the same size.
const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

const PLAINTEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nHello, World!";

const JSON: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n{\"message\":\"Hello, World!\"}";
