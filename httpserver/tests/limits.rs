//! Every limit of a size or a number: one below it, at it, and one above it.

mod common;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use common::{Client, exchange, header, run, serve_pair_with, serve_with, status, until};
use httpserver::{
    HttpServer, IOStream, Limits, Request, Response, Result, StatusCode, iostream::netutil::KeepAlive, spawn, yield_now,
};
use socket2::SockRef;

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

async fn collect(mut request: Request) -> Result<Response> {
    Ok(Response::text(request.bytes().await?.len().to_string()))
}

/// Asserts that the requests of one below the limit and at it are answered 200 on one connection, and that of one above
/// it with `refusal` and the end of the connection.
fn check(limits: Limits, refusal: u16, below_at_above: [String; 3]) {
    run(async {
        let addr = serve_with(limits, collect);
        let client = Client::connect(addr).await;
        let [below, at, above] = below_at_above;
        for (place, request) in [("below", below), ("at", at)] {
            client.send(request).await;
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.header("connection")), (200, None), "{place}");
        }
        client.send(above).await;
        let answer = client.rest().await;
        assert_eq!((status(&answer), header(&answer, "connection")), (refusal, Some("close")));
    });
}

#[test]
fn max_head_below_at_and_above() {
    let get = |length: usize| {
        let (start, end) = ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n");
        format!("{start}{}{end}", "v".repeat(length - start.len() - end.len()))
    };
    check(Limits::default().max_head(500), 431, [499, 500, 501].map(get));
    check(Limits::default(), 431, [65_535, 65_536, 65_537].map(get));
}

#[test]
fn max_headers_below_at_and_above() {
    let get = |lines: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(lines - 1));
    check(Limits::default().max_headers(5), 431, [4, 5, 6].map(get));
    check(Limits::default(), 431, [99, 100, 101].map(get));
    check(Limits::default().max_headers(1_000), 431, [255, 256, 257].map(get));
}

#[test]
fn max_target_below_at_and_above() {
    let get = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1));
    check(Limits::default().max_target(10), 414, [9, 10, 11].map(get));
    check(Limits::default(), 414, [8_191, 8_192, 8_193].map(get));
}

#[test]
fn max_body_below_at_and_above() {
    let counted =
        |length: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let chunked =
        |length: usize| format!("{CHUNKED}1\r\nx\r\n{:x}\r\n{}\r\n0\r\n\r\n", length - 1, "x".repeat(length - 1));
    let limits = || Limits::default().max_body(1_000);
    check(limits(), 413, [999, 1_000, 1_001].map(counted));
    check(limits(), 413, [999, 1_000, 1_001].map(chunked));
    // Of the default, which no test should have to send.
    let announced = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 100 * 1024 * 1024 + 1);
    assert_eq!(run(async { status(&exchange(serve_with(Limits::default(), collect), announced).await) }), 413);
}

#[test]
fn max_collected_body_below_at_and_above() {
    let chunked = |length: usize| format!("{CHUNKED}{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
    check(Limits::default().max_collected_body(100), 413, [99, 100, 101].map(chunked));
    check(Limits::default(), 413, [1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1].map(chunked));
}

#[test]
fn a_limit_of_one_body_below_at_and_above() {
    run(async {
        let addr = serve_with(Limits::default(), async |mut request: Request| -> Result<Response> {
            request.body_mut().limit(100);
            let mut length = 0;
            while let Some(piece) = request.body_mut().chunk().await? {
                length += piece.len();
            }
            Ok(Response::text(length.to_string()))
        });
        let head = CHUNKED.replace("Host", "Connection: close\r\nHost");
        for (length, expected) in [(99, 200), (100, 200), (101, 413)] {
            let answer = exchange(addr, format!("{head}{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length))).await;
            assert_eq!(status(&answer), expected, "{length}");
        }
    });
}

#[test]
fn max_unread_body_below_at_and_above() {
    for limit in [100, 64 * 1024] {
        run(async {
            let addr = serve_with(Limits::default().max_unread_body(limit), async |_: Request| "unread");
            for (length, connection) in [(limit - 1, None), (limit, None), (limit + 1, Some("close"))] {
                let client = Client::connect(addr).await;
                // The body follows when the answer has come: all of it is still to be read.
                client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
                assert_eq!(client.answer().await.header("connection"), connection, "{length} of {limit}");
                client.send("x".repeat(length)).await;
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                match connection {
                    None => assert_eq!(client.answer().await.text(), "unread"),
                    Some(_) => client.expect_closed().await,
                }
            }
        });
    }
}

#[test]
fn max_requests_below_at_and_above() {
    run(async {
        let addr = serve_with(Limits::default().max_requests(3), async |request: Request| request.path().to_owned());
        let all: String = (1..=4).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        let client = Client::connect(addr).await;
        client.send(&all).await;
        for (path, connection) in [("/1", None), ("/2", None), ("/3", Some("close"))] {
            let answer = client.answer().await;
            assert_eq!((answer.text(), answer.header("connection")), (path, connection));
        }
        // The fourth is nobody's any more.
        client.expect_closed().await;
        // Each connection has as many, and with 0 any number.
        let client = Client::connect(addr).await;
        client.send(&all).await;
        assert_eq!(client.answer().await.text(), "/1");
        let addr = serve_with(Limits::default().max_requests(0), async |_: Request| "");
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000)).await;
        for _ in 0..1_000 {
            assert_eq!(client.answer().await.header("connection"), None);
        }
    });
}

#[test]
fn max_pipelined_below_at_and_above() {
    run(async {
        let turn = Rc::new(Cell::new(0));
        let _counting = spawn({
            let turn = turn.clone();
            async move {
                loop {
                    turn.set(turn.get() + 1);
                    yield_now().await;
                }
            }
        });
        let served = Rc::new(RefCell::new(Vec::new()));
        let service = {
            let (turn, served) = (turn.clone(), served.clone());
            async move |_: Request| {
                served.borrow_mut().push(turn.get());
                ""
            }
        };
        for (requests, turns) in [(4, 1), (5, 1), (6, 2), (10, 2), (11, 3)] {
            let (client, _) = serve_pair_with(1 << 20, Limits::default().max_pipelined(5), service.clone());
            // The first request counts as well when the server has waited for it.
            for _ in 0..8 {
                yield_now().await;
            }
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(requests)).await;
            until(|| served.borrow().len() == requests).await;
            let mut taken = served.take();
            taken.dedup();
            assert_eq!(taken.len(), turns, "{requests} requests");
        }
    });
}

