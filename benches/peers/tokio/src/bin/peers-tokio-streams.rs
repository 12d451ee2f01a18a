//! The stream rows on tokio: a `current_thread` runtime with a `LocalSet`.

use std::{io, sync::Arc};

use peers_work::streams::{BATCH, BATCHED_SIZE, CHUNK_SIZE, SOURCE_SIZE, Service, WRITE_SIZE, certificate, start};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::{LocalSet, spawn_local},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

fn main() {
    let (service, listener) = start();
    let tls = service.is_tls().then(acceptor);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::from_std(listener).expect("the runtime watches a socket");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            spawn_local(serve(service, stream, tls.clone()));
        }
    });
}

fn acceptor() -> TlsAcceptor {
    let (certificate, key) = certificate();
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(service: Service, stream: TcpStream, tls: Option<TlsAcceptor>) {
    // A client that leaves is no error of the server.
    let _ = match tls {
        Some(tls) => serve_tls(service, stream, &tls).await,
        None => serve_plain(service, stream).await,
    };
}

async fn serve_tls(service: Service, stream: TcpStream, tls: &TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(stream).await?;
    match service {
        Service::TlsEcho => echo(stream).await,
        _ => sink(stream).await,
    }
}

async fn serve_plain(service: Service, stream: TcpStream) -> io::Result<()> {
    match service {
        Service::Echo => {
            stream.set_nodelay(true)?;
            echo(stream).await
        }
        Service::Lines => lines(stream).await,
        Service::Sink => sink(stream).await,
        Service::Source => source(stream).await,
        Service::Close => Ok(()),
        Service::Batch => batch(stream).await,
        Service::TlsEcho | Service::TlsSink => Ok(()),
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
        // Does nothing on TCP. What TLS could not send at once waits for it.
        stream.flush().await?;
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

async fn sink(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_SIZE];
    while stream.read(&mut buffer).await? > 0 {}
    stream.write_all(b".").await?;
    stream.flush().await
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
