//! Clients that come, go, come back with their last cursor and change their way of delivery in the middle see every message
//! once and in order, or are told that they have missed some. The model is the number of the next message.

mod util;

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest::prelude::*;
use serde::Deserialize;
use util::pages::{Host, Page, SECOND, UPGRADE, client_frame, run_virtual, split_frame};
use web::{
    Application, Exchange,
    comet::{Hub, HubOptions, SlowPolicy, Start, Update},
    httpserver::iostream::ioloop::VirtualClock,
};

const CLIENTS: usize = 3;
const HISTORY: u32 = 8;

#[derive(Debug, Clone, Copy)]
enum Way {
    Poll,
    Events,
    Socket,
}

#[derive(Debug, Clone)]
enum Step {
    Publish(u32),
    /// A client connects, unless it is connected.
    Connect(usize, Way),
    /// A client reads, at most so many bytes.
    Read(usize, usize),
    /// A client goes in the middle of whatever there is.
    Leave(usize),
    Advance(u64),
    /// The server drains and another one takes over, with the same hub.
    Restart,
    /// The process dies, and a new one begins with an empty hub.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let way = prop_oneof![Just(Way::Poll), Just(Way::Events), Just(Way::Socket)];
    prop_oneof![
        6 => prop_oneof![8 => 1_u32..4, 1 => 4_u32..20].prop_map(Step::Publish),
        5 => (0..CLIENTS, way).prop_map(|(client, way)| Step::Connect(client, way)),
        8 => (0..CLIENTS, prop_oneof![1_usize..200, Just(100_000)]).prop_map(|(client, most)| Step::Read(client, most)),
        5 => (0..CLIENTS).prop_map(Step::Leave),
        2 => (0_u64..40).prop_map(Step::Advance),
        1 => Just(Step::Restart),
    ]
}

/// A run, with the policy of its streams, and whether time and crashes take messages away as well.
fn run() -> impl Strategy<Value = (Vec<Step>, bool, bool)> {
    let calm = prop::collection::vec(step(), 1..120);
    let rough = prop::collection::vec(prop_oneof![30 => step(), 1 => Just(Step::Crash)], 1..120);
    prop_oneof![(calm, any::<bool>(), Just(false)), (rough, any::<bool>(), Just(true))]
}

/// What a poll is answered, or a message of a socket.
#[derive(Debug, Deserialize)]
struct News {
    cursor: String,
    #[serde(default)]
    messages: Vec<u32>,
    data: Option<u32>,
    #[serde(default)]
    lagged: bool,
    missed: Option<u32>,
    #[serde(default)]
    reset: bool,
}

/// The world.
struct World {
    clock: VirtualClock,
    hub: Hub,
    host: Host,
    disconnects: bool,
    is_rough: bool,
    /// The number of the next message.
    next: u32,
}

#[derive(Default)]
struct Client {
    connection: Option<Connection>,
    cursor: Option<String>,
    /// The number of the message that it has to see next; `None` before it knows where it stands.
    expected: Option<u32>,
    /// It was told that it has missed messages, and how many if that is known.
    told: Option<Option<u32>>,
}

/// What a client has open.
struct Connection {
    page: Page,
    way: Way,
    received: Vec<u8>,
    has_head: bool,
}

impl World {
    fn new(clock: VirtualClock, disconnects: bool, is_rough: bool) -> World {
        let hub = new_hub(is_rough);
        let host = serve(&hub, disconnects);
        World { clock, hub, host, disconnects, is_rough, next: 0 }
    }

    async fn settle(&self) {
        self.clock.advance(Duration::ZERO).await;
    }

    async fn publish(&mut self, count: u32) {
        for _ in 0..count {
            self.hub.publish("news", &self.next).await.expect("it is published");
            self.next += 1;
        }
    }

    async fn connect(&self, client: &mut Client, way: Way) {
        if client.connection.is_some() {
            return;
        }
        // Small, so that a page which does not read holds its server up.
        let page = self.host.connect_with(512);
        let cursor = client.cursor.as_ref().map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
        match (way, &client.cursor) {
            (Way::Events, Some(cursor)) => {
                page.request("GET", "/events", &format!("Last-Event-ID: {cursor}\r\n")).await;
            }
            (Way::Events, None) => page.request("GET", "/events", "").await,
            (Way::Socket, _) => page.request("GET", &format!("/socket{cursor}"), UPGRADE).await,
            (Way::Poll, _) => page.request("GET", &format!("/poll{cursor}"), "").await,
        }
        client.connection = Some(Connection { page, way, received: Vec::new(), has_head: false });
        self.settle().await;
        if client.cursor.is_none() {
            // It begins here, as it will be told.
            client.expected = Some(self.next);
            while client.cursor.is_none() {
                self.read(client, 100_000).await;
            }
        }
    }

