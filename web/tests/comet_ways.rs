//! A channel delivered by long poll, by server-sent events and by WebSocket.

mod util;

use std::time::Duration;

use serde::Deserialize;
use util::pages::{Host, Page, SECOND, client_frame, run_virtual};
use web::{
    Application, Exchange,
    comet::{Cursor, Hub, HubOptions, SlowPolicy},
    httpserver::iostream::ioloop::VirtualClock,
    spawn,
    websocket::{Message, WebSocketOptions, WebSocketSender},
};

/// What a poll is answered.
#[derive(Debug, Deserialize)]
struct News {
    cursor: String,
    messages: Vec<u32>,
    #[serde(default)]
    lagged: bool,
    missed: Option<u64>,
    #[serde(default)]
    reset: bool,
    retry: Option<u64>,
}

fn host(hub: &Hub) -> Host {
    let (polls, events, sockets) = (hub.clone(), hub.clone(), hub.clone());
    Host::new(
        Application::new()
            .get("/poll", async move |exchange: &mut Exchange| {
                let latest = exchange.query_opt("latest")?.unwrap_or(0);
                polls.deliver("news").latest(latest).long_poll(exchange).await
            })
            .get("/socket", async move |exchange: &mut Exchange| {
                let policy = match exchange.query_opt::<String>("policy")?.as_deref() {
                    Some("disconnect") => SlowPolicy::Disconnect,
                    _ => SlowPolicy::DropOldest,
                };
                let latest = exchange.query_opt("latest")?.unwrap_or(0);
                let publisher = sockets.clone();
                let on_message = async move |_: &WebSocketSender, message: Message| {
                    let number: u32 = message.as_text().and_then(|text| text.parse().ok()).unwrap_or(0);
                    publisher.publish("news", &number).await.map(drop)
                };
                let delivery = sockets.deliver("news").latest(latest).policy(policy).member("socket");
                delivery.websocket_with(exchange, &WebSocketOptions::new(), on_message)
            })
            .get("/events", async move |exchange: &mut Exchange| {
                let policy = match exchange.query_opt::<String>("policy")?.as_deref() {
                    Some("disconnect") => SlowPolicy::Disconnect,
                    Some("coalesce") => SlowPolicy::Coalesce,
                    _ => SlowPolicy::DropOldest,
                };
                let latest = exchange.query_opt("latest")?.unwrap_or(0);
                events.deliver("news").latest(latest).policy(policy).event_stream(exchange)
            }),
    )
}

async fn publish(hub: &Hub, numbers: impl IntoIterator<Item = u32>) -> Cursor {
    let mut last = None;
    for number in numbers {
        last = Some(hub.publish("news", &number).await.expect("it is published"));
    }
    last.expect("at least one")
}

async fn ask(page: &Page, query: &str) {
    page.request("GET", &format!("/poll?{query}"), "").await;
}

async fn answer(page: &Page) -> News {
    let head = page.head().await.to_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    for line in ["content-type: application/json\r\n", "cache-control: no-store\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()).expect("a length");
    let body = page.stream.read_bytes(length.parse().expect("a number")).await.expect("a body");
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {body:?}"))
}

async fn poll(page: &Page, query: &str) -> News {
    ask(page, query).await;
    answer(page).await
}

/// Lets everything run that can.
async fn settle(clock: &VirtualClock) {
    clock.advance(Duration::ZERO).await;
}

#[test]
fn a_poll_without_a_cursor_is_answered_at_once() {
    run_virtual(async |_clock| {
        let hub = Hub::new();
        let page = host(&hub).connect();
        let first = poll(&page, "").await;
        assert_eq!(first.messages, [0; 0]);
        let last = publish(&hub, 1..=5).await;
        let latest = poll(&page, "latest=2").await;
        assert_eq!((latest.messages, latest.cursor), (vec![4, 5], last.to_string()));
        let all = poll(&page, &format!("cursor={}", first.cursor)).await;
        assert_eq!((all.messages, all.cursor), (vec![1, 2, 3, 4, 5], last.to_string()));
        assert!(!all.lagged && !all.reset && all.missed.is_none() && all.retry.is_none());
    });
}

#[test]
fn polls_wait_for_the_next_message_and_all_get_it() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let cursor = publish(&hub, [1]).await;
        let pages: Vec<_> = (0..5).map(|_| host.connect()).collect();
        for page in &pages {
            ask(page, &format!("cursor={cursor}")).await;
        }
        settle(&clock).await;
        assert_eq!(hub.subscribers("news"), 5);
        let last = publish(&hub, [2, 3]).await;
        for page in &pages {
            let news = answer(page).await;
            assert_eq!((news.messages, news.cursor), (vec![2, 3], last.to_string()));
        }
        assert_eq!(hub.subscribers("news"), 0);
    });
}

