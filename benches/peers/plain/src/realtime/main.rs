//! The yardstick of the realtime rows: the least that one thread has to do.
//!
//! Level-triggered epoll. An echo is one `recv`, unmasking in place and one `send`. A broadcast is as many bare `send`s of the same bytes
//! as there are receivers. Nothing is checked: the client is known, and so is its key.

mod connection;
mod deflate;
mod frame;

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    os::fd::AsRawFd,
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        socket::{Backlog, listen},
    },
};
use peers_http::Options;

use self::{
    connection::{Connection, Next},
    deflate::Deflate,
};

fn main() -> io::Result<()> {
    let listener = Options::from_arguments().listen();
    // std asks for 128, which a burst of connections overflows; calling it again changes the length of the queue.
    listen(&listener, Backlog::new(4096)?)?;
    Server::new(listener)?.run()
}

struct Server {
    epoll: Epoll,
    listener: TcpListener,
    /// Indexed by descriptor, which is also what epoll is told.
    connections: Vec<Option<Connection>>,
    /// Where every `recv` goes.
    input: Box<[u8]>,
    deflate: Deflate,
}

impl Server {
    fn new(listener: TcpListener) -> io::Result<Server> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, listener.as_raw_fd() as u64))?;
        Ok(Server {
            epoll,
            listener,
            connections: Vec::new(),
            input: vec![0; 64 * 1024].into_boxed_slice(),
            deflate: Deflate::new(),
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
                    self.serve(fd);
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
            stream.set_nodelay(true)?;
            let fd = stream.as_raw_fd() as usize;
            self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, fd as u64))?;
            if fd >= self.connections.len() {
                self.connections.resize_with(fd + 1, || None);
            }
            self.connections[fd] = Some(Connection::new(stream));
        }
    }

    fn serve(&mut self, fd: usize) {
        let Some(connection) = self.connections[fd].as_mut() else {
            return;
        };
        match connection.receive(&mut self.input, &mut self.deflate) {
            Ok(Next::Wait) => {}
            Ok(Next::Publish(message)) => self.publish(&message),
            Err(_) => self.connections[fd] = None,
        }
    }

    /// Sends a message to all who wait for one. It is encoded once for each way.
    fn publish(&mut self, message: &[u8]) {
        let encoded = connection::Encoded::new(message);
        for connection in &mut self.connections {
            if connection.as_mut().is_some_and(|connection| connection.send(&encoded).is_err()) {
                *connection = None;
            }
        }
    }
}