    /// Reads what has come, and judges it.
    async fn read(&self, client: &mut Client, most: usize) {
        let Some(connection) = &mut client.connection else { return };
        let is_over = connection.receive(most).await;
        self.settle().await;
        if !connection.has_head {
            let Some(end) = find(&connection.received, b"\r\n\r\n") else { return self.end(client, is_over) };
            match connection.way {
                Way::Events | Way::Socket => drop(connection.received.drain(..end + 4)),
                Way::Poll => return self.read_answer(client, end, is_over),
            }
            connection.has_head = true;
        }
        match connection.way {
            Way::Socket => self.read_frames(client, is_over),
            _ => self.read_events(client, is_over),
        }
    }

    fn read_answer(&self, client: &mut Client, end: usize, is_over: bool) {
        let connection = client.connection.as_mut().expect("it is read");
        let head = String::from_utf8(connection.received[..end].to_vec()).expect("a head").to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
        let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
        let body = &connection.received[end + 4..];
        if body.len() < length {
            return self.end(client, is_over);
        }
        let news: News = serde_json::from_slice(&body[..length]).expect("an answer");
        client.connection = None;
        self.hear(client, news);
    }

    fn read_frames(&self, client: &mut Client, is_over: bool) {
        let connection = client.connection.as_mut().expect("it is read");
        let (mut news, mut has_ended) = (Vec::new(), is_over);
        while let Some((opcode, content, rest)) = split_frame(&connection.received) {
            match opcode {
                1 => news.push(serde_json::from_slice(content).expect("a message")),
                8 => has_ended = true,
                9 => drop(connection.page.stream.write(client_frame(10, content))),
                opcode => panic!("{opcode}"),
            }
            connection.received = rest.to_vec();
        }
        for news in news {
            self.hear(client, news);
        }
        self.end(client, has_ended);
    }

    fn hear(&self, client: &mut Client, news: News) {
        if news.lagged || news.reset {
            self.tell(client, news.missed, news.reset);
        }
        for number in news.messages.into_iter().chain(news.data) {
            self.see(client, number);
        }
        client.cursor = Some(news.cursor);
    }

    fn read_events(&self, client: &mut Client, is_over: bool) {
        let connection = client.connection.as_mut().expect("it is read");
        let mut has_ended = is_over;
        while let Some((chunk, rest)) = split_chunk(&connection.received) {
            has_ended |= chunk.is_empty();
            connection.page.parser.push(&chunk).expect("events");
            connection.received = rest;
        }
        let mut events = Vec::new();
        while let Some(event) = connection.page.parser.next_event() {
            events.push(event);
        }
        let last_id = connection.page.parser.last_event_id().to_owned();
        for event in events {
            match event.name.as_str() {
                "message" => self.see(client, event.data.parse().expect("a number")),
                "lagged" => {
                    let missed = event.data.trim_matches(|c: char| !c.is_ascii_digit());
                    self.tell(client, missed.parse().ok(), false);
                }
                "reset" => self.tell(client, None, true),
                name => panic!("{name}"),
            }
        }
        if !last_id.is_empty() {
            client.cursor = Some(last_id);
        }
        self.end(client, has_ended);
    }

    fn end(&self, client: &mut Client, is_over: bool) {
        if is_over {
            client.connection = None;
        }
    }

    /// A client is told of a gap.
    fn tell(&self, client: &mut Client, missed: Option<u32>, reset: bool) {
        assert!(!reset || self.is_rough, "nothing has begun a new life");
        if !self.is_rough {
            let expected = client.expected.expect("it knows where it stands");
            assert!(self.next - expected > HISTORY, "the history reaches back to {expected} of {}", self.next);
        }
        // Behind a gap of unknown size the next one is of unknown size as well.
        let before = client.told.unwrap_or(Some(0));
        client.told = Some(before.zip(missed).map(|(before, missed)| before + missed));
    }

    /// A client sees a message.
    fn see(&self, client: &mut Client, number: u32) {
        let expected = client.expected.expect("it knows where it stands");
        match client.told.take() {
            None => assert_eq!(number, expected, "the next of {}", self.next),
            Some(None) => {
                assert!(number > expected || (self.is_rough && number == expected), "{number} after {expected}")
            }
            Some(Some(missed)) => assert_eq!(number, expected + missed),
        }
        client.expected = Some(number + 1);
    }

    async fn restart(&mut self) {
        let draining = self.host.handle.drain(SECOND);
        self.host = serve(&self.hub, self.disconnects);
        web::IOLoop::current().spawn_detached(async move {
            draining.await;
        });
        self.settle().await;
    }

    async fn crash(&mut self) {
        self.host.handle.stop();
        self.hub = new_hub(self.is_rough);
        self.restart().await;
        self.clock.advance(2 * SECOND).await;
    }
}

impl Connection {
    /// Takes up to `most` bytes of what has come. True at the end of the connection.
    async fn receive(&mut self, most: usize) -> bool {
        let mut left = most;
        loop {
            let mut buffer = [0; 256];
            let room = buffer.len().min(left);
            let read = poll_fn(|cx| Poll::Ready(self.page.stream.poll_read_some(cx, &mut buffer[..room]))).await;
            match read {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => return left > 0,
                Poll::Ready(Err(_)) => return true,
                Poll::Ready(Ok(count)) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    left -= count;
                }
            }
            // The server sends on as there is room.
            web::yield_now().await;
            web::yield_now().await;
        }
    }
}

