//! Streams of server-sent events.

mod util;

use std::{cell::Cell, rc::Rc, time::Duration};

use util::{
    in_process::{ask, send},
    pages::{Host, SECOND, run_virtual},
};
use web::{
    Application, Exchange, Method, Request, RequestHandler, ServerHandle,
    event_stream::{EncodedEvent, Event, EventStreamOptions},
    httpserver::DrainReport,
    spawn,
    sync::{Event as Signal, broadcast},
};

const LONG: Duration = Duration::from_secs(600);

/// Tells when it is dropped.
struct Told(Rc<Cell<u32>>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn drain(server: &ServerHandle) -> web::JoinHandle<DrainReport> {
    let draining = server.drain(LONG);
    spawn(draining)
}

/// Sends whatever comes through a channel.
fn relay(news: &broadcast::Sender<EncodedEvent>, ended: &Rc<Cell<u32>>) -> Application {
    let (news, ended) = (news.clone(), ended.clone());
    Application::new().get("/", async move |exchange: &mut Exchange| {
        let _told = Told(ended.clone());
        let mut reader = news.subscribe();
        let mut events = exchange.event_stream()?;
        while let Ok(event) = reader.recv().await {
            events.send_encoded(&event).await?;
        }
        events.send(Event::new("over")).await
    })
}

fn numbered(number: u32) -> EncodedEvent {
    Event::new(format!("news {number}")).id(number.to_string()).encode().unwrap()
}

#[test]
fn the_head_arrives_at_once_and_says_how_the_stream_is_treated() {
    run_virtual(async |_clock| {
        let host = Host::new(Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.set_header("X-Own", "kept")?;
            exchange.set_header("Content-Type", "text/plain")?;
            let _events = exchange.event_stream()?;
            std::future::pending().await
        }));
        let head = host.connect().open("/").await.to_lowercase();
        for line in [
            "content-type: text/event-stream\r\n",
            "cache-control: no-store\r\n",
            "x-accel-buffering: no\r\n",
            "x-own: kept\r\n",
            "transfer-encoding: chunked\r\n",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert!(!head.contains("text/plain"), "{head}");
    });
}

#[test]
fn what_is_sent_without_a_wait_leaves_together_with_the_head() {
    run_virtual(async |clock| {
        let host = Host::new(Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.write(": written before\n");
            let mut events = exchange.event_stream_with(&EventStreamOptions::new().retry(2 * SECOND))?;
            events.send(Event::new("one")).await?;
            events.send(Event::new("two").name("number")).await?;
            std::future::pending().await
        }));
        let mut page = host.connect();
        page.request("GET", "/", "").await;
        clock.advance(Duration::ZERO).await;
        page.head().await;
        assert_eq!(
            page.text().await,
            ": written before\nretry: 2000\n\ndata: one\n\ndata: two\nevent: number\n\n",
            "one piece, in order"
        );
        assert!(page.parser.next_event().is_none());
    });
}

#[test]
fn an_event_that_was_encoded_once_reaches_every_stream() {
    run_virtual(async |_clock| {
        let (news, ended) = (broadcast::Sender::new(16), Rc::default());
        let host = Host::new(relay(&news, &ended));
        let mut pages: Vec<_> = (0..3).map(|_| host.connect()).collect();
        for page in &pages {
            page.open("/").await;
        }
        for number in 1..=2 {
            news.send(numbered(number));
        }
        for page in &mut pages {
            for number in 1..=2 {
                let event = page.event().await.expect("the stream goes on");
                assert_eq!((event.data, event.id), (format!("news {number}"), number.to_string()));
            }
        }
    });
}

#[test]
fn a_handler_that_returns_ends_its_stream_and_the_connection_goes_on() {
    run_virtual(async |_clock| {
        let host = Host::new(
            Application::new()
                .get("/", async |exchange: &mut Exchange| exchange.event_stream()?.send(Event::new("only")).await),
        );
        let mut page = host.connect();
        for _ in 0..2 {
            page.open("/").await;
            assert_eq!(page.event().await.unwrap().data, "only");
            assert_eq!(page.event().await, None);
        }
    });
}

#[test]
fn silence_is_broken_by_comments_and_events_put_them_off() {
    run_virtual(async |clock| {
        let (news, ended) = (broadcast::Sender::new(16), Rc::default());
        let host = Host::new(relay(&news, &ended));
        let page = host.connect();
        page.open("/").await;
        clock.advance(14 * SECOND).await;
        news.send(numbered(1));
        assert_eq!(page.text().await, "data: news 1\nid: 1\n\n");
        clock.advance(14 * SECOND).await;
        news.send(numbered(2));
        assert_eq!(page.text().await, "data: news 2\nid: 2\n\n");
        for _ in 0..3 {
            clock.advance(15 * SECOND).await;
            assert_eq!(page.text().await, ":\n\n");
        }
        news.send(numbered(3));
        assert_eq!(page.text().await, "data: news 3\nid: 3\n\n");
    });
}

