//! The echo rows by fastwebsockets over hyper, on tokio's `current_thread`, as the library's own example has it.

use bytes::Bytes;
use fastwebsockets::{
    FragmentCollector, OpCode, WebSocketError,
    upgrade::{UpgradeFut, upgrade},
};
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use peers_http::Options;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task,
};

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
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        tokio::spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) {
    // A client that leaves is no error of the server.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).with_upgrades().await;
}

/// Every path is the echo.
async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, socket) = upgrade(&mut request)?;
    tokio::spawn(task::unconstrained(echo_all(socket)));
    Ok(response)
}

async fn echo_all(socket: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(socket.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            // Pings are answered by the library.
            _ => {}
        }
    }
}
