//! The broker of the example `postgres_broker` over a real PostgreSQL. To be run by hand:
//!
//! ```sh
//! cargo test -p examples --test postgres_broker -- --ignored
//! ```
//!
//! Each test starts a server of its own, from the programs in the PATH or below `/usr/lib/postgresql`. With
//! `WATERSPOUT_POSTGRES=postgres://…` they make databases of their own in that server instead, and those that have to stop it
//! are left out.

// The broker is a part of a program, and `support` is shared by several tests: neither is used whole.
#![allow(unreachable_pub, dead_code)]

#[path = "../src/bin/postgres_broker/broker/mod.rs"]
mod broker;
#[path = "support/postgres.rs"]
mod postgres;
mod support;

use std::{
    cell::{Cell, RefCell},
    env,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use broker::PostgresOptions;
use ioloop::IOLoop;
use iostream::{IOStream, TcpServer};
use postgres::{Database, Postgres};
use support::{Lines, Program, http::Client};
use web::{
    Error, JoinHandle,
    comet::{Hub, HubOptions, Start, Subscription, Update},
    sleep, spawn, timeout,
};

/// A test that waits longer than this for anything has failed.
const PATIENCE: Duration = Duration::from_secs(20);

const CHANNEL: &str = "news";

fn options(url: &str) -> PostgresOptions {
    PostgresOptions::new(url).expect("an URL").publish_timeout(PATIENCE)
}

fn hub(options: PostgresOptions) -> Hub {
    Hub::with_broker(HubOptions::new().history(1000, 1 << 20, PATIENCE), options.connect())
}

/// Runs a test on a loop of its own, with a database of its own.
fn with_database(test: impl AsyncFnOnce(&Database)) {
    let server = Postgres::start_or_given();
    run(async {
        let database = server.make_database().await;
        test(&database).await;
        database.remove().await;
    });
}

/// The same with a server that the test may stop.
fn with_server(test: impl AsyncFnOnce(&mut Postgres, &Database)) {
    let Some(mut server) = Postgres::start() else { return };
    run(async {
        let database = server.make_database().await;
        test(&mut server, &database).await;
    });
}

fn run(test: impl Future<Output = ()>) {
    // The broker's warnings, of a test that fails.
    let _ = env_logger::builder().is_test(true).try_init();
    let ioloop = IOLoop::new().expect("a loop");
    ioloop.run_sync(timeout(3 * PATIENCE, test)).expect("it ends");
    ioloop.close();
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
#[ignore = "needs PostgreSQL"]
fn all_hubs_get_the_messages_of_all_in_one_order() {
    with_database(async |database| {
        let (one, other) = (hub(options(database.url())), hub(options(database.url())));
        let mut here = begun(&one).await;
        let mut there = other.subscribe(CHANNEL, Start::After(here.cursor().expect("begun"))).expect("a subscription");
        // Without waiting for one another, as handlers do.
        let published: Vec<_> =
            (0..1000).map(|number| if number % 2 == 0 { &one } else { &other }.publish(CHANNEL, &number)).collect();
        for publication in published {
            publication.await.expect("it is published");
        }
        let (here, there) = (messages(&mut here, 1000).await, messages(&mut there, 1000).await);
        assert_eq!(here, there);
        // Two publishers share no order, and each keeps its own.
        for rest in 0..2 {
            let of_one = here.iter().filter(|text| text.parse::<u32>().expect("a number") % 2 == rest);
            assert!(of_one.eq(texts(0..1000).iter().skip(rest as usize).step_by(2)));
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_client_goes_on_at_another_hub_with_its_cursor() {
    with_database(async |database| {
        let one = hub(options(database.url()));
        let mut news = begun(&one).await;
        publish(&one, 0..9).await;
        let last = one.publish(CHANNEL, &9).await.expect("it is published");
        assert_eq!(messages(&mut news, 4).await, texts(0..4));
        let cursor = news.cursor().expect("begun").to_string();
        drop(news);
        // Started after the messages.
        let other = hub(options(database.url()));
        let mut news =
            other.subscribe(CHANNEL, Start::After(cursor.parse().expect("a cursor"))).expect("a subscription");
        assert_eq!(messages(&mut news, 6).await, texts(4..10));
        assert_eq!(news.cursor(), Some(last));
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn nothing_is_lost_and_nothing_doubled_when_the_server_is_killed_and_comes_back() {
    with_server(async |server, database| {
        let (one, other) = (hub(options(database.url())), hub(options(database.url())));
        let mut here = begun(&one).await;
        let mut there = other.subscribe(CHANNEL, Start::After(here.cursor().expect("begun"))).expect("a subscription");
        for round in 0..3 {
            let begin = round * 30;
            publish(&other, begin..begin + 10).await;
            // Sent, and not answered; some may be taken.
            let sent: Vec<_> = (begin + 10..begin + 20).map(|number| one.publish(CHANNEL, &number)).collect();
            sleep(Duration::from_millis(u64::from(round))).await;
            server.kill();
            // Nobody is there.
            let waiting: Vec<_> = (begin + 20..begin + 30).map(|number| one.publish(CHANNEL, &number)).collect();
            server.start_again();
            for publication in sent.into_iter().chain(waiting) {
                publication.await.expect("it is published");
            }
        }
        for news in [&mut here, &mut there] {
            assert_eq!(messages(news, 90).await, texts(0..90));
            assert!(news.try_next().is_pending());
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn what_others_publish_while_a_hub_is_cut_off_is_read_later() {
    with_database(async |database| {
        let line = Line::start(database.address());
        let (far, near) = (hub(options(&database.url_through(line.address))), hub(options(database.url())));
        let mut news = begun(&far).await;
        line.break_down();
        publish(&near, 0..500).await;
        line.mend();
        assert_eq!(messages(&mut news, 500).await, texts(0..500));
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_publication_whose_answer_is_lost_is_published_once() {
    with_database(async |database| {
        let line = Line::start(database.address());
        let (far, near) = (hub(options(&database.url_through(line.address))), hub(options(database.url())));
        let mut news = begun(&near).await;
        for number in 0..10 {
            line.lose_answer_to(&format!("lost {number}"));
            let cursor = far.publish(CHANNEL, &format!("lost {number}")).await.expect("it is published");
            assert!(line.has_lost());
            assert_eq!(message(&mut news).await, format!("\"lost {number}\""));
            assert_eq!(news.cursor(), Some(cursor));
        }
        far.publish(CHANNEL, "last").await.expect("it is published");
        assert_eq!(message(&mut news).await, "\"last\"");
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_publication_of_which_nothing_can_be_told_says_so() {
    with_database(async |database| {
        let line = Line::start(database.address());
        let few = |url: &str| hub(options(url).history(1, PATIENCE));
        let (far, near) = (few(&database.url_through(line.address)), few(database.url()));
        begun(&near).await;
        begun(&far).await;
        line.lose_answer_to("lost");
        let lost = far.publish(CHANNEL, "lost");
        let is_taken = "SELECT count(*) FROM waterspout.messages WHERE data::text = '\"lost\"'";
        while database.number(is_taken).await == 0 {}
        line.break_down();
        // It is pushed out before it can be looked for.
        publish(&near, 0..10).await;
        line.mend();
        let error = lost.await.expect_err("nobody knows");
        assert!(error.to_string().contains("may have been published"), "{error}");
        far.publish(CHANNEL, "next").await.expect("it is published");
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_log_that_was_made_again_is_noticed() {
    with_database(async |database| {
        let hub_here = hub(options(database.url()));
        let mut news = begun(&hub_here).await;
        publish(&hub_here, 0..3).await;
        assert_eq!(messages(&mut news, 3).await, texts(0..3));
        let cursor = news.cursor().expect("begun");
        database.execute("DROP SCHEMA waterspout CASCADE").await;
        hub_here.publish(CHANNEL, "new").await.expect("it is published");
        assert!(matches!(next(&mut news).await, Update::Reset));
        assert_eq!(message(&mut news).await, "\"new\"");
        // Those who come back are told as well.
        let late = hub(options(database.url()));
        let mut back = late.subscribe(CHANNEL, Start::After(cursor)).expect("a subscription");
        assert!(matches!(next(&mut back).await, Update::Reset));
        assert_eq!(message(&mut back).await, "\"new\"");
        assert_eq!(back.cursor(), news.cursor());
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn who_comes_back_after_the_history_is_told() {
    with_database(async |database| {
        let few = || hub(options(database.url()).history(20, PATIENCE));
        let one = few();
        let news = begun(&one).await;
        let cursor = news.cursor().expect("begun");
        publish(&one, 0..100).await;
        let late = few();
        let mut back = late.subscribe(CHANNEL, Start::After(cursor)).expect("a subscription");
        assert!(matches!(next(&mut back).await, Update::Lagged { .. }));
        let first: u32 = message(&mut back).await.parse().expect("a number");
        assert!((75..=80).contains(&first), "{first}");
        assert_eq!(messages(&mut back, 99 - first as usize).await, texts(first + 1..100));
        let kept: i64 = database.number("SELECT count(*) FROM waterspout.messages").await;
        assert!((20..=25).contains(&kept), "{kept}");
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn what_is_too_old_is_deleted_and_who_has_not_read_it_is_told() {
    with_database(async |database| {
        let short = || hub(options(database.url()).history(100, Duration::from_secs(1)));
        let one = short();
        let mut followed = one.subscribe("followed", Start::Now).expect("a subscription");
        let begin = one.publish("forgotten", "begin").await.expect("it is published");
        one.publish("forgotten", "end").await.expect("it is published");
        let is_empty = "SELECT (SELECT count(*) FROM waterspout.messages)
            + (SELECT count(*) FROM waterspout.channels WHERE name = 'forgotten')";
        timeout(PATIENCE, async { while database.number(is_empty).await > 0 {} }).await.expect("it is tidied");
        // One that is followed is not forgotten, and whoever follows it has missed nothing.
        one.publish("followed", "quiet before").await.expect("it is published");
        assert_eq!(message(&mut followed).await, "\"quiet before\"");
        let late = short();
        let mut back = late.subscribe("forgotten", Start::After(begin)).expect("a subscription");
        assert!(matches!(next(&mut back).await, Update::Lagged { .. }));
        late.publish("forgotten", "again").await.expect("it is published");
        assert_eq!(message(&mut back).await, "\"again\"");
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_publication_without_a_server_fails_after_its_time() {
    run(async {
        let missing = env::temp_dir().join("waterspout-no-postgres-here");
        let url = format!("host={} user=nobody", missing.display());
        let options = PostgresOptions::new(&url).expect("words").publish_timeout(Duration::from_millis(100));
        let error = hub(options).publish(CHANNEL, &1).await.expect_err("there is no server");
        assert!(matches!(error, Error::Broker(_)));
        assert!(error.to_string().contains("nothing was published"), "{error}");
    });
    assert!(PostgresOptions::new("http://example.org").is_err());
}

#[test]
#[ignore = "needs PostgreSQL"]
fn other_programs_publish_in_their_transactions() {
    with_database(async |database| {
        let hub = hub(options(database.url()));
        let mut news = begun(&hub).await;
        database.execute("BEGIN; SELECT waterspout.publish('news', '\"never\"'); ROLLBACK").await;
        database.execute("SELECT waterspout.publish('news', '{\"from\":\"elsewhere\"}', 'k')").await;
        let Update::Message(message) = next(&mut news).await else { panic!("a message") };
        assert_eq!((message.data().as_ref(), message.key()), (&br#"{"from":"elsewhere"}"#[..], Some("k")));
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_long_transaction_holds_up_no_reader_of_other_channels() {
    with_database(async |database| {
        let hub = hub(options(database.url()));
        let mut news = begun(&hub).await;
        let open = database.client().await;
        open.batch_execute("BEGIN; SELECT waterspout.publish('slow', '1')").await.expect("it is published");
        let mut slow = hub.subscribe("slow", Start::Latest(10)).expect("a subscription");
        publish(&hub, 0..3).await;
        assert_eq!(messages(&mut news, 3).await, texts(0..3));
        open.batch_execute("COMMIT").await.expect("it is committed");
        hub.publish("slow", &2).await.expect("it is published");
        assert_eq!(messages(&mut slow, 2).await, ["1", "2"]);
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn what_the_server_refuses_harms_no_other() {
    with_database(async |database| {
        let hub = hub(options(database.url()));
        let mut news = begun(&hub).await;
        // They go in one transaction.
        let good = (hub.publish(CHANNEL, &0), hub.publish(CHANNEL, &1));
        let bad = hub.publish_with_key(CHANNEL, Some("no\0text"), &2);
        let last = hub.publish(CHANNEL, &3);
        good.0.await.expect("it is published");
        good.1.await.expect("it is published");
        let error = bad.await.expect_err("a text of the server has no such character");
        assert!(error.to_string().contains("refused"), "{error}");
        last.await.expect("it is published");
        assert_eq!(messages(&mut news, 3).await, ["0", "1", "3"]);
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn what_is_published_while_a_channel_begins_is_not_lost() {
    with_database(async |database| {
        let (one, other) = (hub(options(database.url())), hub(options(database.url())));
        for number in 0..100 {
            let channel = format!("channel {number}");
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
#[ignore = "needs PostgreSQL"]
fn a_hub_begins_with_no_more_than_its_own_history() {
    with_database(async |database| {
        let one = hub(options(database.url()));
        publish(&one, 0..50).await;
        for (messages_kept, bytes, first) in [(10, 1 << 20, 40), (1000, 21, 40), (1, 1, 49)] {
            let limits = HubOptions::new().history(messages_kept, bytes, PATIENCE);
            let small = Hub::with_broker(limits, options(database.url()).connect());
            let mut news = small.subscribe(CHANNEL, Start::Latest(1000)).expect("a subscription");
            while small.cursor(CHANNEL).expect("a channel").is_none() {
                sleep(Duration::from_millis(1)).await;
            }
            let mut there = Vec::new();
            while let std::task::Poll::Ready(Some(Update::Message(message))) = news.try_next() {
                there.push(String::from_utf8_lossy(message.data()).into_owned());
            }
            // What the hub keeps is limited by itself as well, so the log must not have sent less.
            assert_eq!(there, texts(first..50));
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_channel_that_comes_and_goes_is_heard_again() {
    with_database(async |database| {
        let hub = Hub::with_broker(HubOptions::new().idle(Duration::ZERO), options(database.url()).connect());
        let mut news = begun(&hub).await;
        let cursor = news.cursor().expect("begun");
        drop(news);
        timeout(PATIENCE, async {
            while hub.channels() > 0 {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("nobody is interested in it");
        publish(&hub, 0..3).await;
        news = hub.subscribe(CHANNEL, Start::After(cursor)).expect("a subscription");
        assert_eq!(messages(&mut news, 3).await, texts(0..3));
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn two_instances_of_the_program_are_one() {
    with_database(async |database| {
        let start = || {
            let path = env!("CARGO_BIN_EXE_postgres_broker");
            let mut program = Program::start(path, &["--port", "0", "--database", database.url()]);
            let address = program.listening();
            (program, address)
        };
        let ((_one, here), (_other, there)) = (start(), start());
        let mut events = Lines::connect(here);
        events.send("GET /weather HTTP/1.1\r\nHost: test\r\n\r\n");
        while !events.line().expect("an answer").is_empty() {}
        let posted = Client::connect(there).request("POST", "/weather", &["Content-Type: text/plain"], "rain");
        assert_eq!(posted.status, 200, "{posted:?}");
        let cursor = posted.body.trim_end();
        // Another event may come first, which only says where the stream begins.
        let before = std::iter::from_fn(|| events.line()).take_while(|line| line != "data: \"rain\"").last();
        assert_eq!(before, Some(format!("id: {cursor}")));
        let poll = Client::connect(there).get("/weather?way=poll");
        assert_eq!(poll.json()["messages"], serde_json::json!(["rain"]));
        assert_eq!(poll.json()["cursor"], *cursor);
    });
}

/// A line to the server that breaks when it is told to.
struct Line {
    address: SocketAddr,
    state: Rc<LineState>,
}

#[derive(Default)]
struct LineState {
    is_broken: Cell<bool>,
    /// The connection that has carried this ends before the server's answer to it arrives.
    fatal: RefCell<Option<String>>,
    connections: RefCell<Vec<JoinHandle<()>>>,
}

impl Line {
    fn start(server: postgres::Address) -> Line {
        let state = Rc::new(LineState::default());
        let shared = state.clone();
        let listening = TcpServer::new(async move |near: IOStream, _peer: SocketAddr| -> iostream::Result<()> {
            if !shared.is_broken.get() {
                let ends = Ends { near, far: server.connect().await? };
                shared.connections.borrow_mut().push(spawn(carry(Rc::new(ends), shared.clone())));
            }
            Ok(())
        });
        let address = listening.listen(("127.0.0.1", 0)).expect("a free port").local_addr();
        Line { address, state }
    }

    /// Nothing goes through until it is mended.
    fn break_down(&self) {
        self.state.is_broken.set(true);
        self.state.connections.take().iter().for_each(JoinHandle::abort);
    }

    fn mend(&self) {
        self.state.is_broken.set(false);
    }

    fn lose_answer_to(&self, text: &str) {
        self.state.fatal.replace(Some(text.to_owned()));
    }

    /// Whether it has lost that answer, or will.
    fn has_lost(&self) -> bool {
        self.state.fatal.borrow().is_none()
    }
}

struct Ends {
    near: IOStream,
    far: IOStream,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.near.close();
        self.far.close();
    }
}

/// Carries bytes both ways until one of the ends is closed, or its task aborted.
async fn carry(ends: Rc<Ends>, state: Rc<LineState>) {
    let is_doomed = Rc::new(Cell::new(false));
    let (up, doomed) = (ends.clone(), is_doomed.clone());
    let _up = AbortOnDrop(spawn(async move {
        while let Ok(bytes) = up.near.read_some(65536).await {
            let is_fatal = |fatal: &mut String| String::from_utf8_lossy(&bytes).contains(&**fatal);
            if state.fatal.borrow_mut().take_if(is_fatal).is_some() {
                doomed.set(true);
            }
            if up.far.write(bytes).await.is_err() {
                break;
            }
        }
        up.far.close();
    }));
    while let Ok(bytes) = ends.far.read_some(65536).await {
        if is_doomed.get() || ends.near.write(bytes).await.is_err() {
            break;
        }
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
