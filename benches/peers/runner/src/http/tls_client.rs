use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use benches::message::HELLO;
use rustls::{ClientConnection, StreamOwned};

use crate::tls;

/// Keep-alive connections over TLS: on each a plaintext request is under way all the time.
pub(crate) struct TlsClient {
    streams: Vec<StreamOwned<ClientConnection, TcpStream>>,
    request: Vec<u8>,
    /// As long as every answer is, since a date always has 29 bytes.
    answer: Vec<u8>,
}

impl TlsClient {
    /// Sends one request over each connection, so that every handshake is over.
    pub(crate) fn open(server: SocketAddr, connections: usize, request: &[u8]) -> io::Result<TlsClient> {
        let mut client = TlsClient { streams: Vec::new(), request: request.to_vec(), answer: Vec::new() };
        for _ in 0..connections {
            let stream = TcpStream::connect(server)?;
            stream.set_nodelay(true)?;
            // A server that swallows a request must not hang the measurement.
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut stream = tls::connect(stream)?;
            stream.write_all(request)?;
            client.answer = read_answer(&mut stream)?;
            client.streams.push(stream);
        }
        Ok(client)
    }

    pub(crate) fn run(&mut self, requests: u64) -> io::Result<()> {
        for _ in 0..requests / self.streams.len() as u64 {
            for stream in &mut self.streams {
                stream.write_all(&self.request)?;
            }
            for stream in &mut self.streams {
                stream.read_exact(&mut self.answer)?;
                check(&self.answer)?;
            }
        }
        Ok(())
    }
}

/// The first answer, whose length nobody knows yet.
fn read_answer(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    while !answer.ends_with(HELLO.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    check(&answer)?;
    Ok(answer)
}

fn check(answer: &[u8]) -> io::Result<()> {
    let good = answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(HELLO.as_bytes());
    if good { Ok(()) } else { Err(io::Error::other(format!("bad answer: {}", answer.escape_ascii()))) }
}

const PATIENCE: Duration = Duration::from_secs(30);
