//! HTTP without a socket, on a clock that the test moves: every step is determined.

mod common;

use std::time::Duration;

use common::{Event, run_virtual, serve_pair, serve_pair_with, status};
use httpserver::{Body, IOStream, Limits, Request, Response, Result, iostream::ioloop::VirtualClock, sleep, spawn};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CAPACITIES: [usize; 4] = [1, 7, 1_000, 1024 * 1024];

/// Lets everything run that can run at this instant.
async fn settle(clock: &VirtualClock) {
    clock.advance(Duration::ZERO).await;
}

#[test]
fn requests_are_answered_through_pairs_of_any_capacity() {
    run_virtual(async |_| {
        for capacity in CAPACITIES {
            let (client, _) = serve_pair(capacity, async |mut request: Request| -> Result<Response> {
                assert_eq!(request.peer_addr(), Some("192.0.2.1:80".parse().unwrap()));
                Ok(Response::bytes(request.bytes().await?))
            });
            for body in ["", "hello", &"long ".repeat(20_000)] {
                let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
                drop(client.stream.write(head + body));
                assert!(client.answer().await.text() == body);
            }
            drop(client.stream.write(GET.repeat(100)));
            for _ in 0..100 {
                assert_eq!(client.answer().await.text(), "");
            }
            client.end().await;
            client.expect_closed().await;
        }
    });
}

#[test]
fn streams_pass_through_pairs_of_any_capacity() {
    run_virtual(async |_| {
        for capacity in CAPACITIES {
            let (client, _) = serve_pair(capacity, async |mut request: Request| match request.path() {
                "/passed" => Response::bytes(request.take_body()),
                _ => Response::text(Body::writer(async |mut out| {
                    for number in 0..1_000 {
                        out.write(format!("{number},")).await?;
                        if number % 100 == 0 {
                            out.flush().await?;
                        }
                    }
                    Ok(())
                })),
            });
            client.send(GET).await;
            let expected: String = (0..1_000).map(|number| format!("{number},")).collect();
            assert_eq!(client.answer().await.text(), expected);
            let chunks = "5\r\nhello\r\n".repeat(100);
            let head = "POST /passed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            drop(client.stream.write(format!("{head}{chunks}0\r\n\r\n")));
            assert_eq!(client.answer().await.text(), "hello".repeat(100));
        }
    });
}

#[test]
fn a_writer_stops_when_the_pair_is_full() {
    run_virtual(async |clock| {
        let (client, handle) = serve_pair_with(1_000, Limits::default().min_write_rate(0), async |_: Request| {
            Response::text(Body::writer(async |mut out| {
                loop {
                    out.write([b'x'; 1_000]).await?;
                }
            }))
        });
        client.send(GET).await;
        client.head().await;
        clock.advance(Duration::from_secs(29)).await;
        assert_eq!(handle.connections(), 1);
        clock.advance(Duration::from_secs(1)).await;
        settle(&clock).await;
        assert_eq!(handle.connections(), 0, "the client takes nothing for 30 s");
    });
}

#[test]
fn time_outs_come_to_the_second() {
    run_virtual(async |clock| {
        // What the client sends, after how many seconds of silence the server acts, and what it says.
        for (bytes, seconds, expected) in [
            ("", 75, None),
            ("GET / HT", 10, Some(408)),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", 60, Some(408)),
        ] {
            let (client, handle) = serve_pair(1_000, async |mut request: Request| request.bytes().await);
            client.send(bytes).await;
            settle(&clock).await;
            clock.advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert!(!client.stream.is_peer_closed(), "{bytes:?}");
            clock.advance(Duration::from_millis(1)).await;
            let answer = client.rest().await;
            assert_eq!((!answer.is_empty()).then(|| status(&answer)), expected, "{bytes:?}");
            client.stream.close();
            settle(&clock).await;
            assert_eq!(handle.connections(), 0);
        }
    });
}

#[test]
fn a_head_request_on_a_ticking_route_frees_its_connection() {
    run_virtual(async |clock| {
        let (client, handle) = serve_pair(1_000, async |_: Request| {
            Response::text(Body::writer(async |mut out| {
                loop {
                    out.write("tick").await?;
                    sleep(Duration::from_millis(100)).await;
                }
            }))
        });
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.head().await;
        client.end().await;
        settle(&clock).await;
        assert_eq!(handle.connections(), 0);
    });
}

#[test]
fn a_pair_is_upgraded_drained_and_cut_like_any_connection() {
    run_virtual(async |clock| {
        let ended = Event::new();
        let (client, handle) = serve_pair(1_000, {
            let ended = ended.clone();
            async move |request: Request| -> Result<Response> {
                let ended = ended.clone();
                request.upgrade(Response::switching_protocols("echo")?, async move |stream: IOStream| {
                    while let Ok(line) = stream.read_until(b"\n").await {
                        let _ = stream.write(line).await;
                    }
                    ended.set();
                })
            }
        });
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nahead\n").await;
        assert_eq!(status(&client.head().await), 101);
        assert_eq!(client.stream.read_until(b"\n").await.unwrap(), "ahead\n");
        let draining = spawn({
            let handle = handle.clone();
            async move { handle.drain(Duration::from_secs(5)).await }
        });
        clock.advance(Duration::from_secs(4)).await;
        client.send("still here\n").await;
        assert_eq!(client.stream.read_until(b"\n").await.unwrap(), "still here\n");
        clock.advance(Duration::from_secs(1)).await;
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 0, 1));
        client.expect_closed().await;
    });
}
