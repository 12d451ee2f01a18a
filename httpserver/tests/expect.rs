//! Expect: 100-continue (RFC 9110 10.1.1).

mod common;

use common::{Client, Event, exchange, header, run, serve, serve_with, status, turns};
use httpserver::{Body, Limits, Request, Response};

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

fn post(framing: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{framing}\r\n\r\n")
}

async fn echo(mut request: Request) -> httpserver::Result<Response> {
    Ok(Response::bytes(request.bytes().await?))
}

#[test]
fn the_client_is_told_to_continue_when_the_body_is_first_read() {
    run(async {
        let gate = Event::new();
        let addr = serve({
            let gate = gate.clone();
            async move |request: Request| {
                gate.wait().await;
                echo(request).await
            }
        });
        let client = Client::connect(addr).await;
        client.send(post("Content-Length: 5")).await;
        let nothing = httpserver::timeout(std::time::Duration::from_millis(20), client.stream.read_some(1)).await;
        assert!(nothing.is_err(), "told before the service has asked for the body");
        gate.set();
        assert_eq!(client.head().await, CONTINUE);
        client.send("hello").await;
        assert_eq!(client.answer().await.text(), "hello");
        // And again on the same connection, with chunks.
        client.send(post("Transfer-Encoding: chunked")).await;
        assert_eq!(client.head().await, CONTINUE);
        client.send("2\r\nhe\r\n").await;
        client.send("3\r\nllo\r\n0\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn the_expectation_is_case_insensitive() {
    run(async {
        let client = Client::connect(serve(echo)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nEXPECT: 100-Continue\r\nContent-Length: 1\r\n\r\n").await;
        assert_eq!(client.head().await, CONTINUE);
        client.send("x").await;
        assert_eq!(client.answer().await.text(), "x");
    });
}

#[test]
fn http_1_0_is_not_told_to_continue() {
    run(async {
        let client = Client::connect(serve(echo)).await;
        client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
        client.send("hello").await;
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn a_request_without_a_body_is_not_told_to_continue() {
    run(async {
        let client = Client::connect(serve(echo)).await;
        for request in [post("Content-Length: 0"), post("X: y")] {
            client.send(request).await;
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.header("connection")), (200, None));
        }
    });
}

#[test]
fn nobody_is_told_to_continue_whose_body_has_arrived() {
    run(async {
        let client = Client::connect(serve(echo)).await;
        // With the head, or only its beginning, or in a packet of its own before the service reads.
        client.send(post("Content-Length: 5") + "hello").await;
        assert_eq!(client.answer().await.text(), "hello");
        client.send(post("Content-Length: 5") + "h").await;
        client.send("ello").await;
        assert_eq!(client.answer().await.text(), "hello");
        client.send(post("Transfer-Encoding: chunked") + "5").await;
        client.send("\r\nhello\r\n0\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn a_body_that_waits_in_the_kernel_has_arrived() {
    run(async {
        let (called, gate) = (Event::new(), Event::new());
        let addr = serve({
            let (called, gate) = (called.clone(), gate.clone());
            async move |request: Request| {
                called.set();
                gate.wait().await;
                echo(request).await
            }
        });
        let client = Client::connect(addr).await;
        client.send(post("Content-Length: 5")).await;
        called.wait().await;
        client.send("hello").await;
        // The server's loop has to learn of it.
        turns(2).await;
        gate.set();
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn a_final_answer_that_goes_first_ends_the_connection() {
    run(async {
        let addr = serve(async |_: Request| (httpserver::StatusCode::FORBIDDEN, "no"));
        for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
            let answer = exchange(addr, post(framing)).await;
            assert_eq!((status(&answer), header(&answer, "connection")), (403, Some("close")), "{framing}");
        }
        // Not when the whole body has come.
        let client = Client::connect(addr).await;
        for request in [post("Content-Length: 5") + "hello", post("Transfer-Encoding: chunked") + "1\r\na\r\n0\r\n\r\n"]
        {
            client.send(request).await;
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.header("connection")), (403, None));
        }
        // But when a part of it has.
        client.send(post("Content-Length: 5") + "hel").await;
        assert_eq!(client.answer().await.header("connection"), Some("close"));
        client.expect_closed().await;
    });
}

#[test]
fn nobody_is_told_to_continue_behind_the_beginning_of_the_answer() {
    run(async {
        let addr = serve(async |mut request: Request| {
            Response::text(Body::writer(async move |mut out| {
                out.write("early ").await?;
                let body = request.bytes().await?;
                out.write(&body).await
            }))
        });
        let client = Client::connect(addr).await;
        client.send(post("Content-Length: 5")).await;
        let head = client.head().await;
        assert_eq!(status(&head), 200);
        client.send("hello").await;
        assert_eq!(client.stream.read_until(b"0\r\n\r\n").await.unwrap(), "6\r\nearly \r\n5\r\nhello\r\n0\r\n\r\n");
    });
}

#[test]
fn a_body_announced_too_long_is_refused_without_a_continue() {
    run(async {
        let addr = serve_with(Limits::default().max_body(10), echo);
        let answer = exchange(addr, post("Content-Length: 11")).await;
        assert_eq!((status(&answer), header(&answer, "connection")), (413, Some("close")));
        let addr = serve_with(Limits::default().max_collected_body(10), echo);
        let answer = exchange(addr, post("Content-Length: 11")).await;
        assert_eq!((status(&answer), header(&answer, "connection")), (413, Some("close")));
    });
}

#[test]
fn other_expectations_are_refused() {
    run(async {
        let addr = serve(echo);
        for expect in ["200-ok", "100-continue, x", "100-continue\r\nExpect: more", ""] {
            let answer =
                exchange(addr, format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: {expect}\r\nContent-Length: 1\r\n\r\nx"))
                    .await;
            assert_eq!((status(&answer), header(&answer, "connection")), (417, Some("close")), "{expect:?}");
        }
    });
}
