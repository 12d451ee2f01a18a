//! Every limit of time or of a rate: a moment before it, at it, and for rates on either side of it. Over pairs in memory and
//! on a clock that the test moves, so that each step is determined.

mod common;

use std::time::Duration;

use common::{Client, header, run_virtual, serve_pair_with, status};
use httpserver::{Limits, Request, Response, Result, ServerHandle, Service, iostream::ioloop::VirtualClock};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";

/// None but those that a test sets.
fn patient() -> Limits {
    let limits = Limits::default().header_timeout(DAY).idle_timeout(DAY).body_timeout(DAY).request_timeout(DAY);
    limits.write_timeout(DAY).linger_timeout(DAY).linger_time(DAY).min_body_rate(0).min_write_rate(0)
}

async fn collect(mut request: Request) -> Result<Response> {
    Ok(Response::text(request.bytes().await?.len().to_string()))
}

fn pair(limits: &Limits, service: impl Service) -> (Client, ServerHandle) {
    serve_pair_with(1 << 20, limits.clone(), service)
}

async fn expect_408(client: &Client) {
    let head = client.head().await;
    assert_eq!((status(&head), header(&head, "connection")), (408, Some("close")));
}

/// Lets everything run that can run at this instant.
async fn settle(clock: &VirtualClock) {
    clock.advance(Duration::ZERO).await;
}

#[test]
fn header_timeout_below_and_at() {
    run_virtual(async |clock| {
        let limits = patient().header_timeout(10 * SECOND);
        let (client, _) = pair(&limits, collect);
        // Each head has it anew.
        for _ in 0..2 {
            client.send(&GET[..1]).await;
            settle(&clock).await;
            clock.advance(10 * SECOND - MOMENT).await;
            client.send(&GET[1..]).await;
            assert_eq!(client.answer().await.status(), 200);
        }
        client.send(&GET[..1]).await;
        settle(&clock).await;
        clock.advance(10 * SECOND).await;
        expect_408(&client).await;
    });
}

#[test]
fn idle_timeout_below_and_at() {
    run_virtual(async |clock| {
        let (client, server) = pair(&patient().idle_timeout(75 * SECOND), collect);
        settle(&clock).await;
        for _ in 0..2 {
            clock.advance(75 * SECOND - MOMENT).await;
            client.send(GET).await;
            assert_eq!(client.answer().await.status(), 200);
            settle(&clock).await;
        }
        clock.advance(75 * SECOND).await;
        assert_eq!(server.connections(), 0);
        client.expect_closed().await;
    });
}

#[test]
fn body_timeout_below_and_at() {
    run_virtual(async |clock| {
        let (client, _) = pair(&patient().body_timeout(60 * SECOND), collect);
        client.send(POST).await;
        for piece in [1, 999] {
            settle(&clock).await;
            clock.advance(60 * SECOND - MOMENT).await;
            client.send("x".repeat(piece)).await;
        }
        assert_eq!(client.answer().await.text(), "1000");
        client.send(POST).await;
        settle(&clock).await;
        clock.advance(60 * SECOND).await;
        expect_408(&client).await;
    });
}

#[test]
fn request_timeout_below_and_at() {
    run_virtual(async |clock| {
        let (client, _) = pair(&patient().request_timeout(100 * SECOND), collect);
        for rest in [10 * SECOND - MOMENT, 10 * SECOND] {
            client.send(POST).await;
            for _ in 0..9 {
                settle(&clock).await;
                clock.advance(10 * SECOND).await;
                client.send("x".repeat(100)).await;
            }
            settle(&clock).await;
            clock.advance(rest).await;
            client.send("x".repeat(100)).await;
            if rest < 10 * SECOND {
                assert_eq!(client.answer().await.text(), "1000");
            }
        }
        expect_408(&client).await;
    });
}

#[test]
fn rate_grace_below_and_at() {
    run_virtual(async |clock| {
        let limits = patient().min_body_rate(100).rate_grace(10 * SECOND);
        // 599 bytes in the first moment buy five seconds behind the grace.
        for (wait, expected) in [(15 * SECOND - MOMENT, 200), (15 * SECOND, 408)] {
            let (client, _) = pair(&limits, collect);
            client.send(format!("{POST}{}", "x".repeat(599))).await;
            settle(&clock).await;
            clock.advance(wait).await;
            client.send("x".repeat(401)).await;
            assert_eq!(client.answer().await.status(), expected, "{wait:?}");
        }
    });
}

