//! Hubs over a real `redis-server`, which the tests start themselves. Where there is none they are skipped, and say so.

use std::{
    env, fs,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use web::{
    Error, IOLoop,
    comet::{Hub, HubOptions, Start, Subscription, Update, broker::RedisOptions},
    timeout,
};

/// A test that waits longer than this for anything has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const CHANNEL: &str = "news";

/// A server of its own for each test, on a Unix socket; killed when dropped.
struct RedisServer {
    directory: PathBuf,
    process: Child,
}

impl RedisServer {
    /// `None` where the program is not installed.
    fn start() -> Option<RedisServer> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("waterspout-redis-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        match spawn(&directory) {
            Some(process) => Some(RedisServer { directory, process }),
            None => {
                eprintln!("skipped: there is no redis-server in the PATH");
                let _ = fs::remove_dir_all(&directory);
                None
            }
        }
    }

    /// As by a crash: without a word to anybody.
    fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was started");
        // It would refuse connections, but for a moment.
        let _ = fs::remove_file(self.directory.join("redis.sock"));
    }

    fn start_again(&mut self) {
        self.process = spawn(&self.directory).expect("it was there before");
    }

    /// Has it forget everything, while it does not run.
    fn lose_memory(&self) {
        fs::remove_dir_all(self.directory.join("appendonlydir")).expect("it has written");
    }

    fn options(&self) -> RedisOptions {
        let url = format!("redis+unix://{}", self.directory.join("redis.sock").display());
        RedisOptions::new(&url).expect("an URL").prefix("test:").publish_timeout(PATIENCE)
    }

    fn hub(&self) -> Hub {
        hub(self.options())
    }

    fn client(&self) -> redis::Connection {
        let url = format!("redis+unix://{}", self.directory.join("redis.sock").display());
        redis::Client::open(url).and_then(|client| client.get_connection()).expect("it runs")
    }
}

/// Starts the program, and returns when it accepts connections.
fn spawn(directory: &PathBuf) -> Option<Child> {
    let socket = directory.join("redis.sock");
    let process = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(directory)
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    let began = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(began.elapsed() < PATIENCE, "the server does not listen");
        thread::sleep(Duration::from_millis(5));
    }
    Some(process)
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn hub(options: RedisOptions) -> Hub {
    Hub::with_broker(HubOptions::new().history(1000, 1 << 20, PATIENCE), options.connect().expect("threads"))
}

/// Runs a test on a loop of its own.
fn run<T>(test: impl AsyncFnOnce() -> T) -> T {
    let ioloop = IOLoop::new().expect("a loop");
    let output = ioloop.run_sync(test());
    ioloop.close();
    output
}

async fn next(subscription: &mut Subscription) -> Update {
    timeout(PATIENCE, subscription.next()).await.expect("something comes").expect("it goes on")
}

async fn message(subscription: &mut Subscription) -> String {
    match next(subscription).await {
        Update::Message(message) => String::from_utf8(message.data().to_vec()).expect("JSON"),
        update => panic!("{update:?}"),
    }
}

async fn messages(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push(message(subscription).await);
    }
    messages
}

/// A subscription that has begun: it has received a message, which is published until it has.
async fn begun(hub: &Hub) -> Subscription {
    let mut subscription = hub.subscribe(CHANNEL, Start::Latest(1)).expect("a subscription");
    hub.publish(CHANNEL, "begin").await.expect("it is published");
    assert_eq!(message(&mut subscription).await, "\"begin\"");
    subscription
}

async fn publish(hub: &Hub, numbers: std::ops::Range<u32>) {
    for number in numbers {
        hub.publish(CHANNEL, &number).await.expect("it is published");
    }
}

