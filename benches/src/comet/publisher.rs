//! Posts messages.

use std::{io, net::SocketAddr, time::Duration};

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use memchr::memmem;

/// A kept connection to a server that takes messages.
#[derive(Debug)]
pub(super) struct Publisher {
    stream: TcpStream,
    path: String,
}

impl Publisher {
    pub(super) fn connect(server: SocketAddr, path: &str, patience: Duration) -> io::Result<Publisher> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Publisher { stream, path: path.to_owned() })
    }

    /// Sends a message. The answer is read by [`confirm`](Publisher::confirm), so that several servers get it at once.
    pub(super) fn post(&mut self, message: &str) -> io::Result<()> {
        let (path, length) = (&self.path, message.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{message}"
        );
        self.stream.write_all(request.as_bytes())
    }

    /// Reads the answer, which has to be a success.
    pub(super) fn confirm(&mut self) -> io::Result<()> {
        let mut answer = Vec::new();
        let mut input = [0; 4096];
        loop {
            let received = self.stream.read(&mut input)?;
            if received == 0 {
                return Err(io::Error::other("the server closed the connection of the publisher"));
            }
            answer.extend_from_slice(&input[..received]);
            if let Some(end) = memmem::find(&answer, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
                if !head.starts_with("http/1.1 2") {
                    return Err(io::Error::other(format!("a message was refused: {head}")));
                }
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.map_or(Ok(0), |length| length.trim().parse()).map_err(io::Error::other)?;
                if answer.len() >= end + 4 + length {
                    return Ok(());
                }
            }
        }
    }
}