#[test]
fn without_keep_alive_a_stream_is_silent() {
    run_virtual(async |clock| {
        let signal = Rc::new(Signal::new());
        let set = signal.clone();
        let host = Host::new(Application::new().get("/", async move |exchange: &mut Exchange| {
            let mut events = exchange.event_stream_with(&EventStreamOptions::new().keep_alive(Duration::ZERO))?;
            signal.wait().await;
            events.send(Event::new("at last")).await
        }));
        let page = host.connect();
        page.open("/").await;
        clock.advance(24 * 3600 * SECOND).await;
        set.set();
        assert_eq!(page.text().await, "data: at last\n\n");
    });
}

#[test]
fn a_client_that_goes_ends_the_handler_wherever_it_waits() {
    run_virtual(async |clock| {
        let (news, ended) = (broadcast::Sender::new(16), Rc::<Cell<u32>>::default());
        let host = Host::new(relay(&news, &ended));
        let (one, other) = (host.connect(), host.connect());
        one.open("/").await;
        other.open("/").await;
        assert_eq!(news.waiting(), 2);
        drop(one);
        clock.advance(Duration::ZERO).await;
        assert_eq!((ended.get(), news.waiting(), host.handle.connections()), (1, 1, 1));
        drop(other);
        clock.advance(Duration::ZERO).await;
        assert_eq!((ended.get(), news.waiting(), host.handle.connections()), (2, 0, 0));
    });
}

#[test]
fn a_drain_asks_the_clients_to_come_back_at_different_times() {
    run_virtual(async |clock| {
        let (news, ended) = (broadcast::Sender::new(16), Rc::<Cell<u32>>::default());
        let host = Host::new(relay(&news, &ended));
        let mut pages: Vec<_> = (0..20).map(|_| host.connect()).collect();
        for page in &pages {
            page.open("/").await;
        }
        // On its way when the drain begins.
        news.send(numbered(1));
        let drained = drain(&host.handle);
        let mut waits = Vec::new();
        for page in &mut pages {
            assert_eq!(page.event().await.expect("it was sent before").data, "news 1");
            assert_eq!(page.event().await, None, "the end, in order");
            waits.push(page.parser.retry().expect("it is told when to come back"));
        }
        let report = drained.await.unwrap();
        assert_eq!((report.finished, report.cut), (20, 0));
        assert_eq!((ended.get(), news.waiting()), (20, 0));
        assert_eq!(clock.elapsed(), Duration::ZERO);
        assert!(waits.iter().all(|wait| (SECOND..=5 * SECOND).contains(wait)), "{waits:?}");
        waits.sort();
        waits.dedup();
        assert!(waits.len() > 10, "{waits:?}");
    });
}

#[test]
fn a_stream_that_begins_while_the_server_drains_ends_at_once() {
    run_virtual(async |_clock| {
        let begin = Rc::new(Signal::new());
        let set = begin.clone();
        let host = Host::new(Application::new().get("/", async move |exchange: &mut Exchange| {
            begin.wait().await;
            let options = EventStreamOptions::new().drain_retry(SECOND..=SECOND);
            let mut events = exchange.event_stream_with(&options)?;
            events.send(Event::new("first")).await?;
            std::future::pending().await
        }));
        let mut page = host.connect();
        page.request("GET", "/", "").await;
        let drained = drain(&host.handle);
        web::yield_now().await;
        set.set();
        page.head().await;
        assert_eq!(page.event().await.unwrap().data, "first");
        assert_eq!(page.event().await, None);
        assert_eq!(page.parser.retry(), Some(SECOND));
        assert_eq!(drained.await.unwrap().cut, 0);
    });
}

#[test]
fn a_client_that_does_not_read_holds_back_its_handler_and_is_given_up() {
    run_virtual(async |clock| {
        let (sent, ended) = (Rc::<Cell<usize>>::default(), Rc::<Cell<u32>>::default());
        let (count, told) = (sent.clone(), ended.clone());
        let host = Host::new(Application::new().get("/", async move |exchange: &mut Exchange| {
            let _told = Told(told.clone());
            let mut events = exchange.event_stream()?;
            loop {
                events.send(Event::new("x".repeat(1024))).await?;
                count.set(count.get() + 1);
            }
        }));
        let mut page = host.connect_with(10_000);
        page.open("/").await;
        clock.advance(SECOND).await;
        let held_back = sent.get();
        assert!((64..250).contains(&held_back), "{held_back}");
        for _ in 0..1000 {
            assert_eq!(page.event().await.expect("it goes on").data.len(), 1024);
        }
        clock.advance(SECOND).await;
        assert!((1000..1250).contains(&sent.get()), "{}", sent.get());
        clock.advance(40 * SECOND).await;
        assert_eq!((ended.get(), host.handle.connections()), (1, 0));
    });
}