/// Sends so many bytes of a body each second; the seconds until the client hears something, 100 at most.
async fn upload(client: &Client, clock: &VirtualClock, rate: usize) -> u32 {
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    settle(clock).await;
    for second in 1..=100 {
        clock.advance(SECOND).await;
        if client.stream.is_peer_closed() {
            return second;
        }
        client.send("x".repeat(rate)).await;
        settle(clock).await;
    }
    100
}

#[test]
fn min_body_rate_below_at_and_above() {
    run_virtual(async |clock| {
        let limits = patient().min_body_rate(100).rate_grace(10 * SECOND);
        // In whole seconds: 850 bytes have come by then, and buy 8 behind the grace.
        for (rate, seconds) in [(50, 18), (100, 100), (150, 100)] {
            let (client, _) = pair(&limits, collect);
            assert_eq!(upload(&client, &clock, rate).await, seconds, "{rate} bytes/s");
        }
    });
}

#[test]
fn the_bounds_of_one_body_take_the_place_of_those_of_the_server() {
    run_virtual(async |clock| {
        let own = async |mut request: Request| -> Result<Response> {
            let body = request.body_mut();
            body.limit(1_000_000);
            body.set_timeout(3 * SECOND);
            body.set_total_timeout(50 * SECOND);
            body.set_min_rate(100);
            let mut length = 0;
            while let Some(piece) = body.chunk().await? {
                length += piece.len();
            }
            Ok(Response::text(length.to_string()))
        };
        // Both ways: the server allows more, or less.
        let limits = patient().rate_grace(10 * SECOND);
        let strict = limits.clone().body_timeout(MOMENT).request_timeout(MOMENT).min_body_rate(1_000_000);
        for limits in [limits, strict] {
            let (client, _) = pair(&limits, own);
            assert_eq!(upload(&client, &clock, 50).await, 18);
            let (client, _) = pair(&limits, own);
            assert_eq!(upload(&client, &clock, 100).await, 50);
            let (client, _) = pair(&limits, own);
            assert_eq!(upload(&client, &clock, 0).await, 3);
        }
    });
}

#[test]
fn the_bounds_of_one_body_end_with_it() {
    run_virtual(async |clock| {
        let (client, _) =
            pair(&patient().body_timeout(60 * SECOND), async |mut request: Request| -> Result<Response> {
                if request.path() == "/own" {
                    request.body_mut().set_timeout(DAY);
                }
                collect(request).await
            });
        client.send(POST.replace("POST /", "POST /own")).await;
        settle(&clock).await;
        clock.advance(1_000 * SECOND).await;
        client.send("x".repeat(1_000)).await;
        assert_eq!(client.answer().await.text(), "1000");
        client.send(POST).await;
        settle(&clock).await;
        clock.advance(60 * SECOND).await;
        expect_408(&client).await;
    });
}

/// A client that has asked for 100,000 bytes over a pair that holds 1,000 of them.
async fn ask_for_much(limits: &Limits, clock: &VirtualClock) -> (Client, ServerHandle) {
    let (client, server) = serve_pair_with(1_000, limits.clone(), async |_: Request| "x".repeat(100_000));
    client.send(GET).await;
    settle(clock).await;
    (client, server)
}

#[test]
fn write_timeout_below_and_at() {
    run_virtual(async |clock| {
        let limits = patient().write_timeout(30 * SECOND);
        let (client, _) = ask_for_much(&limits, &clock).await;
        clock.advance(30 * SECOND - MOMENT).await;
        assert_eq!(client.answer().await.body.len(), 100_000);
        let (client, server) = ask_for_much(&limits, &clock).await;
        clock.advance(30 * SECOND).await;
        assert_eq!(server.connections(), 0);
        client.head().await;
        assert!(client.stream.read_bytes(100_000).await.is_err());
    });
}

