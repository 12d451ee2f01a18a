//! A connection per request.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::{
    answer::Expected,
    request::Request,
    session::{PATIENCE, wait},
    totals::{Stop, Totals},
};

/// Makes a new connection for each request, `concurrent` of them at any time, and closes it when its answer is complete.
///
/// The client closes first, without announcing it, so that all servers have the same to do whatever they think of `Connection`.
///
/// # Errors
///
/// When a connection fails, an answer is bad, or none comes for 30 seconds.
pub fn reconnect(server: SocketAddr, concurrent: usize, request: &Request, mut stop: Stop) -> io::Result<Totals> {
    let started = Instant::now();
    let mut client = Client {
        server,
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        expected: Expected::new(request.echoed()),
        places: (0..concurrent).map(|_| None).collect(),
        input: vec![0; 64 * 1024].into_boxed_slice(),
        totals: Totals::default(),
    };
    let mut busy = 0;
    for index in 0..concurrent {
        busy += usize::from(client.begin(index, request, &mut stop)?);
    }
    let mut events = [EpollEvent::empty(); 256];
    while busy > 0 {
        let count = wait(&client.epoll, &mut events)?;
        for event in &events[..count] {
            let index = event.data() as usize;
            if client.receive(index)? && !client.begin(index, request, &mut stop)? {
                busy -= 1;
            }
        }
    }
    client.totals.elapsed = started.elapsed();
    Ok(client.totals)
}

/// The body of the answer to one request over a connection of its own.
///
/// # Errors
///
/// When the connection fails, the answer is bad, or it takes longer than 30 seconds.
pub fn fetch(server: SocketAddr, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.bytes())?;
    let mut expected = Expected::new(request.echoed());
    let mut answer = Vec::new();
    let mut input = [0; 4096];
    loop {
        let received = stream.read(&mut input)?;
        if received == 0 {
            return Err(io::Error::other("the server closed before it answered"));
        }
        answer.extend_from_slice(&input[..received]);
        if let Some(end) = expected.check(&answer)? {
            answer.truncate(end);
            return Ok(answer.split_off(expected.head_length()));
        }
    }
}

struct Client {
    server: SocketAddr,
    epoll: Epoll,
    expected: Expected,
    /// The connections under way, each with what has come of its answer.
    places: Vec<Option<(TcpStream, Vec<u8>)>>,
    input: Box<[u8]>,
    totals: Totals,
}

impl Client {
    /// Connects and sends. Both block, which on the loopback means no more than a queue of the kernel.
    fn begin(&mut self, index: usize, request: &Request, stop: &mut Stop) -> io::Result<bool> {
        if stop.take(1) == 0 {
            return Ok(false);
        }
        let mut stream = TcpStream::connect(self.server)?;
        stream.write_all(request.bytes())?;
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        self.places[index] = Some((stream, Vec::new()));
        self.totals.connections += 1;
        Ok(true)
    }

    /// One `recv`; true when the answer is complete and its connection closed.
    fn receive(&mut self, index: usize) -> io::Result<bool> {
        let Some((stream, answer)) = self.places[index].as_mut() else {
            return Ok(false);
        };
        let received = stream.read(&mut self.input)?;
        if received == 0 {
            return Err(io::Error::other("the server closed before it answered"));
        }
        self.totals.bytes += received as u64;
        answer.extend_from_slice(&self.input[..received]);
        if self.expected.check(answer)?.is_none() {
            return Ok(false);
        }
        self.places[index] = None;
        self.totals.requests += 1;
        Ok(true)
    }
}
