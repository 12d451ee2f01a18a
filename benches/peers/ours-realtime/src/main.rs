//! The realtime rows on `web`: WebSockets that echo, and one channel of a hub, delivered in all ways.

use std::error::Error;

use peers_http::{Options, announce};
use web::{
    Application, Exchange, IOLoop, StatusCode,
    comet::Hub,
    websocket::{DeflateOptions, WebSocket, WebSocketOptions},
};

fn main() -> Result<(), Box<dyn Error>> {
    let server = application().into_server().listen(Options::from_arguments().address())?;
    announce(server.local_addr());
    IOLoop::current().start();
    Ok(())
}

fn application() -> Application {
    let hub = Hub::new();
    let [for_sockets, for_events, for_polls] = [hub.clone(), hub.clone(), hub.clone()];
    let plain = WebSocketOptions::new();
    let deflate = WebSocketOptions::new().deflate(DeflateOptions::new());
    Application::new()
        .get("/echo", async move |exchange: &mut Exchange| exchange.upgrade_websocket(&plain, echo))
        .get("/deflate", async move |exchange: &mut Exchange| exchange.upgrade_websocket(&deflate, echo))
        .get("/broadcast", async move |exchange: &mut Exchange| for_sockets.deliver(CHANNEL).websocket(exchange))
        .get("/events", async move |exchange: &mut Exchange| for_events.deliver(CHANNEL).event_stream(exchange))
        .get("/poll", async move |exchange: &mut Exchange| for_polls.deliver(CHANNEL).long_poll(exchange).await)
        .post("/publish", async move |exchange: &mut Exchange| publish(exchange, &hub).await)
}

async fn echo(mut socket: WebSocket) -> web::Result<()> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn publish(exchange: &mut Exchange, hub: &Hub) -> web::Result<()> {
    let message = exchange.text().await?;
    hub.publish(CHANNEL, &message).await?;
    exchange.set_status(StatusCode::NO_CONTENT);
    Ok(())
}

const CHANNEL: &str = "news";