#[test]
fn min_write_rate_below_at_and_above() {
    run_virtual(async |clock| {
        let limits = patient().min_write_rate(100).rate_grace(10 * SECOND);
        for (rate, seconds) in [(50, 20), (100, 100), (150, 100)] {
            let (client, server) = ask_for_much(&limits, &clock).await;
            let mut lasted = 0;
            while lasted < 100 && server.connections() > 0 {
                clock.advance(SECOND).await;
                lasted += 1;
                if server.connections() > 0 {
                    client.stream.read_bytes(rate).await.unwrap();
                    settle(&clock).await;
                }
            }
            assert_eq!(lasted, seconds, "{rate} bytes/s");
        }
    });
}

#[test]
fn linger_timeout_below_and_at() {
    run_virtual(async |clock| {
        let (client, server) = pair(&patient().linger_timeout(5 * SECOND), collect);
        client.send("nonsense\r\n\r\n").await;
        assert_eq!(status(&client.rest().await), 400);
        // A byte is news, and the silence begins anew.
        clock.advance(5 * SECOND - MOMENT).await;
        client.send("x").await;
        settle(&clock).await;
        clock.advance(5 * SECOND - MOMENT).await;
        assert_eq!(server.connections(), 1);
        clock.advance(MOMENT).await;
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn linger_time_below_and_at() {
    run_virtual(async |clock| {
        let (client, server) = pair(&patient().linger_time(30 * SECOND), collect);
        client.send("nonsense\r\n\r\n").await;
        assert_eq!(status(&client.rest().await), 400);
        for _ in 0..29 {
            clock.advance(SECOND).await;
            client.send("x").await;
            settle(&clock).await;
        }
        clock.advance(SECOND - MOMENT).await;
        assert_eq!(server.connections(), 1);
        clock.advance(MOMENT).await;
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn the_longest_duration_is_no_limit() {
    run_virtual(async |clock| {
        let limits = patient().header_timeout(Duration::MAX).idle_timeout(Duration::MAX).body_timeout(Duration::MAX);
        let limits = limits.request_timeout(Duration::MAX).write_timeout(Duration::MAX).rate_grace(Duration::MAX);
        let limits = limits.linger_timeout(Duration::MAX).linger_time(Duration::MAX).min_body_rate(1).min_write_rate(1);
        let (client, server) = pair(&limits, collect);
        clock.advance(1000 * DAY).await;
        for piece in [&POST[..1], &POST[1..], &"x".repeat(999), "xnonsense\r\n\r\n"] {
            client.send(piece).await;
            settle(&clock).await;
            clock.advance(1000 * DAY).await;
        }
        assert_eq!(client.answer().await.text(), "1000");
        assert_eq!(status(&client.rest().await), 400);
        // It lingers until the client has ended its side.
        clock.advance(1000 * DAY).await;
        assert_eq!(server.connections(), 1);
        client.end().await;
        settle(&clock).await;
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let limits = Limits::default();
    let seconds = Duration::from_secs;
    assert_eq!((limits.header_timeout, limits.idle_timeout), (seconds(10), seconds(75)));
    assert_eq!((limits.body_timeout, limits.request_timeout), (seconds(60), seconds(3_600)));
    assert_eq!((limits.min_body_rate, limits.min_write_rate, limits.rate_grace), (240, 240, seconds(60)));
    assert_eq!(
        (limits.write_timeout, limits.linger_timeout, limits.linger_time),
        (seconds(30), seconds(5), seconds(30))
    );
    assert_eq!((limits.max_head, limits.max_headers, limits.max_target), (65_536, 100, 8_192));
    assert_eq!((limits.max_body, limits.max_collected_body), (100 << 20, 1 << 20));
    assert_eq!((limits.max_unread_body, limits.max_pipelined, limits.max_requests), (64 << 10, 64, 1_000_000));
    assert_eq!((limits.max_connections, limits.max_connections_per_address), (16_384, 0));
    let keep_alive = limits.tcp_keep_alive;
    assert_eq!((keep_alive.idle, keep_alive.interval, keep_alive.probes), (seconds(60), seconds(10), 3));
    assert_eq!(keep_alive.user_timeout, seconds(30));
    assert!(!limits.accept_bare_lf);
}
