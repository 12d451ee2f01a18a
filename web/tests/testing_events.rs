//! The test kit: event streams.

#[path = "util/failure.rs"]
mod failure;

use std::{pin::Pin, time::Duration};

use failure::failure;
use web::{
    Application, Exchange,
    event_stream::{Event, EventStreamOptions},
    sync::broadcast,
    testing::{self, TestClient},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sends what has been published since the event that the client has seen, then what comes.
fn news(published: &broadcast::Sender<u32>) -> Application {
    let published = published.clone();
    Application::new().get("/news", async move |exchange: &mut Exchange| {
        let seen: u32 = exchange.header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or(0);
        let mut reader = published.subscribe();
        let mut events = exchange.event_stream_with(&EventStreamOptions::new().retry(s(7)))?;
        events.send(Event::new(format!("seen {seen}")).name("hello")).await?;
        while let Ok(number) = reader.recv().await {
            events.send(Event::new(format!("news {number}")).id(number.to_string())).await?;
        }
        Ok(())
    })
}

#[test]
fn event_streams_are_followed_and_reconnect_with_the_last_id() {
    testing::run(async {
        let published = broadcast::Sender::new(16);
        let client = TestClient::new(news(&published));
        let mut events = client.get("/news").events().await;
        assert_eq!(events.assert_next("seen 0").await.name, "hello");
        assert_eq!((events.retry(), events.last_event_id()), (Some(s(7)), ""));
        events.assert_nothing().await;
        published.send(1);
        published.send(2);
        let event = events.assert_next("news 1").await;
        assert_eq!((event.name.as_str(), event.id.as_str()), ("message", "1"));
        assert_eq!(events.last_event_id(), "1");

        events.reconnect().await;
        assert_eq!(testing::elapsed(), s(7));
        events.assert_next("seen 1").await;
        assert_eq!(client.server().connections(), 1, "the one before was closed");

        testing::advance(s(31)).await;
        events.assert_nothing().await;
        assert_eq!(events.comments(), ["", ""], "after 15 s of silence each");
        published.send(3);
        let waiting = async { events.next_event().await };
        assert_eq!(waiting.await.unwrap().data, "news 3");
        events.close();
        testing::settle().await;
        assert_eq!((published.waiting(), client.server().connections()), (0, 0));
    });
}

#[test]
fn a_last_id_that_a_test_begins_with_gives_way_to_later_ones() {
    testing::run(async {
        let published = broadcast::Sender::new(16);
        let client = TestClient::new(news(&published));
        let mut events = client.get("/news").header("last-event-id", "5").events().await;
        events.assert_next("seen 5").await;
        events.reconnect().await;
        events.assert_next("seen 5").await;
        published.send(6);
        events.assert_next("news 6").await;
        events.reconnect().await;
        events.assert_next("seen 6").await;
    });
}

#[test]
fn an_event_stream_that_ends_or_is_none_is_told() {
    testing::run(async {
        let application = Application::new()
            .get("/short", async |exchange: &mut Exchange| exchange.event_stream()?.send(Event::new("only")).await)
            .get("/broken", async |exchange: &mut Exchange| {
                exchange.event_stream()?.send(Event::new("only")).await?;
                panic!("on purpose")
            });
        let client = TestClient::new(application);
        let mut events = client.get("/short").events().await;
        events.assert_next("only").await;
        events.assert_end().await;
        assert_eq!(events.next_event().await, None);
        events.reconnect().await;
        assert_eq!(testing::elapsed(), s(3));
        events.assert_next("only").await;
        client.get("/broken").events().await.assert_cut().await;
    });
    let failing = |test: fn(TestClient) -> Pin<Box<dyn Future<Output = ()>>>| {
        failure(|| testing::run(async { test(TestClient::new(news(&broadcast::Sender::new(1)))).await }))
    };
    let text = failing(|client| Box::pin(async move { drop(client.get("/olds").events().await) }));
    assert!(text.starts_with("GET /olds: expected an event stream (at web/tests/testing_events.rs:"), "{text}");
    let text = failing(|client| {
        Box::pin(async move {
            client.get("/news").events().await.assert_next("olds").await;
        })
    });
    assert!(text.contains("expected an event with the data \"olds\", got ReceivedEvent { name: \"hello\""), "{text}");
    let text = failing(|client| Box::pin(async move { client.get("/news").events().await.assert_nothing().await }));
    assert!(text.contains("expected no event yet, got ReceivedEvent"), "{text}");
    let text = failing(|client| Box::pin(async move { client.get("/news").events().await.assert_end().await }));
    assert!(text.contains("expected the end of the stream, got ReceivedEvent"), "{text}");
}