fn new_hub(is_rough: bool) -> Hub {
    let options = HubOptions::new();
    Hub::with_options(match is_rough {
        true => options.history(HISTORY as usize, 1_000_000, 60 * SECOND).idle(20 * SECOND),
        false => options.history(HISTORY as usize, 1_000_000, 1_000_000 * SECOND).idle(1_000_000 * SECOND),
    })
}

fn serve(hub: &Hub, disconnects: bool) -> Host {
    let (polls, events, sockets) = (hub.clone(), hub.clone(), hub.clone());
    let policy = if disconnects { SlowPolicy::Disconnect } else { SlowPolicy::DropOldest };
    Host::new(
        Application::new()
            .access_log(false)
            .get("/poll", async move |exchange: &mut Exchange| {
                polls.deliver("news").policy(policy).long_poll(exchange).await
            })
            .get("/socket", async move |exchange: &mut Exchange| {
                sockets.deliver("news").policy(policy).websocket(exchange)
            })
            .get("/events", async move |exchange: &mut Exchange| {
                events.deliver("news").policy(policy).event_stream(exchange)
            }),
    )
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// The first chunk, if it is complete, and what is behind it.
fn split_chunk(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let line = find(bytes, b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).expect("a size"), 16).expect("a size");
    let chunk = bytes.get(line + 2..line + 2 + size)?;
    let rest = bytes.get(line + 4 + size..)?;
    Some((chunk.to_vec(), rest.to_vec()))
}

async fn play(clock: VirtualClock, steps: Vec<Step>, disconnects: bool, is_rough: bool) {
    let mut world = World::new(clock, disconnects, is_rough);
    let mut clients: [Client; CLIENTS] = Default::default();
    for step in steps {
        match step {
            Step::Publish(count) => world.publish(count).await,
            Step::Connect(client, way) => world.connect(&mut clients[client], way).await,
            Step::Read(client, most) => world.read(&mut clients[client], most).await,
            Step::Leave(client) => clients[client].connection = None,
            Step::Advance(seconds) => world.clock.advance(u32::try_from(seconds).expect("few") * SECOND).await,
            Step::Restart => world.restart().await,
            Step::Crash => world.crash().await,
        }
        world.settle().await;
    }
    // In the end everybody sees the last message.
    world.publish(1).await;
    for client in &mut clients {
        for way in [Way::Events, Way::Poll, Way::Socket].into_iter().cycle().take(20) {
            world.connect(client, way).await;
            for _ in 0..20 {
                world.read(client, 100_000).await;
            }
            client.connection = None;
            world.settle().await;
            if client.expected == Some(world.next) {
                break;
            }
        }
        assert_eq!(client.expected, Some(world.next), "it hangs");
    }
    assert_eq!(world.hub.subscribers("news"), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn clients_see_every_message_once_and_in_order_or_are_told((steps, disconnects, is_rough) in run()) {
        run_virtual(|clock| play(clock, steps, disconnects, is_rough));
    }

    /// Who coalesces may miss a message only for a later one of its key, and has the latest of each key in the end.
    #[test]
    fn coalescing_leaves_out_what_is_superseded_and_nothing_else(
        steps in prop::collection::vec((prop::option::weighted(0.8, 0_u8..3), any::<bool>()), 1..60),
    ) {
        let hub = Hub::with_options(HubOptions::new().history(100, 1_000_000, 100 * SECOND));
        let mut subscription = hub.subscribe("state", Start::Now).unwrap().policy(SlowPolicy::Coalesce);
        let (mut sent, mut seen): (Vec<Option<u8>>, Vec<usize>) = Default::default();
        let (mut latest, mut known) = (HashMap::new(), HashMap::new());
        for (key, reads) in steps {
            let name = key.map(|key| key.to_string());
            let published = pin!(hub.publish_with_key("state", name.as_deref(), &sent.len()))
                .poll(&mut Context::from_waker(Waker::noop()));
            prop_assert!(matches!(published, Poll::Ready(Ok(_))));
            latest.insert(key, sent.len());
            sent.push(key);
            if !reads {
                continue;
            }
            while let Poll::Ready(Some(Update::Message(message))) = subscription.try_next() {
                let number: usize = serde_json::from_slice(message.data()).unwrap();
                let key = sent[number].map(|key| key.to_string());
                prop_assert_eq!(message.key(), key.as_deref());
                let first = seen.last().map_or(0, |last| last + 1);
                prop_assert!(number >= first);
                for left_out in first..number {
                    prop_assert!(sent[left_out].is_some() && sent[left_out + 1..].contains(&sent[left_out]));
                }
                seen.push(number);
                known.insert(sent[number], number);
            }
            prop_assert_eq!(&known, &latest);
        }
    }
}
