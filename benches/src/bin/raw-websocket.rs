//! The yardstick of WebSockets: the least that an echo takes on one thread.
//!
//! Level-triggered epoll, one `recv` and one `send` per wake-up. A message is unmasked where it was received, and leaves from
//! there with a head that is four bytes shorter. It has to come in one frame; nothing is checked. The first request on a
//! connection is answered with the handshake, whatever it says, for the key of RFC 6455 1.3.
//!
//! Run with `cargo run --release -p benches --bin raw-websocket -- --port 8080`.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use benches::{
    options::{ServerOptions, announce},
    process::raise_descriptor_limit,
};
use memchr::memmem;
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
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, interest(&listener))?;
    Server { epoll, listener, connections: Vec::new(), input: vec![0; 64 * 1024].into_boxed_slice() }.run()
}

struct Server {
    epoll: Epoll,
    listener: TcpListener,
    /// Indexed by descriptor, which is also what epoll is told.
    connections: Vec<Option<Connection>>,
    /// Where every `recv` goes.
    input: Box<[u8]>,
}

impl Server {
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
                } else if let Some(connection) = &mut self.connections[fd]
                    && connection.serve(&mut self.input).is_err()
                {
                    self.connections[fd] = None;
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
            self.epoll.add(&stream, interest(&stream))?;
            let fd = stream.as_raw_fd() as usize;
            if fd >= self.connections.len() {
                self.connections.resize_with(fd + 1, || None);
            }
            self.connections[fd] = Some(Connection { stream, is_upgraded: false, partial: Vec::new() });
        }
    }
}

struct Connection {
    stream: TcpStream,
    is_upgraded: bool,
    /// The beginning of a request or frame whose rest has not come; empty most of the time.
    partial: Vec<u8>,
}

impl Connection {
    /// One `recv`, one `send`. An error also stands for the end of the input, and for a peer that does not read its echoes.
    fn serve(&mut self, input: &mut [u8]) -> io::Result<()> {
        let kept = self.partial.len();
        input[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        let received = self.stream.read(&mut input[kept..])?;
        if received == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let input = &mut input[..kept + received];
        if self.is_upgraded {
            return self.echo(input);
        }
        match memmem::find(input, b"\r\n\r\n") {
            Some(_) => {
                self.is_upgraded = true;
                self.stream.write_all(SWITCHING)
            }
            None => {
                self.partial.extend_from_slice(input);
                Ok(())
            }
        }
    }

    /// Several frames of one `recv` leave in one `send`, each moved up to the one before it.
    fn echo(&mut self, input: &mut [u8]) -> io::Result<()> {
        let (mut start, mut end) = (0, 0);
        while let Some((payload, next)) = frame(&input[start..]) {
            let (payload, next) = (start + payload, start + next);
            if input[start] & 0xf == 8 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            unmask(&mut input[payload - 4..next]);
            input[start + 1] &= 0x7f;
            let head = payload - 4 - start;
            input.copy_within(start..start + head, end);
            input.copy_within(payload..next, end + head);
            end += next - start - 4;
            start = next;
        }
        self.partial.extend_from_slice(&input[start..]);
        if end > 0 { self.stream.write_all(&input[..end]) } else { Ok(()) }
    }
}

/// Where the payload of a masked frame begins, and where it ends. `None` if it is not whole.
fn frame(input: &[u8]) -> Option<(usize, usize)> {
    let (start, length) = match usize::from(input.get(1)? & 0x7f) {
        126 => (8, usize::from(u16::from_be_bytes(input.get(2..4)?.try_into().ok()?))),
        short => (6, short),
    };
    (input.len() >= start + length).then_some((start, start + length))
}

/// The key, and what it masks behind it.
fn unmask(masked: &mut [u8]) {
    let Some((&mut key, payload)) = masked.split_first_chunk_mut::<4>() else { return };
    let mut wide = [0; 32];
    wide.as_chunks_mut::<4>().0.fill(key);
    let (blocks, rest) = payload.as_chunks_mut::<32>();
    for block in blocks {
        for (byte, key) in block.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    for (byte, key) in rest.iter_mut().zip(wide) {
        *byte ^= key;
    }
}

fn interest(stream: &impl AsRawFd) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, stream.as_raw_fd() as u64)
}

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
