//! The stream rows on monoio with its epoll driver, the "legacy" one.

use std::io;

use monoio::{
    LegacyDriver, RuntimeBuilder,
    io::{AsyncBufReadExt, AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, BufReader, BufWriter},
    net::{TcpListener, TcpStream},
};
use peers_work::streams::{BATCH, BATCHED_SIZE, CHUNK_SIZE, SOURCE_SIZE, Service, WRITE_SIZE, start};

fn main() {
    let (service, listener) = start();
    let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().expect("a runtime");
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener).expect("the runtime watches a socket");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            monoio::spawn(serve(service, stream));
        }
    });
}

async fn serve(service: Service, stream: TcpStream) {
    // A client that leaves is no error of the server.
    let _ = match service {
        Service::Echo => echo(stream).await,
        Service::Lines => lines(stream).await,
        Service::Sink => sink(stream).await,
        Service::Source => source(stream).await,
        Service::Close => Ok(()),
        Service::Batch => batch(stream).await,
        // Not a part of it.
        Service::TlsEcho | Service::TlsSink => Ok(()),
    };
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let (result, received) = stream.read(buffer).await;
        if result? == 0 {
            return Ok(());
        }
        let (result, sent) = stream.write_all(received).await;
        result?;
        buffer = sent;
        buffer.clear();
    }
}

async fn lines(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(CHUNK_SIZE, stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        line.clear();
    }
    stream.get_mut().write_all(&b"."[..]).await.0.map(drop)
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK_SIZE);
    loop {
        let (result, received) = stream.read(buffer).await;
        if result? == 0 {
            return stream.write_all(&b"."[..]).await.0.map(drop);
        }
        buffer = received;
        buffer.clear();
    }
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let mut piece = vec![b'x'; WRITE_SIZE];
    for _ in 0..SOURCE_SIZE / WRITE_SIZE {
        let (result, sent) = stream.write_all(piece).await;
        result?;
        piece = sent;
    }
    Ok(())
}

async fn batch(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufWriter::with_capacity(BATCH * BATCHED_SIZE, stream);
    let mut piece = vec![b'x'; BATCHED_SIZE];
    let mut buffer = Vec::with_capacity(16);
    loop {
        let (result, received) = stream.get_mut().read(buffer).await;
        if result? == 0 {
            return Ok(());
        }
        buffer = received;
        buffer.clear();
        for _ in 0..BATCH {
            let (result, sent) = stream.write_all(piece).await;
            result?;
            piece = sent;
        }
        stream.flush().await?;
    }
}
