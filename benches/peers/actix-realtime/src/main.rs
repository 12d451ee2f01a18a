//! The realtime rows on actix-web with one worker: WebSockets by actix-ws, a streamed body for events, and a handler that waits; tokio's
//! broadcast channel.

use std::io;

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    error::ErrorServiceUnavailable,
    http::header::ContentType,
    rt,
    web::{self, Bytes, Data, Payload},
};
use actix_ws::{Message, MessageStream, Session};
use bytestring::ByteString;
use peers_http::{IDLE_TIMEOUT, Options};
use tokio::{
    select,
    sync::broadcast::{self, Receiver, Sender, error::RecvError},
};
use tokio_stream::{StreamExt, wrappers::BroadcastStream};

/// A clone of the text shares it.
type Channel = Sender<ByteString>;

fn main() -> io::Result<()> {
    let listener = Options::from_arguments().listen();
    let channel: Data<Channel> = Data::new(broadcast::channel(16).0);
    rt::System::new().block_on(
        HttpServer::new(move || {
            App::new()
                .app_data(channel.clone())
                .route("/echo", web::get().to(echo))
                .route("/broadcast", web::get().to(receive))
                .route("/events", web::get().to(events))
                .route("/poll", web::get().to(poll))
                .route("/publish", web::post().to(publish))
        })
        .workers(1)
        .keep_alive(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        // The runner ends servers by the signal, whose own meaning is quicker.
        .disable_signals()
        .listen(listener)?
        .run(),
    )
}

async fn echo(request: HttpRequest, body: Payload) -> actix_web::Result<HttpResponse> {
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    rt::spawn(echo_all(session, messages));
    Ok(response)
}

async fn echo_all(mut session: Session, mut messages: MessageStream) {
    while let Some(Ok(message)) = messages.recv().await {
        let sent = match message {
            Message::Text(text) => session.text(text).await,
            Message::Binary(bytes) => session.binary(bytes).await,
            Message::Ping(bytes) => session.pong(&bytes).await,
            Message::Close(_) => break,
            _ => Ok(()),
        };
        if sent.is_err() {
            break;
        }
    }
}

async fn receive(request: HttpRequest, body: Payload, channel: Data<Channel>) -> actix_web::Result<HttpResponse> {
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    rt::spawn(pass_on(session, messages, channel.subscribe()));
    Ok(response)
}

async fn pass_on(mut session: Session, mut received: MessageStream, mut messages: Receiver<ByteString>) {
    loop {
        let sent = select! {
            message = messages.recv() => match message {
                Ok(text) => session.text(text).await,
                Err(RecvError::Lagged(_)) => Ok(()),
                Err(RecvError::Closed) => return,
            },
            message = received.recv() => match message {
                Some(Ok(Message::Ping(bytes))) => session.pong(&bytes).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn events(channel: Data<Channel>) -> HttpResponse {
    let messages = BroadcastStream::new(channel.subscribe());
    let events = messages.map(|message| message.map(|text| Bytes::from(format!("data: {text}\n\n"))));
    HttpResponse::Ok().content_type("text/event-stream").streaming(events)
}

async fn poll(channel: Data<Channel>) -> actix_web::Result<HttpResponse> {
    let text = channel.subscribe().recv().await.map_err(ErrorServiceUnavailable)?;
    Ok(HttpResponse::Ok().content_type(ContentType::plaintext()).body(text))
}

async fn publish(channel: Data<Channel>, message: String) -> HttpResponse {
    // Nobody may be listening.
    let _ = channel.send(message.into());
    HttpResponse::NoContent().finish()
}
