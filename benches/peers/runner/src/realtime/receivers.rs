//! A process of its own that holds many clients of one server: no process may have as many descriptors as all clients together need.
//!
//! It is this same program, started with `receivers WAY SERVER COUNT`. It says `ready` when all clients are there, then takes orders from
//! standard input, one a line: `expect N` (said `expecting`, and `all` when every client has got the `N`th message) and `poll` (said
//! `polled` when every client has sent its next poll). It ends with its input, and when anything is wrong.

use std::{
    collections::HashSet,
    env,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use super::{
    echo::{Message, send},
    frame::{Frame, Opcode, masked},
    message,
    poll::wait,
    way::{Way, find},
};

/// The first argument of the process.
pub(crate) const RECEIVERS: &str = "receivers";

/// Does it when the command line asks for it.
pub(crate) fn run_if_asked() -> Option<io::Result<()>> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != RECEIVERS {
        return None;
    }
    let mut next = || arguments.next().unwrap_or_default();
    let (path, server, count) = (next(), next(), next());
    let way = Way::ALL.into_iter().find(|way| way.path() == path)?;
    Some(run(way, server.parse().ok()?, count.parse().ok()?))
}

fn run(way: Way, server: SocketAddr, count: usize) -> io::Result<()> {
    let mut receivers = Receivers::open(way, server, count)?;
    say("ready")?;
    receivers.obey()
}

struct Receivers {
    way: Way,
    epoll: Epoll,
    clients: Vec<Client>,
    input: Box<[u8]>,
    /// What the echo of an idle connection is.
    echoed: Vec<u8>,
    /// The message that is expected, and who has not got it.
    expected: Vec<u8>,
    missing: HashSet<usize>,
}

struct Client {
    stream: TcpStream,
    /// Whether the head of the answer, and the one echo, have been there.
    is_open: bool,
    /// What has come of something whose rest has not.
    partial: Vec<u8>,
    /// What the last answer to a poll says that the next one is to ask with. Not every server has such a thing.
    cursor: String,
}

impl Receivers {
    fn open(way: Way, server: SocketAddr, count: usize) -> io::Result<Receivers> {
        let deflate = way == Way::Deflate;
        let message = Message { opcode: Opcode::Text, payload: message::json(), deflate };
        let mut receivers = Receivers {
            way,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            clients: Vec::with_capacity(count),
            input: vec![0; 64 * 1024].into_boxed_slice(),
            echoed: message.frame(),
            expected: Vec::new(),
            missing: HashSet::with_capacity(count),
        };
        while receivers.clients.len() < count {
            // A few at a time: a full accept queue would delay the rest by a second.
            for _ in receivers.clients.len()..count.min(receivers.clients.len() + OPENED_AT_ONCE) {
                receivers.connect(server)?;
            }
            receivers.run_while(|receivers| !receivers.missing.is_empty())?;
        }
        Ok(receivers)
    }

    fn connect(&mut self, server: SocketAddr) -> io::Result<()> {
        let index = self.clients.len();
        let stream = self.way.connect(server)?;
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        // A poll is not answered before there is a message.
        let is_open = self.way == Way::Poll;
        if !is_open {
            self.missing.insert(index);
        }
        self.clients.push(Client { stream, is_open, partial: Vec::new(), cursor: String::new() });
        Ok(())
    }

    fn obey(&mut self) -> io::Result<()> {
        let orders = io::stdin();
        self.epoll.add(&orders, EpollEvent::new(EpollFlags::EPOLLIN, ORDERS))?;
        let mut events = [EpollEvent::empty(); 256];
        loop {
            // Something that is expected does not take long. The next order may.
            let is_idle = self.missing.is_empty();
            let count = if is_idle { wait_long(&self.epoll, &mut events)? } else { wait(&self.epoll, &mut events)? };
            for event in &events[..count] {
                if event.data() == ORDERS {
                    let mut order = String::new();
                    if orders.read_line(&mut order)? == 0 {
                        return Ok(());
                    }
                    self.follow(order.trim())?;
                } else {
                    self.receive(event.data() as usize)?;
                }
            }
            if !is_idle && self.missing.is_empty() {
                say("all")?;
            }
        }
    }

