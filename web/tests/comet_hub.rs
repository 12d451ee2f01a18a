//! Hubs without a connection: cursors, the history, limits, presence.

mod util;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest::prelude::*;
use util::pages::{SECOND, run_virtual};
use web::{
    Error, StatusCode,
    comet::{
        Cursor, Hub, HubOptions, PresenceChange, SlowPolicy, Start, Subscription, Update,
        broker::{Broker, Feed, Published},
    },
};

const CHANNEL: &str = "news";

fn publish(hub: &Hub, number: u32) -> Cursor {
    publish_to(hub, CHANNEL, number)
}

fn publish_to(hub: &Hub, channel: &str, number: u32) -> Cursor {
    now(hub.publish(channel, &number)).expect("it is published")
}

fn publish_all(hub: &Hub, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        publish(hub, number);
    }
}

/// What is known at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it has to wait"),
    }
}

/// All that is there, as text.
fn received(subscription: &mut Subscription) -> Vec<String> {
    let mut updates = Vec::new();
    while let Poll::Ready(update) = subscription.try_next() {
        updates.push(match update {
            Some(Update::Message(message)) => String::from_utf8(message.data().to_vec()).expect("JSON"),
            Some(Update::Lagged { missed }) => format!("lagged {missed:?}"),
            Some(Update::Reset) => "reset".to_owned(),
            Some(update) => panic!("{update:?}"),
            None => {
                updates.push("end".to_owned());
                break;
            }
        });
    }
    updates
}

fn small(messages: usize) -> Hub {
    Hub::with_options(HubOptions::new().history(messages, 1000, 60 * SECOND))
}

#[test]
fn a_subscriber_gets_what_is_published_from_where_it_begins() {
    let starts = [
        (Start::Now, vec![]),
        (Start::Latest(0), vec![]),
        (Start::Latest(2), vec!["2", "3"]),
        (Start::Latest(9), vec!["1", "2", "3"]),
        (Start::Unknown, vec!["reset", "1", "2", "3"]),
    ];
    for (start, expected) in starts {
        expect_from(|_| start, &expected);
    }
    expect_from(|cursors| Start::After(cursors[0]), &["2", "3"]);
    expect_from(|cursors| Start::After(cursors[2]), &[]);
    expect_from(|cursors| Start::After(Cursor::new(cursors[0].epoch(), (0, 0))), &["1", "2", "3"]);
}

/// Three messages, of which a subscriber gets `expected`, and one behind them.
fn expect_from(start: impl FnOnce(&[Cursor]) -> Start, expected: &[&str]) {
    let hub = Hub::new();
    let cursors: Vec<_> = (1..=3).map(|number| publish(&hub, number)).collect();
    let start = start(&cursors);
    let mut subscription = hub.subscribe(CHANNEL, start).unwrap();
    assert_eq!(received(&mut subscription), expected, "{start:?}");
    assert_eq!(subscription.cursor(), Some(cursors[2]), "{start:?}");
    let next = publish(&hub, 4);
    assert_eq!(received(&mut subscription), ["4"], "{start:?}");
    assert_eq!(subscription.cursor(), Some(next));
}

#[test]
fn cursors_that_cannot_be_served_are_told_so() {
    let hub = small(3);
    let cursors: Vec<_> = (1..=10).map(|number| publish(&hub, number)).collect();
    let epoch = cursors[0].epoch();
    let after = |cursor| received(&mut hub.subscribe(CHANNEL, Start::After(cursor)).unwrap());
    assert_eq!(after(cursors[6]), ["8", "9", "10"], "the oldest place there is");
    assert_eq!(after(cursors[5]), ["lagged None", "8", "9", "10"]);
    assert_eq!(after(Cursor::new(epoch, (0, 0))), ["lagged None", "8", "9", "10"]);
    assert_eq!(after(Cursor::new(epoch ^ 1, (10, 0))), ["reset", "8", "9", "10"]);
    assert_eq!(after(Cursor::new(epoch, (11, 0))), ["reset", "8", "9", "10"], "nobody can have seen it");
    assert_eq!(after(Cursor::new(epoch, (u64::MAX, u64::MAX))), ["reset", "8", "9", "10"]);
    assert_eq!(after(Cursor::new(epoch, (8, 3))), ["9", "10"]);
}

