use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
};

use crate::{
    deflate::Deflate,
    frame::{self, Frame},
};

/// A client and what it has asked for.
pub(crate) struct Connection {
    stream: TcpStream,
    role: Role,
    /// The beginning of a request or frame whose rest has not come; mostly empty.
    partial: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Role {
    /// Requests are expected.
    Http,
    Echo,
    DeflateEcho,
    WebSocket,
    Events,
    Poll,
}

/// What is left to do after receiving.
pub(crate) enum Next {
    Wait,
    Publish(Vec<u8>),
}

/// A message as it goes out, in the three ways.
pub(crate) struct Encoded {
    frame: Vec<u8>,
    event: Vec<u8>,
    answer: Vec<u8>,
}

impl Encoded {
    pub(crate) fn new(message: &[u8]) -> Encoded {
        let event = [b"data: ", message, b"\n\n"].concat();
        let event = [format!("{:x}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat();
        // What `web` sends: the answer of a poll that is asked with a cursor.
        let body = [b"{\"cursor\":\"0123456789ab.1\",\"messages\":[\"", message, b"\"]}"].concat();
        let head = format!(
            "HTTP/1.1 200 OK\r\nDate: {DATE}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        Encoded { frame: frame::text(message), event, answer: [head.as_bytes(), &body].concat() }
    }
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Connection {
        Connection { stream, role: Role::Http, partial: Vec::new() }
    }

    /// One `recv`, and what follows from it. An error also stands for the end of the input.
    pub(crate) fn receive(&mut self, input: &mut [u8], deflate: &mut Deflate) -> io::Result<Next> {
        let kept = self.partial.len();
        input[..kept].copy_from_slice(&self.partial);
        self.partial.clear();
        let received = self.stream.read(&mut input[kept..])?;
        if received == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let input = &mut input[..kept + received];
        match self.role {
            Role::Http => self.answer(input),
            Role::Echo => self.echo(input, None),
            Role::DeflateEcho => self.echo(input, Some(deflate)),
            // Pongs, which nobody needs.
            _ => Ok(Next::Wait),
        }
    }

    /// Sends what this connection waits for, if it does.
    pub(crate) fn send(&mut self, encoded: &Encoded) -> io::Result<()> {
        let bytes = match self.role {
            Role::WebSocket => &encoded.frame,
            Role::Events => &encoded.event,
            Role::Poll => {
                self.role = Role::Http;
                &encoded.answer
            }
            _ => return Ok(()),
        };
        send(&mut self.stream, bytes)
    }

    fn answer(&mut self, input: &[u8]) -> io::Result<Next> {
        let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n").map(|start| start + 4) else {
            self.partial = input.to_vec();
            return Ok(Next::Wait);
        };
        // Without the cursor of a poll, which is of no use here.
        let target = input.split(|&byte| byte == b' ' || byte == b'?').nth(1).ok_or(ErrorKind::InvalidData)?;
        let (role, head) = match target {
            b"/echo" => (Role::Echo, frame::SWITCHING.to_owned()),
            b"/deflate" => (Role::DeflateEcho, frame::SWITCHING_TO_DEFLATE.to_owned()),
            b"/broadcast" => (Role::WebSocket, frame::SWITCHING.to_owned()),
            b"/events" => (Role::Events, format!("{EVENTS}Date: {DATE}\r\n\r\n")),
            // The answer is the message.
            b"/poll" => (Role::Poll, String::new()),
            b"/publish" if end == input.len() => {
                self.partial = input.to_vec();
                return Ok(Next::Wait);
            }
            // The runner sends the body along with the head or right behind it, in one piece.
            b"/publish" => {
                send(&mut self.stream, b"HTTP/1.1 204 No Content\r\n\r\n")?;
                return Ok(Next::Publish(input[end..].to_vec()));
            }
            _ => return Err(ErrorKind::InvalidData.into()),
        };
        self.role = role;
        if !head.is_empty() {
            send(&mut self.stream, head.as_bytes())?;
        }
        Ok(Next::Wait)
    }

    /// Answers every frame that is complete.
    fn echo(&mut self, mut input: &mut [u8], mut deflate: Option<&mut Deflate>) -> io::Result<Next> {
        while let Some(frame) = Frame::parse(input) {
            frame.unmask(input);
            if frame.is_data(input) {
                match &mut deflate {
                    None => send(&mut self.stream, frame.reply(input))?,
                    Some(deflate) => send(&mut self.stream, deflate.reply(frame.payload(input))?)?,
                }
            }
            input = &mut input[frame.end()..];
        }
        self.partial.extend_from_slice(input);
        Ok(Next::Wait)
    }
}

/// What the kernel does not take at once is an error: the client reads all the time, and no more than one message is under way.
fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    if stream.write(bytes)? == bytes.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}

/// As long as a real one, so that the answers of all servers have about the same size.
const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n";
