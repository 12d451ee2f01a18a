//! Hubs of several loops, with the log that they share.

use std::{collections::HashSet, sync::mpsc, thread, time::Duration};

use web::{
    IOLoop,
    comet::{Cursor, Hub, HubOptions, Start, Subscription, Update, broker::ProcessLog},
    timeout,
};

/// A test that waits longer than this for anything has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const CHANNEL: &str = "news";

fn hub(log: &ProcessLog) -> Hub {
    Hub::with_broker(HubOptions::new().history(10_000, 1 << 20, PATIENCE * 10), log.broker())
}

fn log() -> ProcessLog {
    ProcessLog::with_history(10_000, 1 << 20, PATIENCE * 10)
}

async fn next(subscription: &mut Subscription) -> Update {
    timeout(PATIENCE, subscription.next()).await.expect("something comes").expect("it goes on")
}

async fn message(subscription: &mut Subscription) -> (Cursor, String) {
    match next(subscription).await {
        Update::Message(message) => (message.cursor(), String::from_utf8(message.data().to_vec()).expect("JSON")),
        update => panic!("{update:?}"),
    }
}

/// Runs a test on a loop of its own.
fn run<T>(test: impl AsyncFnOnce() -> T) -> T {
    let ioloop = IOLoop::new().expect("a loop");
    let output = ioloop.run_sync(test());
    ioloop.close();
    output
}

#[test]
fn all_loops_get_the_messages_of_all_in_one_order() {
    const LOOPS: usize = 4;
    const EACH: usize = 500;
    let log = log();
    let (ready, all_ready) = mpsc::channel();
    let threads: Vec<_> = (0..LOOPS)
        .map(|number| {
            let (log, ready) = (log.clone(), ready.clone());
            let (go, wait) = mpsc::channel::<()>();
            let thread = thread::spawn(move || {
                run(async || {
                    let hub = hub(&log);
                    let mut news = hub.subscribe(CHANNEL, Start::Now).expect("a subscription");
                    ready.send(()).expect("the test waits");
                    wait.recv().expect("the test goes on");
                    let mut seen = Vec::new();
                    for message_number in 0..EACH {
                        hub.publish(CHANNEL, &(number, message_number)).await.expect("it is published");
                    }
                    while seen.len() < LOOPS * EACH {
                        seen.push(message(&mut news).await);
                    }
                    seen
                })
            });
            (thread, go)
        })
        .collect();
    (0..LOOPS).for_each(|_| all_ready.recv().expect("a loop is ready"));
    threads.iter().for_each(|(_, go)| go.send(()).expect("the loop waits"));
    let seen: Vec<_> = threads.into_iter().map(|(thread, _)| thread.join().expect("no panic")).collect();
    assert!(seen.iter().all(|messages| *messages == seen[0]));
    let texts: HashSet<_> = seen[0].iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), LOOPS * EACH, "each once");
    // What one loop published keeps its order.
    for number in 0..LOOPS {
        let of_one = seen[0].iter().filter(|(_, text)| text.starts_with(&format!("[{number},")));
        assert!(of_one.map(|(_, text)| text.clone()).eq((0..EACH).map(|at| format!("[{number},{at}]"))));
    }
}

#[test]
fn a_client_goes_on_at_another_hub_with_its_cursor() {
    let log = log();
    run(async || {
        let (one, other) = (hub(&log), hub(&log));
        let mut news = one.subscribe(CHANNEL, Start::Now).expect("a subscription");
        for number in 1..=6 {
            other.publish(CHANNEL, &number).await.expect("it is published");
        }
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(message(&mut news).await);
        }
        let cursor = news.cursor().expect("it has begun");
        drop(news);
        // That hub had nobody who listened.
        let mut news = other.subscribe(CHANNEL, Start::After(cursor)).expect("a subscription");
        for _ in 0..3 {
            seen.push(message(&mut news).await);
        }
        assert!(seen.iter().map(|(_, text)| text.clone()).eq((1..=6).map(|number| number.to_string())));
    });
}

#[test]
fn a_hub_that_comes_later_has_the_history_of_the_log() {
    let log = ProcessLog::with_history(3, 1000, PATIENCE);
    run(async || {
        let early = hub(&log);
        let first = early.publish(CHANNEL, &1).await.expect("it is published");
        for number in 2..=6 {
            early.publish(CHANNEL, &number).await.expect("it is published");
        }
        let late = hub(&log);
        let mut news = late.subscribe(CHANNEL, Start::Latest(10)).expect("a subscription");
        for number in 4..=6 {
            assert_eq!(message(&mut news).await.1, number.to_string());
        }
        // Two and three are gone.
        let mut news = late.subscribe(CHANNEL, Start::After(first)).expect("a subscription");
        assert!(matches!(next(&mut news).await, Update::Lagged { .. }));
        assert_eq!(message(&mut news).await.1, "4");
    });
}

#[test]
fn a_cursor_that_is_ahead_of_a_hub_waits_for_it() {
    let log = log();
    run(async || {
        let (quick, slow) = (hub(&log), hub(&log));
        let mut at_slow = slow.subscribe(CHANNEL, Start::Now).expect("a subscription");
        // Published, and not yet delivered to the other hub, whose task has not run.
        let cursor = quick.publish(CHANNEL, &1).await.expect("it is published");
        let mut ahead = slow.subscribe(CHANNEL, Start::After(cursor)).expect("a subscription");
        quick.publish(CHANNEL, &2).await.expect("it is published");
        assert_eq!(message(&mut ahead).await.1, "2");
        assert_eq!((message(&mut at_slow).await.1, message(&mut at_slow).await.1), ("1".to_owned(), "2".to_owned()));
    });
}

#[test]
fn keys_and_data_cross_unchanged() {
    let log = log();
    run(async || {
        let (one, other) = (hub(&log), hub(&log));
        let mut news = other.subscribe(CHANNEL, Start::Now).expect("a subscription");
        one.publish_with_key(CHANNEL, Some("clé"), "ü\n").await.expect("it is published");
        let Update::Message(message) = next(&mut news).await else { panic!("a message") };
        assert_eq!((message.data().as_ref(), message.key()), ("\"ü\\n\"".as_bytes(), Some("clé")));
    });
}

#[test]
fn a_hub_that_has_gone_is_forgotten_and_the_others_go_on() {
    let log = log();
    run(async || {
        let (one, other) = (hub(&log), hub(&log));
        let mut here = one.subscribe(CHANNEL, Start::Now).expect("a subscription");
        let there = other.subscribe(CHANNEL, Start::Now).expect("a subscription");
        drop((there, other));
        one.publish(CHANNEL, &1).await.expect("it is published");
        assert_eq!(message(&mut here).await.1, "1");
    });
}

#[test]
fn channels_that_are_ever_new_do_not_fill_the_log() {
    run(async || {
        let log = log().max_channels(3);
        let hub = hub(&log);
        let mut news = hub.subscribe(CHANNEL, Start::Now).expect("a subscription");
        for name in ["one", "two"] {
            hub.publish(name, &1).await.expect("there is room");
        }
        let error = hub.publish("three", &1).await.expect_err("there is none");
        assert_eq!(error.status(), web::StatusCode::SERVICE_UNAVAILABLE);
        // Those that are there go on.
        hub.publish("one", &2).await.expect("it is known");
        hub.publish(CHANNEL, &3).await.expect("it is known");
        assert_eq!(message(&mut news).await.1, "3");
    });
}