#[test]
fn a_poll_without_news_is_answered_before_proxies_lose_patience() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let cursor = publish(&hub, [1]).await;
        let pages: Vec<_> = (0..20).map(|_| host.connect()).collect();
        for page in &pages {
            ask(page, &format!("cursor={cursor}")).await;
        }
        clock.advance(Duration::from_millis(19_900)).await;
        assert_eq!(hub.subscribers("news"), 20);
        clock.advance(Duration::from_millis(2_600)).await;
        let left = hub.subscribers("news");
        assert!((1..20).contains(&left), "{left} wait: they part");
        clock.advance(Duration::from_millis(2_600)).await;
        assert_eq!(hub.subscribers("news"), 0);
        for page in &pages {
            let news = answer(page).await;
            assert_eq!((news.messages, news.cursor), (vec![], cursor.to_string()));
        }
    });
}

#[test]
fn a_poll_says_when_something_was_missed() {
    run_virtual(async |_clock| {
        let hub = Hub::with_options(HubOptions::new().history(2, 1000, 60 * SECOND));
        let page = host(&hub).connect();
        let first = publish(&hub, [1]).await;
        publish(&hub, 2..=5).await;
        let lagged = poll(&page, &format!("cursor={first}")).await;
        assert!(lagged.lagged && !lagged.reset);
        assert_eq!(lagged.messages, [4, 5]);
        for cursor in ["feed.1", "nonsense", "1700000000000-0", ""] {
            let reset = poll(&page, &format!("cursor={cursor}")).await;
            assert!(reset.reset && !reset.lagged, "{cursor:?}");
            assert_eq!(reset.messages, [4, 5]);
        }
    });
}

#[test]
fn a_drain_answers_polls_and_tells_them_when_to_come_back() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let cursor = publish(&hub, [1]).await;
        let pages: Vec<_> = (0..10).map(|_| host.connect()).collect();
        for page in &pages {
            ask(page, &format!("cursor={cursor}")).await;
        }
        settle(&clock).await;
        let draining = host.handle.drain(600 * SECOND);
        let drained = spawn(draining);
        let mut waits = Vec::new();
        for page in &pages {
            let news = answer(page).await;
            assert_eq!((news.messages, news.cursor), (vec![], cursor.to_string()));
            waits.push(news.retry.expect("when to come back"));
        }
        assert_eq!(drained.await.unwrap().cut, 0);
        assert!(waits.iter().all(|wait| (1000..=5000).contains(wait)), "{waits:?}");
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 5, "{waits:?}");
    });
}

#[test]
fn head_is_answered_at_once() {
    run_virtual(async |_clock| {
        let hub = Hub::new();
        let cursor = publish(&hub, [1]).await;
        let page = host(&hub).connect();
        page.request("HEAD", &format!("/poll?cursor={cursor}"), "").await;
        assert!(page.head().await.starts_with("HTTP/1.1 200 "));
        page.request("HEAD", "/events", "").await;
        assert!(page.head().await.to_lowercase().contains("text/event-stream"));
        assert_eq!(hub.subscribers("news"), 0);
        assert_eq!(poll(&page, "latest=1").await.messages, [1]);
    });
}

#[test]
fn clients_that_go_are_forgotten_at_once() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let cursor = publish(&hub, [1]).await;
        let (polling, listening) = (host.connect(), host.connect());
        ask(&polling, &format!("cursor={cursor}")).await;
        listening.open("/events").await;
        settle(&clock).await;
        assert_eq!(hub.subscribers("news"), 2);
        drop(polling);
        settle(&clock).await;
        assert_eq!((hub.subscribers("news"), host.handle.connections()), (1, 1));
        drop(listening);
        settle(&clock).await;
        assert_eq!((hub.subscribers("news"), host.handle.connections()), (0, 0));
    });
}

#[test]
fn an_event_stream_has_the_cursors_as_ids_and_begins_with_one() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let before = publish(&hub, 1..=3).await;
        let mut page = host.connect();
        let head = page.open("/events").await.to_lowercase();
        for line in ["content-type: text/event-stream\r\n", "cache-control: no-store\r\n", "x-accel-buffering: no\r\n"]
        {
            assert!(head.contains(line), "{head}");
        }
        assert_eq!(page.text().await, format!("id: {before}\n\n"));
        let cursor = publish(&hub, [4]).await;
        let event = page.event().await.unwrap();
        assert_eq!((event.name.as_str(), event.data.as_str(), event.id), ("message", "4", cursor.to_string()));
        clock.advance(15 * SECOND).await;
        assert_eq!(page.text().await, ":\n\n");
        // Comes back. What the address says is older than that.
        let mut back = host.connect();
        back.request("GET", "/events?cursor=nonsense", &format!("Last-Event-ID: {cursor}\r\n")).await;
        back.head().await;
        let next = publish(&hub, [5]).await;
        let event = back.event().await.unwrap();
        assert_eq!((event.name.as_str(), event.data.as_str(), event.id), ("message", "5", next.to_string()));
        let mut page = host.connect();
        page.open("/events?latest=2").await;
        let events = [page.event().await.unwrap(), page.event().await.unwrap()];
        assert_eq!(events.map(|event| event.data), ["4", "5"]);
    });
}

