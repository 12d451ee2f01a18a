//! The realtime rows on `web`: event streams and long polls that wait at a channel of the loop.

use peers_http::{Options, announce};
use web::{
    Application, Exchange, IOLoop, StatusCode,
    event_stream::{EncodedEvent, Event},
    httpserver::iostream::ioloop::sync::broadcast::Sender,
};

/// A message, and the event that it is, encoded once for all.
struct Published {
    text: String,
    event: EncodedEvent,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let channel = Sender::new(16);
    let [for_events, for_polls] = [channel.clone(), channel.clone()];
    let application = Application::new()
        .get("/events", async move |exchange: &mut Exchange| events(exchange, &for_events).await)
        .get("/poll", async move |exchange: &mut Exchange| poll(exchange, &for_polls).await)
        .post("/publish", async move |exchange: &mut Exchange| publish(exchange, &channel).await);
    let server = application.into_server().listen(Options::from_arguments().address())?;
    announce(server.local_addr());
    IOLoop::current().start();
    Ok(())
}

async fn events(exchange: &mut Exchange, channel: &Sender<Published>) -> web::Result<()> {
    let mut messages = channel.subscribe();
    let mut events = exchange.event_stream()?;
    while let Ok(message) = messages.recv().await {
        events.send_encoded(&message.event).await?;
    }
    Ok(())
}

async fn poll(exchange: &mut Exchange, channel: &Sender<Published>) -> web::Result<()> {
    let mut messages = channel.subscribe();
    if let Ok(message) = exchange.while_connected(messages.recv()).await? {
        exchange.write(message.text.as_str());
    }
    Ok(())
}

async fn publish(exchange: &mut Exchange, channel: &Sender<Published>) -> web::Result<()> {
    let text = exchange.text().await?;
    let event = Event::new(&text).encode()?;
    channel.send(Published { text, event });
    exchange.set_status(StatusCode::NO_CONTENT);
    Ok(())
}
