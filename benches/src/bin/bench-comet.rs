//! The server that the load tool drives, and at which the budgets of realtime are measured: one channel of a hub.
//!
//! `GET /poll`, `GET /events` and `GET /websocket` deliver the channel, each in its way, and `POST /publish` publishes a
//! message of JSON. `GET /echo` is a WebSocket that returns every message. `GET /allocations` tells what the program holds,
//! `GET /plaintext` is for warming up.
//!
//! Run with `cargo run --release -p benches --bin bench-comet -- --port 8080`.

use std::{error::Error, time::Duration};

use benches::{
    counting_allocator::CountingAllocator,
    message::HELLO,
    options::{ServerOptions, announce},
    process::raise_descriptor_limit,
};
use web::{
    Application, Exchange, IOLoop, Limits,
    comet::{Hub, HubOptions},
    websocket::{WebSocket, WebSocketOptions},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const CHANNEL: &str = "bench";

fn main() -> Result<(), Box<dyn Error>> {
    let options = ServerOptions::from_env();
    if options.count_allocations {
        ALLOCATOR.enable();
    }
    raise_descriptor_limit()?;
    let server = application().into_server().listen(options.socket_addr())?;
    announce(server.local_addr())?;
    server.drain_on_signal(Duration::from_secs(5))?;
    IOLoop::current().start();
    Ok(())
}

fn application() -> Application {
    let hub = Hub::with_options(HubOptions::new());
    let [polls, events, sockets] = [hub.clone(), hub.clone(), hub.clone()];
    Application::new()
        // More than there are descriptors.
        .limits(Limits::default().max_connections(1_000_000))
        .get("/poll", async move |exchange: &mut Exchange| polls.deliver(CHANNEL).long_poll(exchange).await)
        .get("/events", async move |exchange: &mut Exchange| events.deliver(CHANNEL).event_stream(exchange))
        .get("/websocket", async move |exchange: &mut Exchange| sockets.deliver(CHANNEL).websocket(exchange))
        .post("/publish", async move |exchange: &mut Exchange| {
            let message = exchange.bytes().await?;
            hub.publish_json(CHANNEL, None, message).await?;
            exchange.write("published");
            Ok(())
        })
        .get("/echo", async |exchange: &mut Exchange| exchange.upgrade_websocket(&WebSocketOptions::new(), echo))
        .get("/plaintext", async |exchange: &mut Exchange| {
            exchange.write(HELLO);
            Ok(())
        })
        .get("/allocations", async |exchange: &mut Exchange| exchange.write_json(&ALLOCATOR.counters()))
}

async fn echo(mut socket: WebSocket) -> web::Result<()> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}
