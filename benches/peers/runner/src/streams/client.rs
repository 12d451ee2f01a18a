//! What the servers are driven with: blocking calls, the same for all.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use nix::sys::socket::{setsockopt, sockopt::Linger};
use peers_work::streams::{BATCH, BATCHED_SIZE, ECHO_SIZE, LINE_SIZE, SOURCE_SIZE};

use crate::tls;

/// One connection, one echo after the other.
pub(crate) fn echo_alone(server: SocketAddr, echoes: usize) -> io::Result<()> {
    echo(vec![connect(server)?], echoes)
}

/// Many connections: on each an echo is under way all the time.
pub(crate) fn echo_many(server: SocketAddr, echoes: usize) -> io::Result<()> {
    echo((0..256).map(|_| connect(server)).collect::<io::Result<_>>()?, echoes)
}

/// One connection over TLS, one echo after the other.
pub(crate) fn tls_echo(server: SocketAddr, echoes: usize) -> io::Result<()> {
    echo(vec![tls::connect(connect(server)?)?], echoes)
}

fn echo(mut streams: Vec<impl Read + Write>, echoes: usize) -> io::Result<()> {
    let mut message = [b'x'; ECHO_SIZE];
    for _ in 0..echoes / streams.len() {
        for stream in &mut streams {
            stream.write_all(&message)?;
        }
        for stream in &mut streams {
            stream.read_exact(&mut message)?;
        }
    }
    Ok(())
}

/// Sends lines as fast as they are taken.
pub(crate) fn lines(server: SocketAddr, lines: usize) -> io::Result<()> {
    let line = [&[b'x'; LINE_SIZE - 1][..], b"\n"].concat();
    send_all(server, &line.repeat(1024), lines / 1024)
}

/// Sends pieces of 1 MiB as fast as they are taken.
pub(crate) fn send(server: SocketAddr, pieces: usize) -> io::Result<()> {
    send_all(server, &vec![b'x'; 1 << 20], pieces)
}

/// Sends pieces of 1 MiB over TLS as fast as they are taken.
pub(crate) fn tls_send(server: SocketAddr, pieces: usize) -> io::Result<()> {
    let piece = vec![b'x'; 1 << 20];
    let mut stream = tls::connect(connect(server)?)?;
    for _ in 0..pieces {
        stream.write_all(&piece)?;
    }
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.read_exact(&mut [0])
}

fn send_all(server: SocketAddr, piece: &[u8], times: usize) -> io::Result<()> {
    let mut stream = connect(server)?;
    for _ in 0..times {
        stream.write_all(piece)?;
    }
    stream.shutdown(Shutdown::Write)?;
    // The server answers when it has everything.
    stream.read_exact(&mut [0])
}

/// Receives what the server sends as fast as it comes. The server decides how much that is.
pub(crate) fn receive(server: SocketAddr, _pieces: usize) -> io::Result<()> {
    let mut stream = connect(server)?;
    let mut buffer = vec![0; 1 << 20];
    let mut received = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 if received == SOURCE_SIZE => return Ok(()),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => received += count,
        }
    }
}

/// One connection after the other, each closed by the server.
pub(crate) fn connect_often(server: SocketAddr, connections: usize) -> io::Result<()> {
    for _ in 0..connections {
        let mut stream = connect(server)?;
        if stream.read(&mut [0])? != 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // A reset, so that neither side's port stays taken.
        setsockopt(&stream, Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 })?;
    }
    Ok(())
}

/// Asks for a batch, and for the next one when it is there.
pub(crate) fn batches(server: SocketAddr, batches: usize) -> io::Result<()> {
    let mut stream = connect(server)?;
    let mut batch = vec![0; BATCH * BATCHED_SIZE];
    for _ in 0..batches {
        stream.write_all(b"?")?;
        stream.read_exact(&mut batch)?;
    }
    Ok(())
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
