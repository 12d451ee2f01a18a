//! The realtime rows on axum: its WebSockets, which are tungstenite's, its `Sse`, and a handler that waits; tokio's broadcast channel.

use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket},
    },
    http::StatusCode,
    response::{
        Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{any, get, post},
    serve::ListenerExt,
};
use peers_http::Options;
use tokio::{
    net::TcpListener,
    runtime::Builder,
    select,
    sync::broadcast::{self, Receiver, Sender, error::RecvError},
};
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream, wrappers::errors::BroadcastStreamRecvError};

/// A clone of the text shares it.
type Channel = Sender<Utf8Bytes>;

fn main() {
    let options = Options::from_arguments();
    let application = Router::new()
        .route("/echo", any(echo))
        .route("/broadcast", any(receive))
        .route("/events", get(events))
        .route("/poll", get(poll))
        .route("/publish", post(publish))
        .with_state(broadcast::channel(16).0);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(options.listen()).expect("the runtime watches a socket");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
        // A task, as connections are: what runs the main future is not the same code.
        let server = tokio::spawn(async { axum::serve(listener, application).await });
        server.await.expect("it does not panic").expect("it does not end");
    });
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo_all)
}

async fn echo_all(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        // Pings are answered by the library.
        let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn receive(upgrade: WebSocketUpgrade, State(channel): State<Channel>) -> Response {
    upgrade.on_upgrade(move |socket| pass_on(socket, channel.subscribe()))
}

async fn pass_on(mut socket: WebSocket, mut messages: Receiver<Utf8Bytes>) {
    loop {
        select! {
            message = messages.recv() => match message {
                Ok(text) => if socket.send(Message::Text(text)).await.is_err() {
                    return;
                },
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            received = socket.recv() => if !matches!(received, Some(Ok(_))) {
                return;
            },
        }
    }
}

async fn events(State(channel): State<Channel>) -> Sse<impl Stream<Item = Result<Event, BroadcastStreamRecvError>>> {
    let messages = BroadcastStream::new(channel.subscribe());
    let events = messages.map(|message| message.map(|text| Event::default().data(text.as_str())));
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn poll(State(channel): State<Channel>) -> Result<String, StatusCode> {
    let message = channel.subscribe().recv().await;
    message.map(|text| text.as_str().to_owned()).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn publish(State(channel): State<Channel>, message: String) -> StatusCode {
    // Nobody may be listening.
    let _ = channel.send(message.into());
    StatusCode::NO_CONTENT
}
