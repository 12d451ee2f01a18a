//! Messages over WebSockets that come back.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use memchr::memmem;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::{
    session::wait,
    totals::{Stop, Totals},
};

/// WebSockets that have been echoed to once and wait for the next [`run`](EchoSession::run). Dropping it closes them.
#[derive(Debug)]
pub struct EchoSession {
    epoll: Epoll,
    connections: Vec<Connection>,
    /// What each sends: a binary message in one frame, masked.
    frame: Vec<u8>,
    /// What has to come back: the same in a frame of a server.
    echo: Vec<u8>,
    input: Box<[u8]>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// How much of the echo has come.
    received: usize,
}

impl EchoSession {
    /// Opens `count` WebSockets at `path`, and has a message of `size` bytes echoed over each.
    ///
    /// # Errors
    ///
    /// When a connection fails, or anything but the message comes back, also while running later.
    pub fn open(server: SocketAddr, path: &str, count: usize, size: usize) -> io::Result<EchoSession> {
        let message: Vec<u8> = (0..size).map(|i| b' ' + (i % 95) as u8).collect();
        let mut session = EchoSession {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            connections: Vec::with_capacity(count),
            frame: frame(&message, Some([0x37, 0xfa, 0x21, 0x3d])),
            echo: frame(&message, None),
            input: vec![0; 64 * 1024].into_boxed_slice(),
        };
        for index in 0..count {
            let stream = upgrade(server, path)?;
            session.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
            session.connections.push(Connection { stream, received: 0 });
        }
        session.run(Stop::after_requests(count as u64))?;
        Ok(session)
    }

    /// Has one message after the other echoed over every connection, until `stop`.
    ///
    /// # Errors
    ///
    /// When a connection breaks, or no echo comes for 30 seconds.
    pub fn run(&mut self, mut stop: Stop) -> io::Result<Totals> {
        let started = Instant::now();
        let mut totals = Totals { connections: self.connections.len() as u64, ..Totals::default() };
        let mut busy = 0;
        for connection in &mut self.connections {
            busy += usize::from(connection.send(&self.frame, &mut stop)?);
        }
        let mut events = [EpollEvent::empty(); 256];
        while busy > 0 {
            let count = wait(&self.epoll, &mut events)?;
            for event in &events[..count] {
                let connection = &mut self.connections[event.data() as usize];
                let before = connection.received;
                totals.bytes += connection.receive(&mut self.input, &self.echo)?;
                // A ping by itself changes nothing.
                if connection.received == self.echo.len() && connection.received != before {
                    totals.requests += 1;
                    busy -= usize::from(!connection.send(&self.frame, &mut stop)?);
                }
            }
        }
        totals.elapsed = started.elapsed();
        Ok(totals)
    }
}

impl Connection {
    /// Sends a message, unless the run is over. It fits into every send buffer.
    fn send(&mut self, frame: &[u8], stop: &mut Stop) -> io::Result<bool> {
        self.received = 0;
        if stop.take(1) == 0 {
            return Ok(false);
        }
        self.stream.write_all(frame)?;
        Ok(true)
    }

    /// One `recv`. What comes has to be the next part of the echo. A ping may be in front of it or behind, and is answered.
    fn receive(&mut self, input: &mut [u8], echo: &[u8]) -> io::Result<u64> {
        let received = self.stream.read(input)?;
        if received == 0 {
            return Err(io::Error::other("the server closed a WebSocket"));
        }
        let mut rest = &input[..received];
        while !rest.is_empty() {
            let is_between = self.received == 0 || self.received == echo.len();
            if let (true, [PING, length @ 0..126, payload @ ..]) = (is_between, rest) {
                let (payload, behind) = payload.split_at_checked(usize::from(*length)).ok_or(ErrorKind::InvalidData)?;
                self.stream.write_all(&pong(payload))?;
                rest = behind;
                continue;
            }
            let part = rest.len().min(echo.len() - self.received);
            if part == 0 || rest[..part] != echo[self.received..][..part] {
                let start = &rest[..rest.len().min(300)];
                return Err(io::Error::other(format!("not what was sent: {}", start.escape_ascii())));
            }
            self.received += part;
            rest = &rest[part..];
        }
        Ok(received as u64)
    }
}

const PING: u8 = 0x89;

/// Masked with zeros: there is nobody here to be protected from.
fn pong(payload: &[u8]) -> Vec<u8> {
    [&[0x8a, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

/// A connection after the handshake.
fn upgrade(server: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n")?;
    let mut answer = Vec::new();
    while memmem::find(&answer, b"\r\n\r\n").is_none() {
        let mut input = [0; 1024];
        let received = stream.read(&mut input)?;
        if received == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&input[..received]);
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        return Err(io::Error::other(format!("no WebSocket: {}", answer.escape_ascii())));
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// With the key of RFC 6455 1.3.
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A binary message in one frame.
fn frame(message: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut frame = vec![0x82];
    match message.len() {
        length @ 0..126 => frame.push(masked | length as u8),
        length => {
            frame.push(masked | 126);
            frame.extend(u16::try_from(length).expect("messages of less than 64 KiB").to_be_bytes());
        }
    }
    let key = key.inspect(|key| frame.extend(key)).unwrap_or_default();
    frame.extend(message.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