#[test]
fn a_cursor_taken_before_a_lag_was_told_still_tells_of_it() {
    let hub = small(3);
    publish(&hub, 1);
    let subscription = hub.subscribe(CHANNEL, Start::Now).unwrap();
    publish_all(&hub, 2..=9);
    let cursor = subscription.cursor().unwrap();
    let mut back = hub.subscribe(CHANNEL, Start::After(cursor)).unwrap();
    assert_eq!(received(&mut back), ["lagged None", "7", "8", "9"]);
}

#[test]
fn a_slow_subscriber_is_told_how_much_it_missed_or_ends() {
    for (policy, expected) in [
        (SlowPolicy::DropOldest, vec!["lagged Some(2)", "4", "5", "6"]),
        (SlowPolicy::Coalesce, vec!["lagged Some(2)", "4", "5", "6"]),
        (SlowPolicy::Disconnect, vec!["end"]),
    ] {
        let hub = small(3);
        publish(&hub, 1);
        let mut subscription = hub.subscribe(CHANNEL, Start::Now).unwrap().policy(policy);
        publish_all(&hub, 2..=6);
        assert_eq!(received(&mut subscription), expected);
    }
}

#[test]
fn superseded_messages_are_left_out_for_those_who_want_that() {
    let hub = Hub::new();
    let mut all = hub.subscribe(CHANNEL, Start::Now).unwrap();
    let mut latest = hub.subscribe(CHANNEL, Start::Now).unwrap().policy(SlowPolicy::Coalesce);
    for (key, value) in [(Some("a"), 1), (None, 2), (Some("b"), 3), (Some("a"), 4), (None, 5), (Some("a"), 6)] {
        now(hub.publish_with_key(CHANNEL, key, &value)).unwrap();
    }
    assert_eq!(received(&mut all), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(received(&mut latest), ["2", "3", "5", "6"]);
    assert_eq!(latest.cursor(), all.cursor());
    // Who keeps up sees each.
    for value in [7, 8] {
        now(hub.publish_with_key(CHANNEL, Some("a"), &value)).unwrap();
        assert_eq!(received(&mut latest), [value.to_string()]);
    }
}

#[test]
fn the_history_is_bounded_by_count_bytes_and_age() {
    run_virtual(async |clock| {
        let hub = Hub::with_options(HubOptions::new().history(4, 10, 60 * SECOND));
        let all = |hub: &Hub| received(&mut hub.subscribe(CHANNEL, Start::Latest(100)).unwrap());
        publish_all(&hub, 1..=9);
        assert_eq!(all(&hub), ["6", "7", "8", "9"]);
        publish(&hub, 1_234_567);
        assert_eq!(all(&hub), ["7", "8", "9", "1234567"]);
        publish(&hub, 12_345);
        assert_eq!(all(&hub), ["12345"], "12 bytes are too many");
        hub.publish(CHANNEL, "longer than all that is allowed").await.unwrap();
        assert_eq!(all(&hub).len(), 1, "the latest one stays");
        clock.advance(59 * SECOND).await;
        publish(&hub, 1);
        assert_eq!(all(&hub), ["1"]);
        clock.advance(40 * SECOND).await;
        assert_eq!(all(&hub), ["1"]);
        clock.advance(30 * SECOND).await;
        assert_eq!(all(&hub), Vec::<String>::new());
    });
}

#[test]
fn a_channel_goes_when_nobody_needs_it_and_comes_back_with_another_epoch() {
    run_virtual(async |clock| {
        let hub = Hub::with_options(HubOptions::new().history(4, 1000, 60 * SECOND).idle(30 * SECOND));
        let subscription = hub.subscribe("empty", Start::Now).unwrap();
        let cursor = publish(&hub, 1);
        assert_eq!((hub.channels(), hub.subscribers("empty"), hub.subscribers("unknown")), (2, 1, 0));
        clock.advance(50 * SECOND).await;
        assert_eq!(hub.channels(), 2, "one has a subscriber, the other a message");
        clock.advance(50 * SECOND).await;
        assert_eq!(hub.channels(), 1);
        let old = subscription.cursor().unwrap();
        drop(subscription);
        assert_eq!(hub.subscribers("empty"), 0);
        clock.advance(20 * SECOND).await;
        let mut back = hub.subscribe("empty", Start::After(old)).unwrap();
        assert_eq!(received(&mut back), Vec::<String>::new(), "it has been there all the time");
        drop(back);
        clock.advance(60 * SECOND).await;
        assert_eq!(hub.channels(), 0);
        let mut back = hub.subscribe(CHANNEL, Start::After(cursor)).unwrap();
        assert_eq!(received(&mut back), ["reset"]);
        assert_ne!(back.cursor().unwrap().epoch(), cursor.epoch());
    });
}

#[test]
fn a_hub_that_is_dropped_leaves_nothing_behind() {
    run_virtual(async |clock| {
        let dropped = Rc::new(Cell::new(false));
        struct Tell(Rc<Cell<bool>>);
        impl Drop for Tell {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let hub = Hub::new();
        let tell = Tell(dropped.clone());
        hub.on_presence(move |_| {
            let _ = &tell;
        });
        publish(&hub, 1);
        drop(hub);
        assert!(dropped.get());
        clock.advance(3600 * SECOND).await;
    });
}

#[test]
fn limits_are_errors_with_a_status() {
    let options = HubOptions::new().max_channels(2).max_name(5).max_message(10).max_subscribers(2);
    let hub = Hub::with_options(options);
    for (name, expected) in [("", 400), ("sixsix", 400), ("a\nb", 400), ("a\u{85}", 400), ("five5", 200)] {
        let published = now(hub.publish(name, &1));
        assert_eq!(published.map_or_else(|error| error.status().as_u16(), |_| 200), expected, "{name:?}");
        let subscribed = hub.subscribe(name, Start::Now);
        assert_eq!(subscribed.map_or_else(|error| error.status().as_u16(), |_| 200), expected, "{name:?}");
    }
    let too_large = now(hub.publish("five5", "123456789")).unwrap_err();
    assert!(matches!(too_large, Error::MessageTooLarge { limit: 10 }));
    assert_eq!(too_large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // The key counts too, which is kept as long.
    assert!(now(hub.publish_with_key("five5", Some("123456789"), &1)).is_ok());
    let too_large = now(hub.publish_with_key("five5", Some("1234567890"), &1)).unwrap_err();
    assert!(matches!(too_large, Error::MessageTooLarge { limit: 10 }));
    let kept: Vec<_> = (0..2).map(|_| hub.subscribe("other", Start::Now).unwrap()).collect();
    assert_eq!(hub.subscribe("other", Start::Now).unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(hub.subscribe("third", Start::Now).unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(now(hub.publish("third", &1)).unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(kept);
    assert!(hub.subscribe("other", Start::Now).is_ok());
    let not_json = now(hub.publish_json("other", None, "{\"a\":")).unwrap_err();
    assert!(matches!(not_json, Error::Other(_)));
}

#[test]
fn a_grace_without_end_is_one() {
    run_virtual(async |clock| {
        let hub = Hub::with_options(HubOptions::new().presence_grace(Duration::MAX));
        let host = util::pages::Host::new({
            let hub = hub.clone();
            web::Application::new().get("/", async move |exchange: &mut web::Exchange| {
                hub.deliver(CHANNEL).member("ada").event_stream(exchange)
            })
        });
        let page = host.connect();
        page.open("/").await;
        drop(page);
        clock.advance(1_000_000 * SECOND).await;
        let members = hub.members(CHANNEL);
        assert_eq!(members.iter().map(|member| (&*member.id, member.connections)).collect::<Vec<_>>(), [("ada", 0)]);
    });
}

#[test]
fn members_come_and_go_with_their_connections_and_a_grace() {
    run_virtual(async |clock| {
        let hub = Hub::with_options(HubOptions::new().presence_grace(10 * SECOND));
        let told = Rc::new(RefCell::new(Vec::new()));
        let log = told.clone();
        hub.on_presence(move |event| {
            assert_eq!(&*event.channel, CHANNEL);
            let change = if event.change == PresenceChange::Joined { "+" } else { "-" };
            log.borrow_mut().push(format!("{change}{}", event.member.id));
        });
        let host = util::pages::Host::new({
            let hub = hub.clone();
            web::Application::new().get("/{name}", async move |exchange: &mut web::Exchange| {
                let name: String = exchange.path("name")?;
                hub.deliver(CHANNEL).member_with(&name, &name)?.event_stream(exchange)
            })
        });
        let connect = async |name: &str| {
            let page = host.connect();
            page.open(&format!("/{name}")).await;
            page
        };
        let settle = async || clock.advance(Duration::ZERO).await;
        let ada = connect("ada").await;
        let ada_too = connect("ada").await;
        let bob = connect("bob").await;
        assert_eq!(*told.borrow(), ["+ada", "+bob"]);
        let mut members = hub.members(CHANNEL);
        members.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!((members[0].connections, members[0].info.as_deref()), (2, Some(&b"\"ada\""[..])));

        drop((ada, bob));
        settle().await;
        clock.advance(9 * SECOND).await;
        // Loads the page again, in time.
        let bob = connect("bob").await;
        drop(ada_too);
        settle().await;
        clock.advance(9 * SECOND).await;
        assert_eq!(*told.borrow(), ["+ada", "+bob"]);
        assert_eq!(hub.members(CHANNEL).len(), 2);
        clock.advance(SECOND).await;
        assert_eq!(*told.borrow(), ["+ada", "+bob", "-ada"]);
        assert_eq!(hub.members(CHANNEL).len(), 1);
        drop(bob);
        settle().await;
        clock.advance(10 * SECOND).await;
        assert_eq!(*told.borrow(), ["+ada", "+bob", "-ada", "-bob"]);
        assert!(hub.members(CHANNEL).is_empty());
        clock.advance(600 * SECOND).await;
        assert_eq!(hub.channels(), 0);
    });
}

#[test]
fn a_hook_that_panics_keeps_nobody_else_from_leaving() {
    run_virtual(async |clock| {
        let hub = Hub::with_options(HubOptions::new().presence_grace(10 * SECOND));
        let left = Rc::new(RefCell::new(Vec::new()));
        let log = left.clone();
        hub.on_presence(move |event| {
            if event.change == PresenceChange::Left {
                log.borrow_mut().push(event.member.id.to_string());
                assert_ne!(&*event.member.id, "ada", "a mistake of the application's");
            }
        });
        let host = util::pages::Host::new({
            let hub = hub.clone();
            web::Application::new().get("/{name}", async move |exchange: &mut web::Exchange| {
                let name: String = exchange.path("name")?;
                hub.deliver(CHANNEL).member(&name).event_stream(exchange)
            })
        });
        for name in ["ada", "bob", "cid"] {
            let page = host.connect();
            page.open(&format!("/{name}")).await;
            drop(page);
            clock.advance(if name == "bob" { SECOND } else { Duration::ZERO }).await;
        }
        clock.advance(20 * SECOND).await;
        assert_eq!(*left.borrow(), ["ada", "bob", "cid"]);
        assert!(hub.members(CHANNEL).is_empty());
        // Nor those who come later.
        let page = host.connect();
        page.open("/dan").await;
        drop(page);
        clock.advance(20 * SECOND).await;
        assert!(hub.members(CHANNEL).is_empty());
    });
}

#[test]
fn a_waiting_subscriber_is_woken_and_one_that_gives_up_leaves_no_trace() {
    run_virtual(async |clock| {
        let hub = Hub::new();
        let mut subscription = hub.subscribe(CHANNEL, Start::Now).unwrap();
        let got = Rc::new(RefCell::new(Vec::new()));
        let log = got.clone();
        let waiter = web::spawn(async move {
            while let Some(Update::Message(message)) = subscription.next().await {
                log.borrow_mut().push(message.data().clone());
            }
        });
        clock.advance(SECOND).await;
        publish(&hub, 1);
        publish(&hub, 2);
        clock.advance(Duration::ZERO).await;
        publish(&hub, 3);
        clock.advance(Duration::ZERO).await;
        assert_eq!(*got.borrow(), ["1", "2", "3"]);
        waiter.abort();
        clock.advance(Duration::ZERO).await;
        assert_eq!(hub.subscribers(CHANNEL), 0);
    });
}

/// A broker in the hands of a test.
#[derive(Clone, Default)]
struct Hands {
    feed: Rc<RefCell<Option<Feed>>>,
    unsubscribed: Rc<RefCell<Vec<String>>>,
}

impl Broker for Hands {
    fn publish(&self, _: &str, _: web::comet::Publication) -> Published {
        Published::later(async { Err(Error::Broker("it is away".into())) })
    }

    fn subscribe(&self, feed: Feed) {
        assert_eq!(feed.newest(), None);
        self.feed.replace(Some(feed));
    }

    fn unsubscribe(&self, channel: &str) {
        self.unsubscribed.borrow_mut().push(channel.to_owned());
    }
}

impl Hands {
    fn begin(&self, epoch: u64, position: (u64, u64)) {
        self.feed.borrow().as_ref().unwrap().begin(Cursor::new(epoch, position));
    }

    fn deliver(&self, epoch: u64, position: (u64, u64)) -> bool {
        let feed = self.feed.borrow().clone().unwrap();
        let json = format!("\"{}-{}\"", position.0, position.1);
        feed.deliver(Cursor::new(epoch, position), web::comet::Publication::new(json.into()))
    }
}

#[test]
fn a_shared_log_begins_where_its_broker_says() {
    let hands = Hands::default();
    let hub = Hub::with_broker(HubOptions::new(), hands.clone());
    let after = |position| hub.subscribe(CHANNEL, Start::After(Cursor::new(0, position))).unwrap();
    let mut behind = after((5, 1));
    let mut lost = after((4, 9));
    let mut ahead = after((7, 2));
    let mut latest = hub.subscribe(CHANNEL, Start::Latest(2)).unwrap();
    assert_eq!(latest.cursor(), None);
    assert!(!hands.deliver(0, (5, 0)), "it has not begun");
    assert_eq!(received(&mut latest), Vec::<String>::new());
    hands.begin(0, (5, 0));
    for position in [(5, 1), (5, 2), (6, 0)] {
        assert!(hands.deliver(0, position));
    }
    assert_eq!(received(&mut behind), ["\"5-2\"", "\"6-0\""]);
    assert_eq!(received(&mut lost), ["lagged None", "\"5-1\"", "\"5-2\"", "\"6-0\""]);
    assert_eq!(received(&mut latest), ["\"5-2\"", "\"6-0\""]);
    // A hub ahead of this one has given it out.
    assert_eq!(received(&mut ahead), Vec::<String>::new());
    assert_eq!(ahead.cursor(), Some(Cursor::new(0, (7, 2))));
    for position in [(7, 0), (7, 2)] {
        hands.deliver(0, position);
        assert_eq!(received(&mut ahead), Vec::<String>::new());
    }
    hands.deliver(0, (7, 3));
    assert_eq!(received(&mut ahead), ["\"7-3\""]);
}

#[test]
fn a_broker_that_reconnects_loses_and_doubles_nothing_or_says_so() {
    let hands = Hands::default();
    let hub = Hub::with_broker(HubOptions::new(), hands.clone());
    let mut subscription = hub.subscribe(CHANNEL, Start::Now).unwrap();
    hands.begin(0, (5, 0));
    assert_eq!(received(&mut subscription), Vec::<String>::new());
    hands.deliver(0, (5, 1));
    hands.deliver(0, (5, 2));
    // Goes on where it was.
    hands.begin(0, (5, 2));
    hands.deliver(0, (5, 3));
    // Not sure, and begins a bit earlier.
    hands.begin(0, (5, 1));
    assert!(!hands.deliver(0, (5, 2)));
    assert!(!hands.deliver(0, (5, 3)));
    assert!(hands.deliver(0, (5, 4)));
    assert_eq!(received(&mut subscription), ["\"5-1\"", "\"5-2\"", "\"5-3\"", "\"5-4\""]);
    // The log was cut behind what this hub has.
    hands.begin(0, (6, 7));
    hands.deliver(0, (6, 8));
    assert_eq!(received(&mut subscription), ["lagged None", "\"6-8\""]);
    // Nothing came since.
    hands.begin(0, (9, 0));
    assert_eq!(received(&mut subscription), ["lagged None"]);
    assert_eq!(subscription.cursor(), Some(Cursor::new(0, (9, 0))));
    // Another life.
    hands.begin(7, (0, 0));
    assert!(!hands.deliver(0, (9, 1)));
    assert!(hands.deliver(7, (1, 0)));
    assert_eq!(received(&mut subscription), ["reset", "\"1-0\""]);
    let old = hub.subscribe(CHANNEL, Start::After(Cursor::new(0, (9, 0))));
    assert_eq!(received(&mut old.unwrap()), ["reset", "\"1-0\""]);
    let failed = web::IOLoop::current().run_sync(hub.publish(CHANNEL, &1)).unwrap_err();
    assert_eq!((failed.status().as_u16(), failed.to_string()), (503, "The broker failed: it is away".to_owned()));
}

#[test]
fn a_broker_is_told_when_a_channel_goes_and_publishing_does_not_need_one() {
    run_virtual(async |clock| {
        let hands = Hands::default();
        let hub = Hub::with_broker(HubOptions::new().idle(30 * SECOND), hands.clone());
        assert!(hub.publish(CHANNEL, &1).await.is_err());
        assert_eq!(hub.channels(), 0);
        let subscription = hub.subscribe(CHANNEL, Start::Now).unwrap();
        hands.begin(0, (5, 0));
        hands.deliver(0, (5, 1));
        let feed = hands.feed.borrow().clone().unwrap();
        assert_eq!((feed.channel(), feed.newest()), (CHANNEL, Some(Cursor::new(0, (5, 1)))));
        assert_eq!((feed.history().messages, feed.history().bytes), (256, 256 * 1024));
        clock.advance(100 * SECOND).await;
        assert!(!feed.is_closed());
        drop(subscription);
        clock.advance(100 * SECOND).await;
        assert!(feed.is_closed());
        assert_eq!((hub.channels(), hands.unsubscribed.borrow().as_slice()), (0, &[CHANNEL.to_owned()][..]));
        assert!(!hands.deliver(0, (5, 2)));
    });
}

proptest! {
    #[test]
    fn a_cursor_comes_back_as_it_was(epoch in any::<u64>(), major in any::<u64>(), minor in any::<u64>(), few in 0_u64..3) {
        for cursor in [Cursor::new(epoch, (major, minor)), Cursor::new(few, (major, few)), Cursor::new(epoch, (major, 0))] {
            let text = cursor.to_string();
            prop_assert_eq!(text.parse(), Ok(cursor));
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)), "{}", text);
        }
    }

    #[test]
    fn text_that_is_no_cursor_is_refused(text in "[0-9a-g.+-]{0,12}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }
}

#[test]
fn numbers_that_are_too_large_and_other_texts_are_no_cursors() {
    for text in
        ["", ".", "-", "1.", ".1", "1-", "-1", "+1", "1.+1", "1.2.3", "1-2-3", "x", "18446744073709551616", "1 ", "é"]
    {
        assert!(text.parse::<Cursor>().is_err(), "{text:?}");
    }
    assert_eq!("1.2-0".parse(), "1.2".parse::<Cursor>());
    assert_eq!("18446744073709551615-0".parse(), Ok(Cursor::new(0, (u64::MAX, 0))));
}