    fn follow(&mut self, order: &str) -> io::Result<()> {
        if let Some(number) = order.strip_prefix("expect ") {
            self.expected = message::published(number.parse().map_err(io::Error::other)?).into_bytes();
            self.missing = (0..self.clients.len()).collect();
            return say("expecting");
        }
        self.clients.iter_mut().try_for_each(Client::poll)?;
        say("polled")
    }

    fn run_while(&mut self, goes_on: impl Fn(&Receivers) -> bool) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        while goes_on(self) {
            let count = wait(&self.epoll, &mut events)?;
            for event in &events[..count] {
                self.receive(event.data() as usize)?;
            }
        }
        Ok(())
    }

    /// One `recv`.
    fn receive(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        let received = client.stream.read(&mut self.input)?;
        if received == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed a connection"));
        }
        client.partial.extend_from_slice(&self.input[..received]);
        let mut got = 0;
        if !client.is_open {
            let Some(end) = self.way.check_head(&client.partial)? else {
                return Ok(());
            };
            client.is_open = true;
            client.partial.drain(..end);
            if matches!(self.way, Way::Echo | Way::Deflate) {
                send(&mut client.stream, &self.echoed)?;
            } else {
                got += 1;
            }
        }
        got += match self.way {
            Way::Events => client.take_text(&self.expected),
            Way::Poll => client.take_answer(&self.expected)?,
            Way::WebSocket => client.take_frames(Some(&self.expected))?,
            Way::Echo | Way::Deflate => client.take_frames(None)?,
        };
        if client.partial.is_empty() {
            client.partial = Vec::new();
        }
        match got {
            0 => Ok(()),
            1 if self.missing.remove(&index) => Ok(()),
            _ => Err(io::Error::other("a message came twice")),
        }
    }
}

impl Client {
    /// How many messages there are in the frames that have come; only those that have the expected one, if there is one.
    fn take_frames(&mut self, expected: Option<&[u8]>) -> io::Result<usize> {
        let mut messages = 0;
        while let Some(frame) = Frame::parse(&self.partial)? {
            let payload = &self.partial[frame.payload.clone()];
            match frame.opcode {
                Opcode::Ping => send(&mut self.stream, &masked(Opcode::Pong, false, payload))?,
                Opcode::Pong => {}
                _ => {
                    let is_other = expected.is_some_and(|wanted| wanted.is_empty() || find(payload, wanted).is_none());
                    messages += usize::from(!is_other);
                }
            }
            self.partial.drain(..frame.payload.end);
        }
        Ok(messages)
    }

    /// How often the message is in what has come. What surrounds it is the server's.
    fn take_text(&mut self, expected: &[u8]) -> usize {
        let mut messages = 0;
        while let Some(start) = (!expected.is_empty()).then(|| find(&self.partial, expected)).flatten() {
            self.partial.drain(..start + expected.len());
            messages += 1;
        }
        messages
    }

    /// Whether an answer has come that has the message. One without it is followed by the next poll at once: the server has no
    /// cursor of us yet, or did not want to keep us waiting any longer.
    fn take_answer(&mut self, expected: &[u8]) -> io::Result<usize> {
        let Some(start) = Way::Poll.check_head(&self.partial)? else {
            return Ok(0);
        };
        let head = String::from_utf8_lossy(&self.partial[..start]).to_ascii_lowercase();
        let length = between(&head, "\r\ncontent-length: ", "\r\n").and_then(|length| length.parse::<usize>().ok());
        let length = length.ok_or_else(|| io::Error::other(format!("an answer without a length: {head}")))?;
        let Some(body) = self.partial.get(start..start + length) else {
            return Ok(0);
        };
        let has_message = !expected.is_empty() && find(body, expected).is_some();
        let body = String::from_utf8_lossy(body);
        self.cursor = between(&body, "\"cursor\":\"", "\"").unwrap_or_default().to_owned();
        self.partial.clear();
        if !has_message {
            self.poll()?;
        }
        Ok(usize::from(has_message))
    }

    fn poll(&mut self) -> io::Result<()> {
        send(&mut self.stream, Way::Poll.request_from(&self.cursor).as_bytes())
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

fn say(word: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{word}")?;
    output.flush()
}

fn wait_long(epoll: &Epoll, events: &mut [EpollEvent]) -> io::Result<usize> {
    loop {
        match epoll.wait(events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

const ORDERS: u64 = u64::MAX;

const OPENED_AT_ONCE: usize = 100;
