//! Connections whose messages come back.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use flate2::{Decompress, FlushDecompress};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::{
    frame::{Frame, Opcode, masked},
    message::{self, DEFLATE_TAIL},
    poll::wait,
    way::{Way, find},
};

/// What is sent over and over.
pub(super) struct Message {
    pub(super) opcode: Opcode,
    pub(super) payload: Vec<u8>,
    pub(super) deflate: bool,
}

impl Message {
    pub(super) fn plain(opcode: Opcode, payload: Vec<u8>) -> Message {
        Message { opcode, payload, deflate: false }
    }

    pub(super) fn way(&self) -> Way {
        if self.deflate { Way::Deflate } else { Way::Echo }
    }

    pub(super) fn frame(&self) -> Vec<u8> {
        let compressed = self.deflate.then(|| message::compressed(&self.payload));
        masked(self.opcode, self.deflate, compressed.as_ref().unwrap_or(&self.payload))
    }
}

/// Open WebSockets, on each of which a message is under way while it [runs](EchoClient::run).
pub(super) struct EchoClient {
    epoll: Epoll,
    connections: Vec<Connection>,
    message: Message,
    frame: Vec<u8>,
    input: Box<[u8]>,
    inflated: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a frame whose rest has not come; mostly empty.
    partial: Vec<u8>,
}

impl EchoClient {
    /// Opens the connections and finishes their handshakes.
    pub(super) fn open(server: SocketAddr, connections: usize, message: Message) -> io::Result<EchoClient> {
        let mut client = EchoClient {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            connections: Vec::new(),
            frame: message.frame(),
            message,
            input: vec![0; 64 * 1024].into_boxed_slice(),
            inflated: Vec::with_capacity(64 * 1024),
        };
        let way = client.message.way();
        for index in 0..connections {
            let mut stream = way.connect(server)?;
            stream.set_nonblocking(false)?;
            let mut head = Vec::new();
            while way.check_head(&head)?.is_none() {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                head.push(byte[0]);
            }
            if way == Way::Deflate && find(&head, b"server_no_context_takeover").is_none() {
                return Err(io::Error::other("it keeps its window between messages, although asked not to"));
            }
            stream.set_nonblocking(true)?;
            client.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
            client.connections.push(Connection { stream, partial: Vec::new() });
        }
        Ok(client)
    }

    /// Sends so many messages over all connections together, and waits until they have come back.
    pub(super) fn run(&mut self, messages: u64) -> io::Result<()> {
        let mut unsent = messages;
        let mut awaited = messages;
        for index in 0..self.connections.len() {
            self.send_next(index, &mut unsent)?;
        }
        let mut events = [EpollEvent::empty(); 256];
        while awaited > 0 {
            let count = wait(&self.epoll, &mut events)?;
            for event in &events[..count] {
                let index = event.data() as usize;
                for _ in 0..self.receive(index)? {
                    awaited -= 1;
                    self.send_next(index, &mut unsent)?;
                }
            }
        }
        Ok(())
    }

    fn send_next(&mut self, index: usize, unsent: &mut u64) -> io::Result<()> {
        if *unsent > 0 {
            *unsent -= 1;
            send(&mut self.connections[index].stream, &self.frame)?;
        }
        Ok(())
    }

    /// One `recv`. Returns how many messages have come back.
    fn receive(&mut self, index: usize) -> io::Result<usize> {
        let connection = &mut self.connections[index];
        let kept = connection.partial.len();
        self.input[..kept].copy_from_slice(&connection.partial);
        connection.partial.clear();
        let received = connection.stream.read(&mut self.input[kept..])?;
        if received == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed a connection"));
        }
        let mut input = &self.input[..kept + received];
        let mut messages = 0;
        while let Some(frame) = Frame::parse(input)? {
            let payload = &input[frame.payload.clone()];
            match frame.opcode {
                Opcode::Ping => send(&mut connection.stream, &masked(Opcode::Pong, false, payload))?,
                Opcode::Pong => {}
                opcode => {
                    check(&self.message, opcode, frame.compressed, payload, &mut self.inflated)?;
                    messages += 1;
                }
            }
            input = &input[frame.payload.end..];
        }
        connection.partial.extend_from_slice(input);
        Ok(messages)
    }
}

/// A message has to come back as it went, and compressed where that was agreed upon.
fn check(sent: &Message, opcode: Opcode, compressed: bool, payload: &[u8], inflated: &mut Vec<u8>) -> io::Result<()> {
    let text = if compressed {
        inflated.clear();
        let mut decompress = Decompress::new(false);
        for part in [payload, &DEFLATE_TAIL] {
            decompress.decompress_vec(part, inflated, FlushDecompress::Sync)?;
        }
        &inflated[..]
    } else {
        payload
    };
    if opcode == sent.opcode && compressed == sent.deflate && text == sent.payload {
        return Ok(());
    }
    Err(io::Error::other(format!("another message came back: {opcode:?}, {} bytes", payload.len())))
}

/// There is always room: no more than one message is under way on a connection.
pub(super) fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    if stream.write(bytes)? == bytes.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}