/// Connections are let go when their clients have gone, and then there is room again.
async fn check_connections(limits: Limits) {
    let server = HttpServer::with_limits(async |_: Request| "", limits).listen(("127.0.0.1", 0)).unwrap();
    let ask = async || {
        let client = Client::connect(server.local_addr()).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let status = client.answer().await.status();
        (client, status)
    };
    let (below, at, above) = (ask().await, ask().await, ask().await);
    assert_eq!([below.1, at.1, above.1], [200, 200, 503]);
    above.0.expect_closed().await;
    drop(at);
    until(|| server.connections() == 1).await;
    assert_eq!(ask().await.1, 200);
}

#[test]
fn max_connections_below_at_and_above() {
    run(check_connections(Limits::default().max_connections(2)));
}

#[test]
fn max_connections_per_address_below_at_and_above() {
    run(check_connections(Limits::default().max_connections_per_address(2)));
}

#[test]
fn the_length_of_a_method_below_at_and_above() {
    check(
        Limits::default(),
        501,
        [63, 64, 65].map(|length| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(length))),
    );
}

#[test]
fn the_size_line_of_a_chunk_below_at_and_above() {
    // With its CR, which counts.
    let line = |length: usize| format!("{CHUNKED}1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(length - 3));
    check(Limits::default(), 400, [255, 256, 257].map(line));
    let digits = |count: usize| format!("{CHUNKED}{}1\r\nx\r\n0\r\n\r\n", "0".repeat(count - 1));
    check(Limits::default(), 400, [15, 16, 17].map(digits));
}

#[test]
fn chunk_extensions_beyond_the_data_below_at_and_above() {
    // A chunk of one byte is forgiven 18 bytes of its size line. 128 lines of 146 bytes come to the 16 KiB; the last one
    // has what is over.
    let body = |over: usize| {
        let line = |length: usize| format!("1;{}\r\nx\r\n", "e".repeat(length - 3));
        format!("{CHUNKED}{}{}0\r\n\r\n", line(146).repeat(127), line(146 + over))
    };
    let below = format!("{CHUNKED}{}0\r\n\r\n", format!("1;{}\r\nx\r\n", "e".repeat(143)).repeat(127));
    check(Limits::default(), 400, [below, body(0), body(1)]);
}

#[test]
fn trailers_below_at_and_above() {
    // Line ends count, but for the last one.
    let one = |length: usize| format!("{CHUNKED}0\r\nT: {}\r\n\r\n", "v".repeat(length - 3));
    check(Limits::default(), 431, [8 * 1024 - 1, 8 * 1024, 8 * 1024 + 1].map(one));
    let many = |lines: usize| format!("{CHUNKED}0\r\n{}\r\n", "T: 123\r\n".repeat(lines));
    check(Limits::default(), 431, [1_023, 1_024, 1_025].map(many));
}

/// The keep-alive of an accepted connection: silence, interval, probes, and the user time-out.
type Options = (Option<Duration>, Option<Duration>, Option<u32>, Option<Duration>);

async fn tcp_options(limits: Limits) -> Options {
    let options = Rc::new(Cell::new(None));
    let addr = serve_with(limits, {
        let options = options.clone();
        async move |request: Request| -> Result<Response> {
            let options = options.clone();
            request.upgrade(Response::new(StatusCode::SWITCHING_PROTOCOLS), async move |stream: IOStream| {
                let read = stream.with_fd(|fd| {
                    let socket = SockRef::from(&fd);
                    let keep_alive = socket.keepalive().unwrap();
                    let when = |value: Duration| keep_alive.then_some(value);
                    (
                        when(socket.tcp_keepalive_time().unwrap()),
                        when(socket.tcp_keepalive_interval().unwrap()),
                        keep_alive.then(|| socket.tcp_keepalive_retries().unwrap()),
                        socket.tcp_user_timeout().unwrap(),
                    )
                });
                options.set(read.ok());
            })
        }
    });
    exchange(addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    options.get().expect("a socket")
}

#[test]
fn tcp_keep_alive_is_on_set_and_off() {
    run(async {
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!(tcp_options(Limits::default()).await, (seconds(60), seconds(10), Some(3), seconds(30)));
        let keep_alive = KeepAlive::new().idle(Duration::from_secs(7)).probes(2).user_timeout(Duration::from_secs(5));
        let limits = Limits::default().tcp_keep_alive(keep_alive);
        assert_eq!(tcp_options(limits).await, (seconds(7), seconds(10), Some(2), seconds(5)));
        let off = tcp_options(Limits::default().tcp_keep_alive(KeepAlive::off())).await;
        assert_eq!(off.0, None);
        assert!(off.3.is_none_or(|limit| limit.is_zero()));
    });
}
