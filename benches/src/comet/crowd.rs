//! The clients of one process.

use std::{
    io::{self, ErrorKind},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use super::{
    Options, Tally,
    client::{Client, Progress},
    dial::source,
};

/// Clients that wait at servers, on one thread. Dropping it closes their connections.
#[derive(Debug)]
pub struct Crowd<'a> {
    options: &'a Options,
    epoll: Epoll,
    clients: Vec<Client>,
    input: Box<[u8]>,
    tally: Tally,
    /// What was [watched](Crowd::watch) beside the clients is readable.
    is_called: bool,
}

/// What epoll is told for that.
const CALL: u64 = u64::MAX;
/// How many clients connect before those who are there have their turn: fewer than a server's queue holds.
const OPENED_AT_ONCE: usize = 100;
/// How long a turn waits at most.
const TURN: Duration = Duration::from_millis(100);

impl<'a> Crowd<'a> {
    /// Connects all clients of the options, of which the first has the number `first` among those of all processes. When it
    /// returns, each is waiting, as far as clients can tell.
    ///
    /// # Errors
    ///
    /// When a connection cannot be made, or an answer is bad or does not come.
    pub fn open(options: &'a Options, first: usize) -> io::Result<Crowd<'a>> {
        let mut crowd = Crowd {
            options,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            clients: Vec::with_capacity(options.clients),
            input: vec![0; 64 * 1024].into_boxed_slice(),
            tally: Tally { clients: options.clients as u64, ..Tally::default() },
            is_called: false,
        };
        while crowd.clients.len() < options.clients {
            crowd.open_some(first)?;
        }
        Ok(crowd)
    }

    /// Waits a little for events and deals with them. Whether there were any.
    ///
    /// # Errors
    ///
    /// When an answer is bad, or a connection that ended cannot be made anew.
    pub fn turn(&mut self) -> io::Result<bool> {
        let mut events = [EpollEvent::empty(); 512];
        let timeout = EpollTimeout::try_from(TURN).map_err(io::Error::other)?;
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            result => result?,
        };
        for event in &events[..count] {
            match event.data() {
                CALL => self.is_called = true,
                index => self.receive(index as usize)?,
            }
        }
        Ok(count > 0)
    }

    /// Takes what comes until `caller` is readable.
    pub(super) fn turn_until_called(&mut self, caller: impl AsFd) -> io::Result<()> {
        self.epoll.add(&caller, EpollEvent::new(EpollFlags::EPOLLIN, CALL))?;
        while !self.is_called {
            self.turn()?;
        }
        Ok(self.epoll.delete(&caller)?)
    }

    /// Takes what is still on its way of so many messages, and returns what became of them.
    pub(super) fn finish(mut self, published: u64) -> io::Result<Tally> {
        let end = Instant::now() + self.options.patience;
        while Instant::now() < end && self.missing(published) > 0 {
            self.turn()?;
        }
        self.tally.lost += self.missing(published);
        Ok(self.tally)
    }

    fn missing(&self, published: u64) -> u64 {
        self.clients.iter().map(|client| client.seen.missing(published)).sum()
    }

    fn open_some(&mut self, first: usize) -> io::Result<()> {
        let servers = &self.options.servers;
        let opened = self.clients.len();
        for index in opened..self.options.clients.min(opened + OPENED_AT_ONCE) {
            let server = servers[(first + index) % servers.len()];
            let client = Client::open(self.options, server, source(server, first + index))?;
            self.epoll.add(&client.stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
            self.clients.push(client);
        }
        let end = Instant::now() + self.options.patience;
        while !self.clients[opened..].iter().all(|client| client.is_connected(self.options.kind)) {
            self.turn()?;
            if Instant::now() > end {
                let waiting = format!("{opened} clients are connected, and the next are not answered");
                return Err(io::Error::new(ErrorKind::TimedOut, waiting));
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        if client.receive(self.options, &mut self.input, &mut self.tally)? == Progress::Ended {
            self.tally.reconnects += 1;
            // The old stream leaves epoll with its descriptor.
            client.reconnect(self.options)?;
            self.epoll.add(&client.stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        }
        Ok(())
    }
}