fn texts(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn all_hubs_get_the_messages_of_all_in_one_order() {
    let Some(server) = RedisServer::start() else { return };
    run(async || {
        let (one, other) = (server.hub(), server.hub());
        let mut here = begun(&one).await;
        let mut there = other.subscribe(CHANNEL, Start::After(here.cursor().expect("begun"))).expect("a subscription");
        // Without waiting for one another, as handlers do.
        let published: Vec<_> =
            (0..200).map(|number| if number % 2 == 0 { &one } else { &other }.publish(CHANNEL, &number)).collect();
        for publication in published {
            publication.await.expect("it is published");
        }
        let (here, there) = (messages(&mut here, 200).await, messages(&mut there, 200).await);
        assert_eq!(here, there);
        // Two publishers share no order, and each keeps its own.
        for rest in 0..2 {
            let of_one = here.iter().filter(|text| text.parse::<u32>().expect("a number") % 2 == rest);
            assert!(of_one.eq(texts(0..200).iter().skip(rest as usize).step_by(2)));
        }
    });
}

#[test]
fn a_client_goes_on_at_another_hub_with_its_cursor() {
    let Some(server) = RedisServer::start() else { return };
    run(async || {
        let one = server.hub();
        let mut news = begun(&one).await;
        publish(&one, 0..10).await;
        assert_eq!(messages(&mut news, 4).await, texts(0..4));
        let cursor = news.cursor().expect("begun").to_string();
        drop(news);
        // Started after the messages.
        let other = server.hub();
        let mut news =
            other.subscribe(CHANNEL, Start::After(cursor.parse().expect("a cursor"))).expect("a subscription");
        assert_eq!(messages(&mut news, 6).await, texts(4..10));
    });
}

#[test]
fn nothing_is_lost_and_nothing_doubled_when_the_server_crashes_and_comes_back() {
    let Some(mut server) = RedisServer::start() else { return };
    run(async || {
        let (one, other) = (server.hub(), server.hub());
        let mut here = begun(&one).await;
        let mut there = other.subscribe(CHANNEL, Start::After(here.cursor().expect("begun"))).expect("a subscription");
        for round in 0..3 {
            let begin = round * 20;
            publish(&other, begin..begin + 10).await;
            server.kill();
            server.start_again();
            // The first may be sent over the connection that has gone, which nobody knows yet.
            for hub in [&one, &other] {
                while hub.publish(CHANNEL, "again").await.is_err() {}
            }
            publish(&one, begin + 10..begin + 20).await;
        }
        for news in [&mut here, &mut there] {
            let mut seen = Vec::new();
            while seen.len() < 60 {
                let text = message(news).await;
                if text != "\"again\"" {
                    seen.push(text);
                }
            }
            assert_eq!(seen, texts(0..60));
        }
    });
}

#[test]
fn a_server_that_has_lost_its_memory_is_noticed() {
    let Some(mut server) = RedisServer::start() else { return };
    run(async || {
        let hub = server.hub();
        let mut news = begun(&hub).await;
        let cursor = news.cursor().expect("begun");
        server.kill();
        server.lose_memory();
        server.start_again();
        // Those who listened are told, as are those who come back.
        assert!(matches!(next(&mut news).await, Update::Lagged { .. }));
        let late = server.hub();
        let mut back = late.subscribe(CHANNEL, Start::After(cursor)).expect("a subscription");
        assert!(matches!(next(&mut back).await, Update::Lagged { .. }));
        while hub.publish(CHANNEL, "new").await.is_err() {}
        assert_eq!((message(&mut news).await, message(&mut back).await), ("\"new\"".to_owned(), "\"new\"".to_owned()));
    });
}

#[test]
fn who_comes_back_after_the_history_is_told() {
    let Some(server) = RedisServer::start() else { return };
    run(async || {
        let one = hub(server.options().history(10, PATIENCE));
        let news = begun(&one).await;
        // More than the server keeps, which is at least ten, and less than a few hundred.
        publish(&one, 0..1000).await;
        let late = hub(server.options().history(10, PATIENCE));
        let mut back = late.subscribe(CHANNEL, Start::After(news.cursor().expect("begun"))).expect("a subscription");
        assert!(matches!(next(&mut back).await, Update::Lagged { .. }));
        let first: u32 = message(&mut back).await.parse().expect("a number");
        assert!((500..=990).contains(&first), "{first}");
        assert_eq!(messages(&mut back, 999 - first as usize).await, texts(first + 1..1000));
    });
}

#[test]
fn a_publication_without_a_server_fails_after_its_time() {
    run(async || {
        let missing = env::temp_dir().join("waterspout-no-redis-here.sock");
        let url = format!("redis+unix://{}", missing.display());
        let options = RedisOptions::new(&url).expect("an URL").publish_timeout(Duration::from_millis(100));
        let error = hub(options).publish(CHANNEL, &1).await.expect_err("there is no server");
        assert!(matches!(error, Error::Broker(_)));
        assert!(error.to_string().contains("nothing was published"), "{error}");
    });
    assert!(RedisOptions::new("http://example.org").is_err());
}

#[test]
fn other_programs_publish_by_xadd_and_what_is_no_message_is_skipped() {
    let Some(server) = RedisServer::start() else { return };
    run(async || {
        let hub = server.hub();
        let mut news = begun(&hub).await;
        let mut client = server.client();
        let mut add = |fields: &[&[u8]]| {
            let mut xadd = redis::cmd("XADD");
            xadd.arg(format!("test:{CHANNEL}")).arg("*");
            fields.iter().for_each(|field| _ = xadd.arg(*field));
            xadd.exec(&mut client).expect("it is added");
        };
        add(&[b"data", b"no JSON"]);
        add(&[b"\xff", b"\xfe"]);
        add(&[b"data", b"{\"from\":\"elsewhere\"}", b"key", b"k"]);
        let Update::Message(message) = next(&mut news).await else { panic!("a message") };
        assert_eq!((message.data().as_ref(), message.key()), (&br#"{"from":"elsewhere"}"#[..], Some("k")));
    });
}

#[test]
fn a_key_of_another_type_harms_its_own_channel_alone() {
    let Some(server) = RedisServer::start() else { return };
    run(async || {
        redis::cmd("SET").arg("test:taken").arg("text").exec(&mut server.client()).expect("it is set");
        let hub = server.hub();
        let _deaf = hub.subscribe("taken", Start::Now).expect("a subscription");
        let error = hub.publish("taken", &1).await.expect_err("it is no stream");
        assert!(error.to_string().contains("refused"), "{error}");
        let mut news = begun(&hub).await;
        publish(&hub, 0..3).await;
        assert_eq!(messages(&mut news, 3).await, texts(0..3));
    });
}

#[test]
fn what_is_published_while_a_channel_begins_is_not_lost() {
    let Some(server) = RedisServer::start() else { return };
    run(async || {
        let (one, other) = (server.hub(), server.hub());
        for number in 0..100 {
            let channel = format!("channel {number}");
            // Both look whether there is such a stream, while the message makes it.
            let subscribe = |hub: &Hub| hub.subscribe(&channel, Start::Latest(1)).expect("a subscription");
            let mut subscriptions = [subscribe(&one), subscribe(&other)];
            one.publish(&channel, &number).await.expect("it is published");
            for news in &mut subscriptions {
                assert_eq!(message(news).await, number.to_string());
            }
        }
    });
}

#[test]
fn a_channel_that_comes_and_goes_is_heard_again() {
    let Some(server) = RedisServer::start() else { return };
    run(async || {
        let options = HubOptions::new().idle(Duration::ZERO);
        let hub = Hub::with_broker(options, server.options().connect().expect("threads"));
        let mut news = begun(&hub).await;
        let cursor = news.cursor().expect("begun");
        drop(news);
        timeout(PATIENCE, async {
            while hub.channels() > 0 {
                web::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("nobody is interested in it");
        publish(&hub, 0..3).await;
        news = hub.subscribe(CHANNEL, Start::After(cursor)).expect("a subscription");
        assert_eq!(messages(&mut news, 3).await, texts(0..3));
    });
}
