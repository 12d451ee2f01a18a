//! The stream rows on smol's parts: the `LocalExecutor` of async-executor, and async-io.

use std::{io, net::TcpStream};

use async_executor::LocalExecutor;
use async_io::Async;
use futures_lite::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt,
    io::{BufReader, BufWriter},
};
use peers_work::streams::{BATCH, BATCHED_SIZE, CHUNK_SIZE, SOURCE_SIZE, Service, WRITE_SIZE, start};

fn main() {
    let (service, listener) = start();
    let executor = LocalExecutor::new();
    async_io::block_on(executor.run(async {
        let listener = Async::new(listener).expect("the reactor watches a socket");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            executor.spawn(serve(service, stream)).detach();
        }
    }));
}

async fn serve(service: Service, stream: Async<TcpStream>) {
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

async fn echo(mut stream: Async<TcpStream>) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

async fn lines(stream: Async<TcpStream>) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(CHUNK_SIZE, stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        line.clear();
    }
    stream.get_mut().write_all(b".").await
}

async fn sink(mut stream: Async<TcpStream>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_SIZE];
    while stream.read(&mut buffer).await? > 0 {}
    stream.write_all(b".").await
}

async fn source(mut stream: Async<TcpStream>) -> io::Result<()> {
    let piece = vec![b'x'; WRITE_SIZE];
    for _ in 0..SOURCE_SIZE / WRITE_SIZE {
        stream.write_all(&piece).await?;
    }
    Ok(())
}

async fn batch(stream: Async<TcpStream>) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    let mut stream = BufWriter::with_capacity(BATCH * BATCHED_SIZE, stream);
    let piece = [b'x'; BATCHED_SIZE];
    while stream.get_mut().read(&mut [0; 16]).await? > 0 {
        for _ in 0..BATCH {
            stream.write_all(&piece).await?;
        }
        stream.flush().await?;
    }
    Ok(())
}