#[test]
fn pacing_waits_until_an_event_has_left() {
    run_virtual(async |clock| {
        let sent = Rc::<Cell<usize>>::default();
        let count = sent.clone();
        let host = Host::new(Application::new().get("/", async move |exchange: &mut Exchange| {
            let mut events = exchange.event_stream()?;
            loop {
                events.send(Event::new("x".repeat(1000))).await?;
                events.flush().await?;
                count.set(count.get() + 1);
            }
        }));
        let page = host.connect_with(10_000);
        page.open("/").await;
        clock.advance(SECOND).await;
        assert!((8..=11).contains(&sent.get()), "{}", sent.get());
    });
}

#[test]
fn head_is_answered_by_the_head_and_ends_the_handler() {
    run_virtual(async |clock| {
        let (news, ended) = (broadcast::Sender::new(16), Rc::<Cell<u32>>::default());
        let host = Host::new(relay(&news, &ended));
        let page = host.connect();
        page.request("HEAD", "/", "").await;
        let head = page.head().await.to_lowercase();
        assert!(head.starts_with("http/1.1 200 ") && head.contains("text/event-stream"), "{head}");
        clock.advance(Duration::ZERO).await;
        assert_eq!((ended.get(), news.waiting()), (1, 0));
        // Nothing follows the head.
        page.request("GET", "/unknown", "").await;
        assert!(page.head().await.starts_with("HTTP/1.1 404 "));
    });
}

#[test]
fn an_event_that_cannot_be_encoded_is_an_error_and_nothing_of_it_is_sent() {
    run_virtual(async |_clock| {
        let host = Host::new(Application::new().get("/", async |exchange: &mut Exchange| {
            let mut events = exchange.event_stream()?;
            let error = events.send(Event::new("x").id("a\nb")).await.unwrap_err();
            events.send(Event::new(error.to_string())).await
        }));
        let mut page = host.connect();
        page.open("/").await;
        assert_eq!(page.event().await.unwrap().data, "Invalid event: a line break in the id");
        assert_eq!(page.event().await, None);
    });
}

#[test]
fn a_stream_cannot_begin_behind_a_head() {
    let application = Application::new()
        .get("/sent", async |exchange: &mut Exchange| {
            exchange.flush().await?;
            let error = exchange_error(exchange);
            exchange.write(error);
            Ok(())
        })
        .get("/finished", async |exchange: &mut Exchange| {
            exchange.write("a page");
            exchange.finish();
            assert_eq!(exchange_error(exchange), "The response is already finished");
            Ok(())
        });
    assert_eq!(util::in_process::get(&application, "/sent").text(), "The head of the response has already been sent");
    assert_eq!(util::in_process::get(&application, "/finished").text(), "a page");
}

fn exchange_error(exchange: &mut Exchange) -> String {
    exchange.event_stream().unwrap_err().to_string()
}

#[test]
fn the_last_event_id_is_what_the_client_remembers() {
    let application = Application::new().get("/", async |exchange: &mut Exchange| {
        let id = format!("{:?}", exchange.last_event_id()?);
        exchange.write_text(id);
        Ok(())
    });
    assert_eq!(ask(&application, Method::GET, "/").text(), "None");
    for (id, seen) in
        [("", "None"), ("7", "Some(\"7\")"), ("a b", "Some(\"a b\")"), ("caf\u{e9}", "Some(\"caf\u{e9}\")")]
    {
        let answer = send(&application, Request::builder().header("Last-Event-ID", id));
        assert_eq!(answer.text(), seen);
    }
    let server = util::serve(|| {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.last_event_id()?;
            Ok(())
        })
    });
    let mut client = server.connect();
    client.request_bytes("GET", "/", b"Last-Event-ID: \xff\r\n");
    assert_eq!(client.reply().status, 400);
}

/// An event for each piece of a stream, and a note when it is over.
struct Watched(Rc<Cell<u32>>);

impl RequestHandler for Watched {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let _events = exchange.event_stream()?;
        std::future::pending().await
    }

    fn on_finish(&self, exchange: &mut Exchange) {
        assert_eq!(exchange.status().as_u16(), 200);
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn on_finish_runs_when_a_stream_ends() {
    run_virtual(async |clock| {
        let finished = Rc::<Cell<u32>>::default();
        let host = Host::new(Application::new().handler("/", Watched(finished.clone())));
        let (gone, mut drained) = (host.connect(), host.connect());
        gone.open("/").await;
        drained.open("/").await;
        drop(gone);
        clock.advance(Duration::ZERO).await;
        assert_eq!(finished.get(), 1);
        let report = drain(&host.handle);
        assert_eq!(drained.event().await, None);
        report.await.unwrap();
        assert_eq!(finished.get(), 2);
    });
}
