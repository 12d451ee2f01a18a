//! Bodies that a service leaves unread: keep-alive is announced when it can be kept, and the answer arrives in any event.

mod common;

use std::net::SocketAddr;

use common::{Client, exchange, header, run, serve, serve_with, status, turns};
use httpserver::{Body, Limits, Request, Response, Result};

/// Reads nothing, or the first piece only.
async fn service(mut request: Request) -> Result<Response> {
    match request.path() {
        "/half" => drop(request.body_mut().chunk().await?),
        "/streamed" => {
            drop(request.take_body());
            return Ok(Response::text(Body::writer(async |mut out| out.write("/streamed").await)));
        }
        _ => {}
    }
    Ok(Response::text(request.path().to_owned()))
}

const PATHS: [&str; 3] = ["/unread", "/half", "/streamed"];
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

fn chunked_head(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn chunk(length: usize) -> String {
    format!("{length:x}\r\n{}\r\n", "x".repeat(length))
}

#[test]
fn a_chunked_body_whose_end_has_not_come_is_answered_with_close_while_the_client_still_sends() {
    run(async {
        let addr = serve(service);
        for path in PATHS {
            for length in [300, 400, 1_000, 5_000] {
                let client = Client::connect(addr).await;
                client.send(chunked_head(path) + &chunk(1_000)).await;
                let answer = client.answer().await;
                assert_eq!((answer.text(), answer.header("connection")), (path, Some("close")));
                // In thousands of bytes. Had the server closed, a reset would follow, and could take the answer along.
                for _ in 0..length {
                    client.send(chunk(1_000)).await;
                }
                client.send("0\r\n\r\n").await;
                client.end().await;
                client.expect_closed().await;
            }
        }
    });
}

#[test]
fn an_answer_that_the_client_looks_at_only_when_it_has_sent_all_arrives() {
    run(async {
        let addr = serve(service);
        for path in PATHS {
            for length in [300_000, 400_000, 1_000_000, 5_000_000] {
                let counted = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
                let counted = counted + &"x".repeat(length);
                let chunked = chunked_head(path) + &chunk(length / 2) + &chunk(length / 2) + "0\r\n\r\n";
                for request in [counted, chunked] {
                    let answer = exchange(addr, request).await;
                    assert_eq!(
                        (status(&answer), header(&answer, "connection")),
                        (200, Some("close")),
                        "{path} {length}"
                    );
                }
            }
        }
    });
}

#[test]
fn a_413_reaches_a_client_that_sends_all_of_an_upload_before_it_looks() {
    run(async {
        let limits = Limits::default().max_body(500_000).max_collected_body(100_000);
        let addr = serve_with(limits, async |mut request: Request| -> Result<Response> {
            Ok(Response::bytes(request.bytes().await?))
        });
        // Beyond the one limit and beyond both, as the head says it and as only the reading shows it.
        for length in [400_000, 4_000_000] {
            let counted = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
            let counted = counted + &"x".repeat(length);
            let chunked = chunked_head("/") + &chunk(length / 4).repeat(4) + "0\r\n\r\n";
            for request in [counted, chunked] {
                let answer = exchange(addr, request + NEXT).await;
                assert_eq!((status(&answer), header(&answer, "connection")), (413, Some("close")), "{length}");
                assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
            }
        }
    });
}

#[test]
fn a_chunked_body_that_is_there_as_a_whole_leaves_the_connection_alive() {
    run(async {
        let client = Client::connect(serve(service)).await;
        for path in PATHS {
            for chunks in [chunk(1), chunk(5) + &chunk(30_000) + &chunk(10), String::new()] {
                client.send(chunked_head(path) + &chunks + "0\r\n\r\n" + NEXT).await;
                let answer = client.answer().await;
                assert_eq!((answer.text(), answer.header("connection")), (path, None));
                assert_eq!(client.answer().await.text(), "/next");
            }
        }
    });
}

/// One client that keeps its connection as long as the server says so, as sessions of HTTP libraries do.
struct Session {
    addr: SocketAddr,
    client: Option<Client>,
}

impl Session {
    async fn client(&mut self) -> &Client {
        if self.client.is_none() {
            self.client = Some(Client::connect(self.addr).await);
        }
        self.client.as_ref().unwrap()
    }

    /// Sends the pieces, and then reads the answer.
    async fn exchange(&mut self, pieces: &[String]) -> String {
        let client = self.client().await;
        for piece in pieces {
            client.send(piece).await;
            turns(1).await;
        }
        let answer = client.answer().await;
        let text = answer.text().to_owned();
        if answer.header("connection") == Some("close") {
            self.client = None;
        }
        text
    }
}

#[test]
fn sessions_with_unread_chunked_bodies_never_lose_the_next_request() {
    run(async {
        let mut session = Session { addr: serve(service), client: None };
        for round in 0..200 {
            let path = PATHS[round % 3];
            // From what fits anywhere to what fits nowhere, in as many pieces.
            let chunks = (0..round % 7).map(|i| chunk(1 << (i * 3)));
            let pieces: Vec<_> =
                [chunked_head(path)].into_iter().chain(chunks).chain(["0\r\n\r\n".to_owned()]).collect();
            assert_eq!(session.exchange(&pieces).await, path, "round {round}");
            assert_eq!(session.exchange(&[NEXT.to_owned()]).await, "/next", "round {round}");
        }
    });
}