#[test]
fn an_event_stream_says_when_something_was_missed() {
    run_virtual(async |_clock| {
        let hub = Hub::with_options(HubOptions::new().history(2, 1000, 60 * SECOND));
        let host = host(&hub);
        let first = publish(&hub, [1]).await;
        publish(&hub, 2..=5).await;
        for (cursor, name, data) in
            [(first.to_string(), "lagged", "{\"missed\":null}"), ("nonsense".to_owned(), "reset", "null")]
        {
            let mut page = host.connect();
            page.open(&format!("/events?cursor={cursor}")).await;
            let event = page.event().await.unwrap();
            assert_eq!((event.name.as_str(), event.data.as_str()), (name, data));
            // Who comes back with the id of this event gets what follows it.
            let mut back = host.connect();
            back.request("GET", "/events", &format!("Last-Event-ID: {}\r\n", event.id)).await;
            back.head().await;
            for page in [&mut page, &mut back] {
                assert_eq!(page.event().await.unwrap().data, "4");
                assert_eq!(page.event().await.unwrap().data, "5");
            }
        }
    });
}

#[test]
fn a_page_that_reads_too_slowly_is_treated_as_its_policy_says() {
    for (policy, name, first) in [("", "lagged", 0), ("coalesce", "lagged", 0), ("disconnect", "", 0)] {
        run_virtual(async |clock| {
            let hub = Hub::with_options(HubOptions::new().history(10, 1_000_000, 60 * SECOND));
            let mut page = host(&hub).connect_with(10_000);
            page.open(&format!("/events?policy={policy}")).await;
            for number in 0..100 {
                hub.publish("news", &format!("{number:01000}")).await.unwrap();
                settle(&clock).await;
            }
            let (mut seen, mut names) = (Vec::new(), Vec::new());
            loop {
                match page.event().await {
                    None => break,
                    Some(event) if event.name != "message" => {
                        names.push(event.name);
                        assert!(event.data.starts_with("{\"missed\":"), "{}", event.data);
                    }
                    Some(event) => {
                        seen.push(event.data.trim_matches('"').parse::<u32>().unwrap());
                        if seen.last() == Some(&99) {
                            break;
                        }
                    }
                }
            }
            assert_eq!(seen[0], first);
            assert!(seen.is_sorted());
            assert_eq!(names.first().map_or("", String::as_str), name, "{seen:?}");
            assert_eq!(seen.contains(&99), policy != "disconnect");
        });
    }
}

#[test]
fn a_drain_ends_event_streams_and_tells_them_when_to_come_back() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let mut page = host.connect();
        page.open("/events").await;
        settle(&clock).await;
        publish(&hub, [1]).await;
        let draining = host.handle.drain(600 * SECOND);
        let drained = spawn(draining);
        assert_eq!(page.event().await.unwrap().data, "1");
        assert_eq!(page.event().await, None);
        assert!(page.parser.retry().is_some());
        assert_eq!(drained.await.unwrap().cut, 0);
        assert_eq!(hub.subscribers("news"), 0);
    });
}

#[test]
fn a_socket_gets_its_cursor_first_and_then_messages_with_theirs() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let before = publish(&hub, 1..=3).await;
        let page = host.connect();
        page.open_socket("/socket").await;
        assert_eq!(page.message().await, format!("{{\"cursor\":\"{before}\"}}"));
        let cursor = publish(&hub, [4]).await;
        assert_eq!(page.message().await, format!("{{\"cursor\":\"{cursor}\",\"data\":4}}"));
        // What it says comes back, as to everybody.
        page.stream.write(client_frame(1, b"5")).await.unwrap();
        assert!(page.message().await.ends_with(",\"data\":5}"));
        assert_eq!((hub.subscribers("news"), hub.members("news")[0].connections), (1, 1));
        drop(page);
        settle(&clock).await;
        assert_eq!((hub.subscribers("news"), hub.members("news")[0].connections), (0, 0));

        let back = host.connect();
        back.open_socket(&format!("/socket?cursor={cursor}")).await;
        assert!(back.message().await.ends_with(",\"data\":5}"));
        let lost = host.connect();
        lost.open_socket("/socket?cursor=nonsense").await;
        assert!(lost.message().await.ends_with(",\"reset\":true}"));
        assert!(lost.message().await.ends_with(",\"data\":1}"));
        let new = host.connect();
        new.open_socket("/socket?latest=1").await;
        assert_eq!(new.message().await, format!("{{\"cursor\":\"{}\"}}", cursor));
        assert!(new.message().await.ends_with(",\"data\":5}"));
    });
}

