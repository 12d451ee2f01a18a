//! The echo rows by tokio-tungstenite alone: it does the handshake itself, on tokio's `current_thread`.

use futures_util::{SinkExt, StreamExt};
use peers_http::Options;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

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
        tokio::spawn(echo_all(stream));
    }
}

/// Every path is the echo.
async fn echo_all(stream: TcpStream) {
    let Ok(mut socket) = accept_async(stream).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        // Pings are answered by the library.
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}
