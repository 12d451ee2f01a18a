//! The echo rows by yawc over hyper, on tokio's `current_thread`; on `/deflate` with permessage-deflate by zlib-rs.

use std::convert::Infallible;

use futures_util::SinkExt;
use http_body_util::Empty;
use hyper::{Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use peers_http::Options;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
};
use yawc::{CompressionLevel, DeflatePool, OpCode, UpgradeFut, WebSocket};

fn main() {
    let options = Options::from_arguments();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(options.listen()).expect("the runtime watches a socket");
        // A task, as connections are: what runs the main future is not the same code.
        tokio::spawn(accept(listener)).await.expect("it does not end");
    });
}

async fn accept(listener: TcpListener) {
    let plain = yawc::Options::default().without_compression().with_utf8();
    // The pool lends a connection its windows while it has a message, so that an idle one has none.
    let level = CompressionLevel::new(6);
    let deflate = plain.clone().with_compression_level(level).with_deflate_pool(DeflatePool::new(16));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        tokio::spawn(serve(stream, plain.clone(), deflate.clone()));
    }
}

async fn serve(stream: TcpStream, plain: yawc::Options, deflate: yawc::Options) {
    let answer = async |request: Request<Incoming>| {
        let options = if request.uri().path() == "/deflate" { &deflate } else { &plain };
        Ok::<_, Infallible>(upgrade(request, options.clone()))
    };
    // A client that leaves is no error of the server.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).with_upgrades().await;
}

fn upgrade(request: Request<Incoming>, options: yawc::Options) -> Response<Empty<Bytes>> {
    match WebSocket::upgrade_with_options(request, options) {
        Ok((response, socket)) => {
            tokio::spawn(echo_all(socket));
            response
        }
        Err(_) => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    }
}

async fn echo_all(socket: UpgradeFut) -> yawc::Result<()> {
    let mut socket = socket.await?;
    loop {
        let frame = socket.next_frame().await?;
        match frame.opcode() {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.send(frame).await?,
            // Pings are answered by the library.
            _ => {}
        }
    }
}
