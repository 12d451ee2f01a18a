//! Several requests in one go.

mod common;

use std::{cell::RefCell, rc::Rc};

use common::{Client, Event, run, serve, serve_with, turns, until};
use httpserver::{Body, Limits, Request, Response, yield_now};

const NO_MORE: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

async fn path(request: Request) -> String {
    request.path().to_owned()
}

fn requests(count: usize) -> String {
    (0..count).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")).collect()
}

async fn expect_in_order(client: &Client, count: usize) {
    for i in 0..count {
        assert_eq!(client.answer().await.text(), format!("/{i}"));
    }
}

#[test]
fn sixteen_requests_are_answered_in_order_and_in_one_piece() {
    run(async {
        let client = Client::connect(serve(path)).await;
        client.send(requests(16)).await;
        // A stream receives only when it is asked to, and over the loopback what is sent has arrived: the first read
        // shows what the server's first send carried.
        let mut received = client.stream.read_some(64 * 1024).await.unwrap().to_vec();
        let answers = received.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
        assert_eq!(answers, 16);
        assert!(received.ends_with(b"\r\n\r\n/15"));
        client.send(NO_MORE).await;
        received = client.rest_bytes().await;
        assert!(received.ends_with(b"/last"));
    });
}

#[test]
fn requests_before_a_fin_get_all_their_answers() {
    run(async {
        let addr = serve(async |request: Request| {
            yield_now().await;
            request.path().to_owned()
        });
        for count in [1, 5, 200] {
            let client = Client::connect(addr).await;
            client.send(requests(count)).await;
            client.end().await;
            expect_in_order(&client, count).await;
            client.expect_closed().await;
        }
    });
}

#[test]
fn half_a_request_before_a_fin_is_dropped_and_those_before_it_are_answered() {
    run(async {
        let client = Client::connect(serve(path)).await;
        client.send(requests(3) + "GET /half HTTP/1.1\r\nHo").await;
        client.end().await;
        expect_in_order(&client, 3).await;
        client.expect_closed().await;
    });
}

#[test]
fn a_service_that_waits_does_not_hold_back_earlier_answers() {
    let gate = Event::new();
    run(async {
        let addr = serve({
            let gate = gate.clone();
            async move |request: Request| {
                if request.path() == "/2" {
                    gate.wait().await;
                }
                request.path().to_owned()
            }
        });
        let client = Client::connect(addr).await;
        client.send(requests(5)).await;
        expect_in_order(&client, 2).await;
        assert!(!gate.is_set());
        gate.set();
        for i in 2..5 {
            assert_eq!(client.answer().await.text(), format!("/{i}"));
        }
    });
}

#[test]
fn answers_keep_their_order_whatever_their_kind() {
    run(async {
        let addr = serve(async |request: Request| {
            let path = request.path().to_owned();
            if path.ends_with('1') {
                return Response::text(Body::writer(async move |mut out| out.write(&path).await));
            }
            if path.ends_with('2') {
                // Too large to be copied behind its head.
                return Response::text(path.repeat(20_000));
            }
            Response::text(path)
        });
        let client = Client::connect(addr).await;
        client.send(requests(30)).await;
        for i in 0..30 {
            let (answer, path) = (client.answer().await, format!("/{i}"));
            let expected = if path.ends_with('2') { path.repeat(20_000) } else { path };
            assert!(answer.text() == expected, "answer {i} is wrong");
        }
    });
}

#[test]
fn a_deep_pipeline_gives_other_connections_their_turn() {
    let (begun, log) = (Event::new(), Rc::new(RefCell::new(Vec::new())));
    run(async {
        let limits = Limits::default().max_pipelined(4);
        let addr = serve_with(limits, {
            let (begun, log) = (begun.clone(), log.clone());
            async move |request: Request| {
                begun.set();
                log.borrow_mut().push(request.path().to_owned());
                request.path().to_owned()
            }
        });
        let (greedy, modest) = (Client::connect(addr).await, Client::connect(addr).await);
        greedy.send(requests(400)).await;
        begun.wait().await;
        modest.send("GET /modest HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(modest.answer().await.text(), "/modest");
        expect_in_order(&greedy, 400).await;
        let log = log.borrow();
        let turn = log.iter().position(|path| path == "/modest").unwrap();
        assert!(turn < 100, "the other connection waited for {turn} requests");
    });
}

#[test]
fn a_client_that_asks_and_does_not_read_stops_being_answered() {
    const BODY: usize = 1024 * 1024;
    let served = Rc::new(RefCell::new(0));
    run(async {
        let addr = serve({
            let served = served.clone();
            async move |_: Request| {
                *served.borrow_mut() += 1;
                vec![b'x'; BODY]
            }
        });
        let client = Client::connect(addr).await;
        client.send(requests(500)).await;
        until(|| *served.borrow() > 0).await;
        turns(2_000).await;
        // What the kernel's buffers take, and one more.
        assert!(*served.borrow() < 100, "{} answers in memory", served.borrow());
        // It goes on when the client reads.
        for _ in 0..500 {
            assert_eq!(client.answer().await.body.len(), BODY);
        }
    });
}
