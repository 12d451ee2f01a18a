//! SIGTERM drains. Alone in its test binary, because a signal is for the whole process.

mod common;

use std::time::Duration;

use common::{Client, Event};
use httpserver::{HttpServer, IOLoop, Request, signal, spawn};

#[test]
fn sigterm_finishes_what_is_in_hand_and_stops_the_loop() {
    let (gate, called) = (Event::new(), Event::new());
    let server = HttpServer::new({
        let (gate, called) = (gate.clone(), called.clone());
        async move |_: Request| {
            called.set();
            gate.wait().await;
            "finished"
        }
    });
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    server.drain_on_signal(Duration::from_secs(3600)).unwrap();

    let client = spawn(async move {
        let (idle, busy) = (Client::connect(addr).await, Client::connect(addr).await);
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        called.wait().await;
        signal_hook::low_level::raise(signal::SIGTERM).unwrap();
        idle.expect_closed().await;
        gate.set();
        let answer = busy.answer().await;
        (answer.text().to_owned(), answer.header("connection").map(str::to_owned))
    });
    IOLoop::current().start();
    assert_eq!(server.connections(), 0);
    let (text, connection) = common::run(client).unwrap();
    assert_eq!((text.as_str(), connection.as_deref()), ("finished", Some("close")));
}
