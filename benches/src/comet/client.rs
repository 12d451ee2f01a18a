//! One client: a connection, and what it has seen.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use super::{
    Tally,
    dial::dial,
    message::{find_all, now},
    options::{Kind, Options},
    seen::Seen,
    wire::{self, Body, Frame},
};

#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    server: SocketAddr,
    source: Option<Ipv4Addr>,
    /// How the answer goes on; `None` before its head.
    body: Option<Body>,
    /// What came and is not whole; empty most of the time.
    partial: Vec<u8>,
    cursor: String,
    pub(super) seen: Seen,
}

/// What became of a client when bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits.
    Waits,
    /// The connection ended. It can be made [anew](Client::reconnect).
    Ended,
}

impl Client {
    /// Connects and asks. Both block, which on the loopback means no more than a queue of the kernel.
    pub(super) fn open(options: &Options, server: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<Client> {
        let stream = dial(server, source)?;
        let mut client = Client {
            stream,
            server,
            source,
            body: None,
            partial: Vec::new(),
            cursor: String::new(),
            seen: Seen::default(),
        };
        client.ask(options)?;
        Ok(client)
    }

    /// Whether the server has it among those that wait, as far as a client can tell.
    pub(super) fn is_connected(&self, kind: Kind) -> bool {
        match kind {
            // It was told a cursor, and asks with that: whatever is published now reaches it.
            Kind::Poll => !self.cursor.is_empty(),
            Kind::Events | Kind::WebSocket => self.body.is_some(),
        }
    }

    /// Comes back with the cursor.
    pub(super) fn reconnect(&mut self, options: &Options) -> io::Result<()> {
        self.stream = dial(self.server, self.source)?;
        self.body = None;
        self.partial = Vec::new();
        self.ask(options)
    }

    fn ask(&mut self, options: &Options) -> io::Result<()> {
        // A request fits into every send buffer.
        self.stream.write_all(wire::request(options.kind, &options.path, &self.cursor).as_bytes())
    }

    /// One `recv`, and all that it completes.
    pub(super) fn receive(&mut self, options: &Options, input: &mut [u8], tally: &mut Tally) -> io::Result<Progress> {
        let received = match self.stream.read(input) {
            Ok(0) => return Ok(Progress::Ended),
            Ok(received) => received,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Progress::Waits);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Progress::Ended),
            Err(error) => return Err(error),
        };
        tally.bytes += received as u64;
        if self.partial.is_empty() {
            return self.take(options, &input[..received], tally);
        }
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(&input[..received]);
        self.take(options, &bytes, tally)
    }

    fn take(&mut self, options: &Options, mut bytes: &[u8], tally: &mut Tally) -> io::Result<Progress> {
        loop {
            let Some((used, progress)) = self.step(options, bytes, tally)? else {
                self.partial = bytes.to_vec();
                return Ok(Progress::Waits);
            };
            bytes = &bytes[used..];
            if progress == Progress::Ended || bytes.is_empty() {
                return Ok(progress);
            }
        }
    }

    /// Takes one piece from the front: a head, a body, a chunk or a frame. `None` when it is not whole.
    fn step(&mut self, options: &Options, bytes: &[u8], tally: &mut Tally) -> io::Result<Option<(usize, Progress)>> {
        let kind = options.kind;
        let Some(body) = self.body else {
            let Some(head) = wire::head(bytes, kind)? else { return Ok(None) };
            self.body = Some(head.body);
            if head.body == Body::Length(0) {
                self.answered(options)?;
            }
            return Ok(Some((head.length, Progress::Waits)));
        };
        match body {
            Body::Length(length) => {
                let Some(content) = bytes.get(..length) else { return Ok(None) };
                self.deliver(kind, content, options, tally);
                self.answered(options)?;
                Ok(Some((length, Progress::Waits)))
            }
            Body::Chunked => {
                let Some((data, end)) = wire::chunk(bytes)? else { return Ok(None) };
                if data.is_empty() {
                    return Ok(Some((end, Progress::Ended)));
                }
                self.deliver(kind, &bytes[data], options, tally);
                Ok(Some((end, Progress::Waits)))
            }
            Body::UntilClose => {
                // Events end in an empty line.
                let Some(end) = memchr::memmem::rfind(bytes, b"\n\n") else { return Ok(None) };
                self.deliver(kind, &bytes[..end + 2], options, tally);
                Ok(Some((end + 2, Progress::Waits)))
            }
            Body::WebSocket => {
                let Some((frame, payload, end)) = wire::frame(bytes)? else { return Ok(None) };
                match frame {
                    Frame::Data => self.deliver(kind, &bytes[payload], options, tally),
                    Frame::Ping => self.stream.write_all(&wire::masked_frame(10, &bytes[payload]))?,
                    Frame::Pong => {}
                    Frame::Close => return Ok(Some((end, Progress::Ended))),
                }
                Ok(Some((end, Progress::Waits)))
            }
        }
    }

    /// A poll was answered, and is asked again.
    fn answered(&mut self, options: &Options) -> io::Result<()> {
        self.body = None;
        self.ask(options)
    }

    fn deliver(&mut self, kind: Kind, bytes: &[u8], options: &Options, tally: &mut Tally) {
        if let Some(cursor) = wire::cursor_in(kind, bytes) {
            cursor.clone_into(&mut self.cursor);
        }
        let now = now();
        for (number, at) in find_all(bytes) {
            let latency = now.saturating_sub(at) / 1_000;
            tally.arrive(&mut self.seen, number, latency, options.late.as_micros() as u64);
        }
    }
}
