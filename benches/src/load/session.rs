//! Keep-alive connections to one server.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    ops::Range,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use super::{
    answer::Expected,
    request::Request,
    totals::{Stop, Totals},
};

/// Connections that have each been answered once and wait for the next [`run`](Session::run). Dropping it closes them.
#[derive(Debug)]
pub struct Session {
    epoll: Epoll,
    connections: Vec<Connection>,
    expected: Expected,
    /// As many copies of the request as may be under way on one connection.
    batch: Vec<u8>,
    request_length: usize,
    depth: u64,
    input: Box<[u8]>,
}

impl Session {
    /// Opens `count` connections and sends one request over each, so that all are accepted and warm when this returns.
    ///
    /// # Errors
    ///
    /// When a connection fails or an answer is bad, also while running later.
    pub fn open(server: SocketAddr, count: usize, depth: usize, request: Request) -> io::Result<Session> {
        let mut session = Session {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            connections: Vec::with_capacity(count),
            expected: Expected::new(request.echoed()),
            batch: request.bytes().repeat(depth),
            request_length: request.bytes().len(),
            depth: depth as u64,
            input: vec![0; 64 * 1024].into_boxed_slice(),
        };
        while session.connections.len() < count {
            let opened = session.connections.len();
            // A few at a time: a full accept queue would delay the rest by a second.
            let more = (count - opened).min(OPENED_AT_ONCE);
            for index in opened..opened + more {
                session.connect(server, index)?;
            }
            session.exchange(opened..opened + more, 1, Stop::after_requests(more as u64))?;
        }
        Ok(session)
    }

    /// Keeps every connection busy until `stop`, then waits for the last answers.
    ///
    /// # Errors
    ///
    /// When a connection breaks, an answer is bad, or none comes for 30 seconds.
    pub fn run(&mut self, stop: Stop) -> io::Result<Totals> {
        self.exchange(0..self.connections.len(), self.depth, stop)
    }

    /// Sends one request over every connection and does not wait for the answers. [`finish`](Session::finish) does.
    ///
    /// # Errors
    ///
    /// When a connection is broken.
    pub fn send_and_hold(&mut self, request: &Request) -> io::Result<()> {
        self.expected = Expected::new(request.echoed());
        self.batch = request.bytes().to_vec();
        self.request_length = self.batch.len();
        self.depth = 1;
        for connection in &mut self.connections {
            connection.begin(&self.epoll, &self.batch, 1, self.batch.len())?;
        }
        Ok(())
    }

    /// Waits for the answers to what [`send_and_hold`](Session::send_and_hold) has sent.
    ///
    /// # Errors
    ///
    /// As [`run`](Session::run).
    pub fn finish(&mut self) -> io::Result<Totals> {
        self.exchange(0..0, 1, Stop::after_requests(0))
    }

    fn connect(&mut self, server: SocketAddr, index: usize) -> io::Result<()> {
        let stream = TcpStream::connect(server)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        self.connections.push(Connection::new(stream, index));
        Ok(())
    }

    fn exchange(&mut self, connections: Range<usize>, depth: u64, mut stop: Stop) -> io::Result<Totals> {
        let started = Instant::now();
        let mut totals = Totals { connections: connections.len() as u64, ..Totals::default() };
        for index in connections {
            self.send_next(index, depth, &mut stop)?;
        }
        let mut busy = self.connections.iter().filter(|c| c.awaited > 0).count();
        let mut events = [EpollEvent::empty(); 256];
        while busy > 0 {
            let count = wait(&self.epoll, &mut events)?;
            for event in &events[..count] {
                let index = event.data() as usize;
                if event.events().contains(EpollFlags::EPOLLOUT) {
                    self.connections[index].send(&self.epoll, &self.batch, true)?;
                    continue;
                }
                let connection = &mut self.connections[index];
                connection.receive(&mut self.input, &mut self.expected, &mut totals)?;
                if connection.awaited == 0 && !self.send_next(index, depth, &mut stop)? {
                    busy -= 1;
                }
            }
        }
        totals.elapsed = started.elapsed();
        Ok(totals)
    }

    /// Sends the next batch over an idle connection, unless the run is over.
    fn send_next(&mut self, index: usize, depth: u64, stop: &mut Stop) -> io::Result<bool> {
        let requests = stop.take(depth);
        if requests > 0 {
            let length = requests as usize * self.request_length;
            self.connections[index].begin(&self.epoll, &self.batch, requests, length)?;
        }
        Ok(requests > 0)
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    index: usize,
    /// Answers that have not come yet.
    awaited: u64,
    /// The part of the batch the kernel has not taken yet; empty but for large bodies.
    unsent: Range<usize>,
    /// The beginning of an answer whose rest has not come.
    partial: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream, index: usize) -> Connection {
        Connection { stream, index, awaited: 0, unsent: 0..0, partial: Vec::new() }
    }

    fn begin(&mut self, epoll: &Epoll, batch: &[u8], awaited: u64, length: usize) -> io::Result<()> {
        self.awaited = awaited;
        self.unsent = 0..length;
        self.send(epoll, batch, false)
    }

    /// `resumed`: whether an earlier call has left something, and with it an interest in writing.
    fn send(&mut self, epoll: &Epoll, batch: &[u8], resumed: bool) -> io::Result<()> {
        let sent = match self.stream.write(&batch[self.unsent.clone()]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        self.unsent.start += sent;
        let interest = if !self.unsent.is_empty() {
            EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT
        } else if resumed {
            EpollFlags::EPOLLIN
        } else {
            return Ok(());
        };
        Ok(epoll.modify(&self.stream, &mut EpollEvent::new(interest, self.index as u64))?)
    }

    /// One `recv`, and a check of every answer that is complete.
    fn receive(&mut self, input: &mut [u8], expected: &mut Expected, totals: &mut Totals) -> io::Result<()> {
        let received = self.stream.read(input)?;
        if received == 0 {
            let awaited = self.awaited;
            return Err(io::Error::other(format!("the server closed a connection that awaits {awaited} answers")));
        }
        totals.bytes += received as u64;
        if self.partial.is_empty() {
            let checked = self.check_all(&input[..received], expected, totals)?;
            self.partial.extend_from_slice(&input[checked..received]);
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(&input[..received]);
            let checked = self.check_all(&partial, expected, totals)?;
            // In place: a long answer comes in many pieces, of which none but the last completes it.
            partial.drain(..checked);
            self.partial = partial;
        }
        Ok(())
    }

    fn check_all(&mut self, input: &[u8], expected: &mut Expected, totals: &mut Totals) -> io::Result<usize> {
        let mut start = 0;
        while start < input.len() {
            if self.awaited == 0 {
                return Err(io::Error::other("more answers than requests"));
            }
            let Some(length) = expected.check(&input[start..])? else {
                break;
            };
            start += length;
            self.awaited -= 1;
            totals.requests += 1;
        }
        Ok(start)
    }
}

/// Waits for events, but not forever: a server that swallows a request must not hang the measurement.
pub(super) fn wait(epoll: &Epoll, events: &mut [EpollEvent]) -> io::Result<usize> {
    let patience = EpollTimeout::try_from(PATIENCE).map_err(io::Error::other)?;
    loop {
        match epoll.wait(events, patience) {
            Err(Errno::EINTR) => {}
            Ok(0) => return Err(io::Error::new(ErrorKind::TimedOut, "no answer for 30 s")),
            result => return Ok(result?),
        }
    }
}

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

const OPENED_AT_ONCE: usize = 100;
