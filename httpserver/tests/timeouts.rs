//! Time-outs of requests, with small settings.

mod common;

use std::{io::Write, time::Duration};

use common::{Client, Event, header, run, serve, serve_with, status, turns};
use httpserver::{Error, HttpServer, IOLoop, Limits, Request, Response, iostream::ioloop::VirtualClock, sleep};

const SHORT: Duration = Duration::from_millis(100);

async fn echo(mut request: Request) -> httpserver::Result<Response> {
    Ok(Response::bytes(request.bytes().await?))
}

async fn expect_408(client: &Client) {
    let answer = client.rest().await;
    assert_eq!((status(&answer), header(&answer, "connection")), (408, Some("close")));
}

#[test]
fn a_connection_that_never_says_anything_is_closed_without_an_answer() {
    run(async {
        let addr = serve_with(Limits::default().idle_timeout(SHORT), echo);
        Client::connect(addr).await.expect_closed().await;
    });
}

#[test]
fn an_idle_connection_is_closed_without_an_answer() {
    run(async {
        let addr = serve_with(Limits::default().idle_timeout(SHORT), echo);
        let client = Client::connect(addr).await;
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.answer().await.status(), 200);
        }
        client.expect_closed().await;
    });
}

#[test]
fn an_idle_connection_is_kept_for_75_seconds_unless_told_otherwise() {
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let client = Client::connect(serve(echo)).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 200);
        clock.advance(Duration::from_secs(74)).await;
        assert!(!client.stream.is_peer_closed());
        clock.advance(Duration::from_secs(1)).await;
        client.expect_closed().await;
    });
    ioloop.close();
}

#[test]
fn a_service_may_take_longer_than_the_idle_time() {
    run(async {
        let addr = serve_with(Limits::default().idle_timeout(SHORT), async |_: Request| {
            sleep(SHORT * 3).await;
            "late"
        });
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "late");
    });
}

#[test]
fn half_a_head_is_answered_408() {
    run(async {
        let addr = serve_with(Limits::default().header_timeout(SHORT), echo);
        for half in ["G", "\r", "\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"] {
            let client = Client::connect(addr).await;
            client.send(half).await;
            expect_408(&client).await;
        }
    });
}

#[test]
fn the_time_for_a_head_counts_from_the_first_byte_in_all() {
    run(async {
        let addr = serve_with(Limits::default().header_timeout(SHORT), echo);
        let client = Client::connect(addr).await;
        let sender = async {
            client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").await;
            // Never silent for as long as the time-out, and far longer than it in all.
            for _ in 0..10_000 {
                if client.stream.is_peer_closed() {
                    return;
                }
                client.send("x").await;
                sleep(Duration::from_millis(2)).await;
            }
            panic!("a byte now and then buys time");
        };
        sender.await;
        expect_408(&client).await;
    });
}

#[test]
fn the_idle_time_ends_with_the_first_byte() {
    run(async {
        let limits = Limits::default().idle_timeout(SHORT).header_timeout(Duration::from_secs(60));
        let client = Client::connect(serve_with(limits, echo)).await;
        client.send("GET / HT").await;
        sleep(SHORT * 3).await;
        client.send("TP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 200);
    });
}

#[test]
fn the_second_head_has_its_own_time() {
    run(async {
        let client = Client::connect(serve_with(Limits::default().header_timeout(SHORT), echo)).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP").await;
        assert_eq!(client.answer().await.status(), 200);
        expect_408(&client).await;
    });
}

#[test]
fn a_silent_body_is_answered_408() {
    run(async {
        let addr = serve_with(Limits::default().body_timeout(SHORT), async |request: Request| {
            let result = echo(request).await;
            assert!(matches!(result, Err(Error::BodyTimeout(SHORT))));
            result
        });
        let bodies = [
            "Content-Length: 5\r\n\r\n",
            "Content-Length: 5\r\n\r\nhell",
            "Transfer-Encoding: chunked\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        ];
        for body in bodies {
            let client = Client::connect(addr).await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}")).await;
            expect_408(&client).await;
        }
    });
}

#[test]
fn a_body_may_be_slow_as_long_as_it_comes() {
    run(async {
        let limits = Limits::default().body_timeout(Duration::from_millis(400));
        let client = Client::connect(serve_with(limits, echo)).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n").await;
        for _ in 0..30 {
            sleep(Duration::from_millis(20)).await;
            client.send("x").await;
        }
        assert_eq!(client.answer().await.body.len(), 30);
    });
}

#[test]
fn time_in_which_the_service_does_not_want_the_body_does_not_count() {
    let wanted = Event::new();
    run(async {
        let addr = serve_with(Limits::default().body_timeout(SHORT), {
            let wanted = wanted.clone();
            async move |mut request: Request| {
                // A read that is given up, a pause, and a read in earnest.
                let _ = httpserver::timeout(Duration::from_millis(1), request.body_mut().chunk()).await;
                sleep(SHORT * 2).await;
                wanted.set();
                echo(request).await
            }
        });
        let client = Client::connect(addr).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n").await;
        wanted.wait().await;
        // The service has waited for a turn or two.
        turns(2).await;
        client.send("hi").await;
        assert_eq!(client.answer().await.text(), "hi");
    });
}

#[test]
fn an_unread_body_that_never_comes_ends_the_connection() {
    run(async {
        let limits = Limits::default().body_timeout(SHORT);
        let server = HttpServer::with_limits(async |_: Request| "unread", limits);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "unread");
        client.expect_closed().await;
        client.stream.close();
        common::until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_lingering_close_ends_when_the_client_does_not() {
    run(async {
        let limits = Limits::default().linger_timeout(SHORT);
        let server = HttpServer::with_limits(echo, limits);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send("nonsense\r\n\r\n").await;
        assert_eq!(status(&client.rest().await), 400);
        // The client keeps its side open.
        common::until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_lingering_close_lasts_so_long_and_no_longer() {
    run(async {
        let limits = Limits::default().linger_timeout(Duration::from_secs(3600)).linger_time(SHORT);
        let server = HttpServer::with_limits(echo, limits).listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send("nonsense\r\n\r\n").await;
        assert_eq!(status(&client.head().await), 400);
        // Never silent, and never at an end.
        while server.connections() > 0 {
            client.send("x").await;
        }
    });
}

#[test]
fn a_client_that_sends_as_fast_as_it_can_neither_starves_others_nor_outlasts_a_lingering_close() {
    run(async {
        let limits = Limits::default().linger_time(SHORT);
        let server = HttpServer::with_limits(echo, limits).listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let sending = std::thread::spawn(move || {
            let mut client = std::net::TcpStream::connect(addr).unwrap();
            client.write_all(b"nonsense\r\n\r\n").unwrap();
            while client.write_all(&[b'x'; 1024 * 1024]).is_ok() {}
        });
        common::until(|| server.connections() == 1).await;
        let other = Client::connect(addr).await;
        other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(other.answer().await.status(), 200);
        drop(other);
        common::until(|| server.connections() == 0).await;
        sending.join().unwrap();
    });
}
