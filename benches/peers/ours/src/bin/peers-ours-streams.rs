//! The stream rows on iostream.

use iostream::{
    Bytes, IOLoop, IOStream, Parsed, ServerOptions, TcpServer, netutil::set_nodelay_for_accepted, tls::TlsAcceptor,
};
use peers_work::streams::{BATCH, BATCHED_SIZE, CHUNK_SIZE, SOURCE_SIZE, Service, WRITE_SIZE, certificate, start};

fn main() {
    let (service, listener) = start();
    if matches!(service, Service::Echo | Service::Batch) || service.is_tls() {
        set_nodelay_for_accepted(&listener).expect("a TCP socket");
    }
    let mut options = ServerOptions::new();
    if service.is_tls() {
        let (certificate, key) = certificate();
        let tls = TlsAcceptor::ring().certificate(certificate, key).and_then(|tls| tls.build());
        options = options.tls(tls.expect("a certificate and its key"));
    }
    let handler = async move |stream: IOStream, _peer| {
        // A client that leaves is no error of the server.
        let _ = serve(service, &stream).await;
        Ok(())
    };
    let server = TcpServer::with_options(handler, options);
    server.add_sockets(vec![listener]).expect("the loop watches a socket");
    IOLoop::current().start();
}

async fn serve(service: Service, stream: &IOStream) -> iostream::Result<()> {
    match service {
        Service::Echo | Service::TlsEcho => echo(stream).await,
        Service::Lines => lines(stream).await,
        Service::Sink | Service::TlsSink => sink(stream).await,
        Service::Source => source(stream).await,
        Service::Close => Ok(()),
        Service::Batch => batch(stream).await,
    }
}

async fn echo(stream: &IOStream) -> iostream::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read_into(&mut buffer).partial().await?;
        stream.write(&buffer[..count]).await?;
    }
}

async fn lines(stream: &IOStream) -> iostream::Result<()> {
    stream.set_half_open(true);
    let mut line = Vec::new();
    while stream.read_until(b"\n").append_to(&mut line).await.is_ok() {
        line.clear();
    }
    stream.write(".").await
}

async fn sink(stream: &IOStream) -> iostream::Result<()> {
    stream.set_half_open(true);
    let mut buffer = vec![0; CHUNK_SIZE];
    while stream.read_into(&mut buffer).partial().await.is_ok() {}
    stream.write(".").await
}

async fn source(stream: &IOStream) -> iostream::Result<()> {
    // Owned, so that what the kernel does not take at once is kept instead of copied.
    let piece = Bytes::from(vec![b'x'; WRITE_SIZE]);
    for _ in 0..SOURCE_SIZE / WRITE_SIZE {
        stream.write(&piece).await?;
    }
    Ok(())
}

async fn batch(stream: &IOStream) -> iostream::Result<()> {
    let piece = [b'x'; BATCHED_SIZE];
    loop {
        stream.read_with(|bytes| Parsed::Done { consumed: bytes.len(), value: () }).await?;
        for _ in 0..BATCH {
            stream.queue(&piece)?;
        }
        stream.flush().await?;
    }
}
