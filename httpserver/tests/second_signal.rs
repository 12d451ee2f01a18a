//! A second signal cuts a drain short. Alone in its test binary, because a signal is for the whole process.

mod common;

use std::time::Duration;

use common::{Client, Event, SetOnDrop, turns, until};
use httpserver::{HttpServer, IOLoop, Request, signal, spawn};

#[test]
fn a_second_signal_of_either_kind_cuts_what_is_left_at_once() {
    // With the delay, the first one has not yet begun to drain.
    for (first, second, delay) in [
        (signal::SIGTERM, signal::SIGINT, 0),
        (signal::SIGINT, signal::SIGINT, 0),
        (signal::SIGTERM, signal::SIGTERM, 60),
    ] {
        let (called, ended) = (Event::new(), Event::new());
        let server = HttpServer::new({
            let (called, ended) = (called.clone(), ended.clone());
            async move |_: Request| {
                let _ended = SetOnDrop(ended.clone());
                called.set();
                std::future::pending::<&str>().await
            }
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        server.drain_on_signal_after(Duration::from_secs(delay), Duration::from_secs(3600)).unwrap();
        let client = spawn({
            let (server, ended) = (server.clone(), ended.clone());
            async move {
                let client = Client::connect(server.local_addr()).await;
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                called.wait().await;
                signal_hook::low_level::raise(first).unwrap();
                until(|| !server.is_ready()).await;
                assert_eq!(server.is_draining(), delay == 0);
                turns(3).await;
                assert!(!ended.is_set() && server.connections() == 1, "the first signal waits");
                signal_hook::low_level::raise(second).unwrap();
                client.expect_closed().await;
            }
        });
        IOLoop::current().start();
        assert_eq!((ended.is_set(), server.connections()), (true, 0), "{first}");
        assert!(server.local_addrs().is_empty());
        common::run(client).unwrap();
    }
}