#[test]
fn a_request_that_is_no_websocket_joins_nothing() {
    run_virtual(async |_clock| {
        let hub = Hub::new();
        let page = host(&hub).connect();
        page.request("GET", "/socket", "").await;
        assert!(page.head().await.starts_with("HTTP/1.1 426 "));
        assert_eq!((hub.subscribers("news"), hub.members("news").len(), hub.channels()), (0, 0, 0));
    });
}

#[test]
fn a_socket_that_is_too_slow_lags_or_is_closed() {
    for policy in ["", "disconnect"] {
        run_virtual(async |clock| {
            let hub = Hub::with_options(HubOptions::new().history(10, 1_000_000, 600 * SECOND));
            let page = host(&hub).connect_with(4_000);
            page.open_socket(&format!("/socket?policy={policy}")).await;
            for number in 0..200 {
                hub.publish("news", &format!("{number:01000}")).await.unwrap();
                settle(&clock).await;
            }
            let (mut lagged, mut seen) = (false, 0);
            loop {
                let (opcode, content) = page.frame().await;
                if opcode == 8 {
                    assert_eq!((&content[..2], policy), (&1008_u16.to_be_bytes()[..], "disconnect"));
                    break;
                }
                let text = String::from_utf8(content).unwrap();
                lagged |= text.contains("\"lagged\":true,\"missed\":");
                seen += u32::from(text.contains("\"data\""));
                if text.contains("0199\"}") {
                    assert_eq!(policy, "");
                    break;
                }
            }
            assert_eq!(lagged, policy.is_empty());
            assert!(seen < 150, "{seen}");
        });
    }
}

#[test]
fn a_drain_closes_sockets_as_going_away() {
    run_virtual(async |_clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let page = host.connect();
        page.open_socket("/socket").await;
        page.message().await;
        let draining = host.handle.drain(600 * SECOND);
        let drained = spawn(draining);
        let (opcode, content) = page.frame().await;
        assert_eq!((opcode, &content[..2]), (8, &1001_u16.to_be_bytes()[..]));
        page.stream.write(client_frame(8, &1001_u16.to_be_bytes())).await.unwrap();
        page.stream.close();
        drained.await.unwrap();
        assert_eq!(hub.subscribers("news"), 0);
    });
}

#[test]
fn a_cursor_of_one_way_is_good_for_the_others() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let host = host(&hub);
        let page = host.connect();
        let mut cursor = poll(&page, "").await.cursor;
        let mut got = Vec::new();
        for round in 0..4 {
            publish(&hub, [10 * round, 10 * round + 1]).await;
            let mut stream = host.connect();
            stream.open(&format!("/events?cursor={cursor}")).await;
            let event = stream.event().await.unwrap();
            got.push(event.data.parse().unwrap());
            cursor = event.id;
            drop(stream);
            settle(&clock).await;
            let news = poll(&page, &format!("cursor={cursor}")).await;
            assert!(!news.lagged && !news.reset);
            got.extend(news.messages);
            cursor = news.cursor;
            publish(&hub, [10 * round + 2]).await;
            let socket = host.connect();
            socket.open_socket(&format!("/socket?cursor={cursor}")).await;
            let message: serde_json::Value = serde_json::from_str(&socket.message().await).unwrap();
            got.push(message["data"].as_u64().and_then(|data| data.try_into().ok()).unwrap());
            cursor = message["cursor"].as_str().unwrap().to_owned();
        }
        assert_eq!(got, [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]);
    });
}

#[test]
fn a_name_that_cannot_be_is_the_clients_fault() {
    let hub = Hub::new();
    let application = Application::new().get("/{room}", async move |exchange: &mut Exchange| {
        let room: String = exchange.path("room")?;
        match exchange.query_opt::<bool>("poll")? {
            Some(true) => hub.deliver(&room).long_poll(exchange).await,
            _ => hub.deliver(&room).event_stream(exchange),
        }
    });
    for target in ["/%0A", "/%0A?poll=true"] {
        assert_eq!(util::in_process::get(&application, target).status, 400);
    }
}
