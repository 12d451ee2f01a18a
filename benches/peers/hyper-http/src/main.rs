//! The HTTP rows on hyper: a task for each connection on tokio's `current_thread`, over TLS by tokio-rustls.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use peers_http::{ECHO_LIMIT, HELLO, IDLE_TIMEOUT, MESSAGE, Options};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Builder,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

fn main() {
    let options = Options::from_arguments();
    let tls = options.tls.as_ref().map(acceptor);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(options.listen()).expect("the runtime watches a socket");
        // A task, as connections are: what runs the main future is not the same code.
        tokio::spawn(accept(listener, tls)).await.expect("it does not end");
    });
}

fn acceptor([chain, key]: &[std::path::PathBuf; 2]) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        match tls.clone() {
            Some(tls) => tokio::spawn(serve_tls(stream, tls)),
            None => tokio::spawn(serve(stream)),
        };
    }
}

async fn serve_tls(stream: TcpStream, tls: TlsAcceptor) {
    if let Ok(stream) = tls.accept(stream).await {
        serve(stream).await;
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    // A client that leaves is no error of the server.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/plaintext") => of_type("text/plain; charset=utf-8", Bytes::from_static(HELLO.as_bytes())),
        (&Method::GET, "/json") => match serde_json::to_vec(&MESSAGE) {
            Ok(text) => of_type("application/json", text.into()),
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        },
        (&Method::POST, "/echo") => match Limited::new(request.into_body(), ECHO_LIMIT).collect().await {
            Ok(body) => of_type("application/octet-stream", body.to_bytes()),
            Err(_) => status(StatusCode::PAYLOAD_TOO_LARGE),
        },
        _ => status(StatusCode::NOT_FOUND),
    })
}

fn of_type(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
