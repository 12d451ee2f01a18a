//! The stream rows on tokio: a `current_thread` runtime with a `LocalSet`.

use std::io;

use peers_work::streams::{BATCH, BATCHED_SIZE, CHUNK_SIZE, SOURCE_SIZE, Service, WRITE_SIZE, start};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::{LocalSet, spawn_local},
};

fn main() {
    let (service, listener) = start();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::from_std(listener).expect("the runtime watches a socket");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            spawn_local(serve(service, stream));
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
    };
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

async fn lines(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(CHUNK_SIZE, stream);
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        line.clear();
    }
    stream.write_all(b".").await
}

async fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_SIZE];
    while stream.read(&mut buffer).await? > 0 {}
    stream.write_all(b".").await
}

async fn source(mut stream: TcpStream) -> io::Result<()> {
    let piece = vec![b'x'; WRITE_SIZE];
    for _ in 0..SOURCE_SIZE / WRITE_SIZE {
        stream.write_all(&piece).await?;
    }
    Ok(())
}

async fn batch(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
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
