//! The rows of bulk data by blocking calls on one connection at a time: what the kernel alone takes.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    process,
};

use peers_work::streams::{CHUNK_SIZE, SOURCE_SIZE, Service, WRITE_SIZE, start};

fn main() {
    let (service, listener) = start();
    listener.set_nonblocking(false).expect("a socket");
    for stream in listener.incoming() {
        let stream = stream.expect("a connection");
        // A client that leaves is no error of the server.
        let _ = match service {
            Service::Sink => sink(stream),
            Service::Source => source(stream),
            _ => process::exit(2),
        };
    }
}

fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_SIZE];
    while stream.read(&mut buffer)? > 0 {}
    stream.write_all(b".")
}

fn source(mut stream: TcpStream) -> io::Result<()> {
    let piece = vec![b'x'; WRITE_SIZE];
    for _ in 0..SOURCE_SIZE / WRITE_SIZE {
        stream.write_all(&piece)?;
    }
    Ok(())
}
